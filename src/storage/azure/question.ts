/** What is asked of Azure, as messages name it and as its answers are judged. */
export interface Question {
  readonly verb: 'create' | 'get' | 'head' | 'list' | 'delete';
  /** Of the object; of a listing, its prefix. */
  readonly key: string;
  readonly container: string;
}

/** The head of an answer. */
export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where it is held. */
  readonly text?: string;
}

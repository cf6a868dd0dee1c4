import { WalFormatError } from '../wal/error.ts';

/**
 * The lexemes of JSON as they stand in the text: a bracket, a comma, a colon, a text in its quotes, or a number or a
 * word. A number stays text, so that one of 64 bits keeps all of its digits.
 */
export type Lexeme = string;

/** A flat object, whole, or the end of the list that it would be in. */
const OBJECT = /[\t\n\r ]*(\]|\{(?:[^"{}]|"[^"\\]*(?:\\.[^"\\]*)*")*\})/y;
const LEXEME = /[\t\n\r ]*([{}[\],:]|"[^"\\]*(?:\\.[^"\\]*)*"|[-+.\w]+)/y;
const SPACE = /[\t\n\r ]*/y;
/** Characters. A path has at most 1,023 bytes, each of which may be an escape of six. */
const LONGEST = 16 * 1024;

/** Cuts JSON that comes in pieces into lexemes. Who asks for one that is not there yet yields, and is given more text. */
export class Lexemes {
  #text = '';
  #at = 0;
  #isWhole = false;

  /** More of the text; undefined: that was all. */
  feed(text: string | undefined): void {
    if (text === undefined) this.#isWhole = true;
    else {
      this.#text = this.#text.slice(this.#at) + text;
      this.#at = 0;
    }
  }

  /** The next lexeme; undefined after the last. Errors: WalFormatError where there is none. */
  next(): Generator<undefined, Lexeme | undefined> {
    return this.#take(LEXEME);
  }

  /** The same for a whole object without any in it, or the end of a list: what there is a lot of goes at once. */
  object(): Generator<undefined, Lexeme | undefined> {
    return this.#take(OBJECT);
  }

  *#take(pattern: RegExp): Generator<undefined, Lexeme | undefined> {
    for (;;) {
      pattern.lastIndex = this.#at;
      const lexeme = pattern.exec(this.#text)?.[1];
      if (lexeme !== undefined && (pattern.lastIndex < this.#text.length || this.#isWhole)) {
        this.#at = pattern.lastIndex;
        return lexeme;
      }
      if (this.#isWhole) {
        this.#requireEnd();
        return undefined;
      }
      if (this.#text.length - this.#at > LONGEST) throw this.#malformed();
      yield;
    }
  }

  #requireEnd(): void {
    SPACE.lastIndex = this.#at;
    SPACE.exec(this.#text);
    const begun = this.#text.charAt(SPACE.lastIndex);
    // A text or an object that begins, and does not end.
    if (begun === '"' || begun === '{') throw new WalFormatError('it is cut');
    if (begun !== '') throw this.#malformed();
  }

  #malformed(): WalFormatError {
    return new WalFormatError(`this is no JSON: ${JSON.stringify(this.#text.slice(this.#at, this.#at + 40))}`);
  }
}

/** The text that a lexeme stands for; undefined where it is none. Errors: WalFormatError. */
export function textOf(lexeme: Lexeme | undefined): string | undefined {
  return lexeme?.startsWith('"') ? String(parse(lexeme)) : undefined;
}

/** The fields of an object, their values not yet looked at. Errors: WalFormatError. */
export function fieldsOf(lexeme: Lexeme): Readonly<Record<string, unknown>> {
  const fields = parse(lexeme);
  if (isObject(fields)) return fields;
  throw new WalFormatError(`this is no object of JSON: ${lexeme.slice(0, 80)}`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function parse(lexeme: Lexeme): unknown {
  try {
    return JSON.parse(lexeme);
  } catch {
    throw new WalFormatError(`this is no JSON: ${lexeme.slice(0, 80)}`);
  }
}

/** How a command speaks, and how it learns that nobody wants its work any more. */
export interface Io {
  /** A line of the result, on stdout. */
  out(line: string): void;
  /** A warning, on stderr; the server's log when the server runs us. */
  warn(line: string): void;
  /** How far the work is: one line on a terminal, which the next one overwrites; nothing anywhere else. */
  progress(line: string): void;
  /**
   * From now on the first SIGINT or SIGTERM ends nothing: the answer becomes true, and the work ends by itself where it
   * is safe. The second one ends the process.
   */
  heedInterrupts(): () => boolean;
  /** False once the launcher or the server's process that asked is gone. To be asked before anything is final. */
  stillWanted(): boolean;
  /** Runs `cleanup`, synchronously, when the work is abandoned or cut off by the last deadline. */
  onAbandon(cleanup: () => void): void;
  /** The work's own deadline, once it is known: the process is cut off a little after it. Milliseconds from now. */
  endsWithin(ms: number): void;
  /** What the settings say of a standby that is about to promote: see `[fetch] on_promote`. */
  onPromote(choice: 'stop' | 'promote'): void;
}

/** How the demo speaks: chapters, the commands that it runs, what they print, and checks. Colour only on a terminal. */

const isTerminal = process.stdout.isTTY && process.env['TERM'] !== 'dumb';
const isColourful = isTerminal && !process.env['NO_COLOR'];

function paint(code: string, text: string): string {
  return isColourful ? `\x1b[${code}m${text}\x1b[0m` : text;
}

/** A check that failed, or a limit that passed: the demo ends with status 1. */
export class NotAsTold extends Error {
  override readonly name = 'NotAsTold';
}

let chapters = 0;
let checks = 0;

function line(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function chapter(title: string): void {
  chapters += 1;
  line(`\n${paint('1', `${chapters}. ${title}`)}`);
}

export function say(text: string): void {
  for (const one of text.split('\n')) line(`   ${one}`.trimEnd());
}

/** A command line, as it is run. */
export function command(text: string): void {
  line(`   ${paint('36', `$ ${text}`)}`);
}

/** A statement, as it is run. */
export function statement(text: string): void {
  line(`   ${paint('36', `postgres=# ${text}`)}`);
}

/** What a command printed, or what is in a file. */
export function output(text: string): void {
  if (text.trim() === '') return;
  for (const one of text.trimEnd().split('\n')) line(`     ${one}`.trimEnd());
}

/** Says that the claim holds, or throws. `otherwise` tells what was seen instead. */
export function check(holds: boolean, claim: string, otherwise = ''): void {
  if (!holds) throw new NotAsTold(`not so: ${claim}${otherwise === '' ? '' : `: ${otherwise}`}`);
  checks += 1;
  line(`   ${paint('32', 'ok')}  ${claim}`);
}

export function checksHeld(): number {
  return checks;
}

/** Shows how far something is: on a terminal only, on one line that the next text takes over. */
export function progress(text: string): void {
  if (isTerminal) process.stdout.write(`\r\x1b[K   ${text}`);
}

export function progressEnds(): void {
  if (isTerminal) process.stdout.write('\r\x1b[K');
}

/** To stderr: why the demo ended early, and what the server's log says. */
export function complain(text: string): void {
  progressEnds();
  process.stderr.write(`\n${paint('31', text)}\n`);
}

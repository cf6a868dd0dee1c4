import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/**
 * Whether a test that needs this program must be left out on this machine. Where everything is meant to be there
 * (CI=true), it throws instead: a test that is left out silently proves nothing.
 */
export function needProgram(name: string): boolean {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  const isThere = directories.some((directory) => isExecutable(join(directory, name)));
  if (!isThere && process.env['CI'] === 'true') throw new Error(`the tests need the program "${name}"`);
  return !isThere;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

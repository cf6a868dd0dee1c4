import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { CHECKOUT } from './dist.ts';

/**
 * Whether a test that needs this program must be left out on this machine. Where everything is meant to be there
 * (CI=true), it throws instead: a test that is left out silently proves nothing.
 */
export function needProgram(name: string): boolean {
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  return isMissing(
    name,
    directories.some((directory) => isExecutable(join(directory, name))),
  );
}

/** A server that stands for a cloud's store: two that scripts/test builds with Go, and one of npm's. */
export type StoreName = 'minio' | 'fake-gcs-server' | 'azurite';

/** The same for the server of a store. */
export function needStore(name: StoreName): boolean {
  return isMissing(name, isExecutable(storeProgram(name)));
}

/** Where a store's program lies. */
export function storeProgram(name: StoreName): string {
  return join(CHECKOUT, name === 'azurite' ? 'node_modules/.bin/azurite-blob' : `.cache/go/bin/${name}`);
}

/** Whether it must do without; throws where everything is meant to be there. */
export function isMissing(name: string, isThere: boolean): boolean {
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

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

import { Failure } from '../../src/exit.ts';
import { loadSettings } from '../../src/settings/load.ts';
import type { Settings } from '../../src/settings/schema.ts';

/** The least that a settings file must say. */
export const LEAST = 'encryption = "none"\n[[archive]]\nurl = "file:///archive"\n';

/** A settings file with this text, in a directory that goes when the test ends. */
export function settingsFile(text: string | Uint8Array): string {
  const directory = mkdtempSync(join(tmpdir(), 'walseal-settings-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  const path = join(directory, 'walseal.toml');
  writeFileSync(path, text);
  return path;
}

export async function load(text: string | Uint8Array): Promise<Settings> {
  return loadSettings(settingsFile(text), {});
}

/** The failure that a file of this text ends with. Everything that it would show to anybody is in `shown`. */
export async function refusal(text: string | Uint8Array): Promise<{ fact: string; hint: string; shown: string }> {
  const thrown: unknown = await load(text).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof Failure)) throw new Error(`no Failure: ${String(thrown)}`);
  if (thrown.kind !== 'usage') throw new Error(`a Failure of the kind ${thrown.kind}`);
  const { message: fact, hint } = thrown;
  return { fact, hint, shown: [fact, hint, thrown.stack, thrown.cause].map(String).join('\n') };
}

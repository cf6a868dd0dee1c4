/**
 * The program that scripts/bench compiles: it reads settings and opens the archive in them, as a push does before its first
 * request, and ends. Its argument is an `[[archive]]` table as JSON.
 */
import { checkSettings } from '../../src/settings/check.ts';
import { connect } from '../../src/storage/connect.ts';

async function main(table: string | undefined): Promise<void> {
  const archive: unknown = JSON.parse(table ?? '{}');
  const [settings] = checkSettings('/settings', { encryption: 'none', archive: [archive] }).archives;
  if (settings === undefined) throw new Error('no archive was named');
  const storage = await connect(settings);
  storage.close();
}

void main(process.argv[2]);

import { Command, CommanderError, Option } from 'commander';

import manifest from '../../package.json' with { type: 'json' };
import { Failure, launchedVerb, type LaunchedVerb, type Outcome } from '../exit.ts';
import type { AgentCommandOptions } from './agent.ts';
import type { Io } from './io.ts';
import type { PruneOptions } from './prune/findings.ts';

/** Runs any command line, as `run` in program.ts does, which knows the two that need no parsing. */
export async function runLine(argv: readonly string[], io: Io): Promise<Outcome> {
  let outcome: Outcome = 'done';
  const settle = (result: Outcome): void => {
    outcome = result;
  };
  const [verb, ...rest] = argv;
  const launched = launchedVerb(verb);
  const program = launched === undefined ? walseal(io, settle) : LAUNCHED[launched](io, settle);
  const own = launched === undefined ? argv : rest;
  if (launched !== undefined && rest.length > 1 && rest.some((word) => ALONE.has(word))) {
    throw new Failure('usage', `${launched} takes --help and --version alone, or does its work`);
  }
  if (argv.length === 0) {
    program.outputHelp();
    throw new Failure('usage', 'no command was given');
  }
  try {
    await program.parseAsync([...own], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 'done';
    const fact = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
    throw new Failure('usage', fact, { hint: `"${program.name()} --help" shows the usage.` });
  }
  return outcome;
}

/** With other words they would have the server take an answer for a file that was archived. */
const ALONE: ReadonlySet<string> = new Set(['-h', '--help', '--version']);

type Settle = (outcome: Outcome) => void;

const CONFIG = ['--config <file>', 'settings file (default: $WALSEAL_CONFIG, else /etc/walseal/walseal.toml)'] as const;
const PGDATA = [
  '--pgdata <dir>',
  'data directory of the cluster (default: where pg_wal lies, else the current directory)',
] as const;

function command(name: string, io: Io): Command {
  return new Command(name)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => {
        io.out(text.trimEnd());
      },
      writeErr: () => undefined,
    })
    .showSuggestionAfterError()
    .allowExcessArguments(false);
}

function walPush(io: Io, settle: Settle): Command {
  return command('wal-push', io)
    .version(manifest.version, '--version', 'print the version')
    .description(
      'Stores one WAL file in the archives: compressed, encrypted, once, verified. PostgreSQL runs it as archive_command.',
    )
    .argument('<path>', 'the file to archive, as PostgreSQL passes it for %p')
    .option(...CONFIG)
    .option(...PGDATA)
    .addHelpText('after', PUSH_HELP)
    .action(async (path: string, options: { config?: string; pgdata?: string }) => {
      const { push } = await import('./push.ts');
      settle(await push(path, options, io));
    });
}

function walFetch(io: Io, settle: Settle): Command {
  return (
    command('wal-fetch', io)
      .version(manifest.version, '--version', 'print the version')
      .description(
        'Brings one WAL file back from the archives, checked to the last byte. PostgreSQL runs it as restore_command.',
      )
      .argument('<name>', 'the file wanted, as PostgreSQL passes it for %f')
      .argument('<path>', 'where to put it, as PostgreSQL passes it for %p')
      .option(...CONFIG)
      .option(...PGDATA)
      .option(
        '--system-id <number>',
        'system identifier of the cluster, where there is no data directory to read it from',
      )
      .addHelpText('after', FETCH_HELP)
      // The launcher takes the last two arguments for the name and the path, so options come before them.
      .passThroughOptions()
      .action(async (name: string, path: string, options: { config?: string; pgdata?: string; systemId?: string }) => {
        const { fetch } = await import('./fetch.ts');
        settle(await fetch(name, path, options, io));
      })
  );
}

/** The launcher `wal-prune`, and `walseal prune`. */
function prune(name: string, io: Io, settle: Settle): Command {
  return command(name, io)
    .description('Says which WAL no kept base backup needs any more, and why; with --apply it is deleted')
    .option('--apply', 'delete what is planned; without it nothing is ever changed')
    .option('--archive <url>', 'look at this archive only (default: all that are pushed to, each by itself)')
    .option('--explain <name>', 'what becomes of one object or base backup, and why')
    .option('--json', 'print the plan, and what became of it, as JSON (schema: docs/retention.md)')
    .option(...CONFIG)
    .option('--pgdata <dir>', 'data directory of the cluster (default: the current directory, where it is one)')
    .option('--system-id <number>', 'system identifier of the cluster (default: the only one in the archive)')
    .addHelpText('after', PRUNE_HELP)
    .action(async (options: PruneOptions) => {
      const module = await import('./prune.ts');
      settle(await module.prune(options, io));
    });
}

function walPrune(io: Io, settle: Settle): Command {
  return prune('wal-prune', io, settle).version(manifest.version, '--version', 'print the version');
}

const LAUNCHED: Readonly<Record<LaunchedVerb, (io: Io, settle: Settle) => Command>> = {
  'wal-push': walPush,
  'wal-fetch': walFetch,
  'wal-prune': walPrune,
};

function walseal(io: Io, settle: Settle): Command {
  const program = command('walseal', io)
    .version(manifest.version, '--version', 'print the version')
    .description(
      'WAL archiving for PostgreSQL. The server runs wal-push and wal-fetch; these are the commands for operators.',
    )
    .addHelpText('after', WALSEAL_HELP);
  program.addCommand(
    command('keygen', io)
      .description('Makes an age identity and a signing key, mode 0600, and prints the public halves')
      .option('--directory <dir>', 'where the files go; nothing there is overwritten', '.')
      .addHelpText('after', KEYGEN_HELP)
      .action(async (options: { directory: string }) => {
        const { keygen } = await import('./keygen.ts');
        await keygen(options, (line) => {
          io.out(line);
        });
      }),
  );
  program.addCommand(
    command('set-aside', io)
      .description('The way out of a refused push: shows the file here and there, and keeps ours under aside/')
      .argument('<path>', 'the refused file in pg_wal')
      .option(...CONFIG)
      .option(...PGDATA)
      .option('--json', 'print the findings as JSON')
      .addHelpText('after', SET_ASIDE_HELP)
      .action(async (path: string, options: { config?: string; pgdata?: string; json?: boolean }) => {
        const { setAside } = await import('./set-aside.ts');
        settle(await setAside(path, options, io));
      }),
  );
  program.addCommand(prune('prune', io, settle));
  program.addCommand(
    command('agent', io)
      .description(
        'Works ahead for the server of a data directory, as a service; wal-push and wal-fetch start one by need',
      )
      .option(...CONFIG)
      .option('--pgdata <dir>', 'data directory of the server (default: the current directory)')
      .addOption(new Option('--on-demand', 'as wal-push and wal-fetch start it').hideHelp())
      .addHelpText('after', AGENT_HELP)
      .action(async (options: AgentCommandOptions) => {
        const { agent } = await import('./agent.ts');
        settle(await agent(options, io));
      }),
  );
  return program;
}

const PUSH_HELP = `
In postgresql.conf:
  archive_mode = on
  archive_command = 'wal-push "%p"'

By hand, in the data directory:
  wal-push pg_wal/000000010000000000000001
  wal-push --config ./walseal.toml --pgdata /var/lib/postgresql/18/main /var/lib/postgresql/18/main/pg_wal/000000010000000000000001

Exit status:
   0  stored and verified, or proven identical, in every required archive
  64  bad usage or settings
  65  the file is not what it claims to be
  69  an archive cannot be reached, or the deadline passed
  70  a bug, or the program did not run
  73  an archive holds a different file of that name; see "walseal set-aside --help"
  74  what lies in the archive is corrupt
  75  the archive's disk is full
  77  an archive denies access`;

const FETCH_HELP = `
In postgresql.conf:
  restore_command = 'wal-fetch "%f" "%p"'

By hand:
  wal-fetch --system-id 7390012345678901234 000000010000000000000001 /tmp/000000010000000000000001

Exit status in a recovery (on a standby in parentheses, where the server goes on to pg_wal and streaming):
    0       the right file, whole, lies at PATH
    1       proven absent: every archive says so, and nothing contradicts it
  200 (70)  a bug, or the program did not run
  201 (64)  bad usage or settings, or an archive that holds nothing of this cluster
  202 (69)  an archive cannot be reached, or the deadline passed
  203 (77)  an archive denies access
  204 (65)  the object is corrupt, or no trusted key signed it
  205 (78)  no key here opens it
  206 (75)  cannot write here
  207  (1)  absent, but later segments are there: a gap`;

const KEYGEN_HELP = `
Example:
  walseal keygen --directory /etc/walseal`;

const SET_ASIDE_HELP = `
Example, in the data directory, after wal-push ended with 73 or 65:
  walseal set-aside pg_wal/000000010000000000000042

The copy lies under <system id>/aside/<name>.<fingerprint> in each archive that refused it; nothing else changes,
and a push of exactly this content ends with 0 from then on.`;

const PRUNE_HELP = `
Examples:
  wal-prune                                        what would go, what stays, and for which backup
  wal-prune --explain 000000010000000000000042     why one segment goes or stays; also a backup's label or path
  wal-prune --apply                                delete it; prints a line for each archive, and warnings

How it decides is told in docs/retention.md. It is to know where base backups lie ([[backups]]) and what is to be
kept (keep_backups, keep_days), and it reads history files, for which an encrypted archive needs identity_file.

Exit status:
   0  all is in order; with --apply: what was to go is gone
   1  looked, and something is wrong, which is told: no base backup can be restored, or a kept one, or the newest,
      or one up to the end of a live timeline; or --apply was interrupted, or backups came or went meanwhile
  64  bad usage or settings; several clusters and none chosen; an archive or a [[backups]] location that holds nothing
  65  what is there contradicts itself or can't be read, a clock makes no sense: nothing is deleted
  69  an archive or a location of backups can't be reached
  70  a bug, or the program did not run
  75  the archive's disk is read-only
  77  access is denied, to delete or to read
  78  no key here opens a history file`;

const AGENT_HELP = `
wal-push and wal-fetch start an agent by themselves when there is more to do, and it goes after a minute without work.
As a service it stays. It is needed where the server is PID 1 of its container, or where its memory is tight: there none
is started by need. It runs as the server's user, and listens where wal-push and wal-fetch look for it.

Examples:
  walseal agent --pgdata /var/lib/postgresql/18/main
  walseal agent --config /etc/walseal/walseal.toml --pgdata /var/lib/postgresql/18/main

It ends with 0 at SIGTERM or SIGINT, and with the statuses of wal-push where it can't begin. See docs/agent.md.`;

const WALSEAL_HELP = `
In postgresql.conf:
  archive_command = 'wal-push "%p"'
  restore_command = 'wal-fetch "%f" "%p"'

Examples:
  walseal keygen --directory /etc/walseal
  walseal set-aside pg_wal/000000010000000000000042
  walseal prune`;

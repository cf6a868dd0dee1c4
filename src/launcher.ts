import { ABSENT, DONE, STATUS, type Column, type LaunchedVerb } from './exit.ts';

/**
 * The launchers: a few lines of sh between PostgreSQL and the program. The program may end with any status without
 * ever having run (stripped, missing, out of memory, taken over by a variable), so the trap on the second line is the
 * answer to every status that is not on the list, and to the shell's own failures. The list is made from the exit table.
 */

/** What can make the runtime run other code, print its version with 0, or leave certificates unchecked. */
const UNSET = [
  'BUN_OPTIONS BUN_BE_BUN BUN_INSPECT BUN_INSPECT_CONNECT_TO BUN_INSPECT_NOTIFY BUN_INSPECT_PRELOAD',
  'BUN_CONFIG_VERBOSE_FETCH BUN_JSC_watchdog NODE_OPTIONS NODE_TLS_REJECT_UNAUTHORIZED',
].join(' \\\n  ');

/**
 * The executable lives for too short a time to gain from compiling hot code or from collecting garbage early: both
 * would take a part of the cores from what it does. Node doesn't know these.
 */
const TUNING = 'BUN_JSC_useJIT=0 BUN_JSC_largeHeapSize=67108864';

/** What a shell says of a child that died by SIGTERM. */
const DIED_BY_SIGTERM = 128 + 15;

/** The text of the launcher in bin/ and dist/ whose file is named like the verb. */
export function launcherText(verb: LaunchedVerb): string {
  const parts = verb === 'wal-fetch' ? FETCH : verb === 'wal-prune' ? PRUNE : PUSH;
  return `#!/bin/sh
trap '${parts.otherwise}' EXIT
# ${parts.story}
# Everything that is not on the list below ends as the line above says: a bug, or a program that never ran.
unset ${UNSET}
${parts.before}dir=\${0%/*}
if [ ! -x "$dir/walseal" ]; then
  dir=$(readlink -f "$0") || exit
  dir=\${dir%/*}
fi
WALSEAL_LAUNCHER=$$ ${TUNING} "$dir/walseal" ${verb} "$@"
said=$?
case $said in
${parts.list}
${DIED_BY_SIGTERM}) trap - EXIT; kill -TERM $$; exit ${parts.lastly} ;;
*) exit ;;
esac
trap - EXIT
exit $said
`;
}

interface Parts {
  /** One line: what the server makes of the status. */
  readonly story: string;
  /** The commands of the EXIT trap. */
  readonly otherwise: string;
  /** Said where SIGTERM is ignored. */
  readonly lastly: number;
  /** Lines between the trap and the program. */
  readonly before: string;
  /** The list of what the program may say. */
  readonly list: string;
}

const PUSH: Parts = {
  story: 'archive_command: PostgreSQL deletes its copy after a 0. Above 125 would end the archiver.',
  otherwise: `exit ${STATUS.bug.push}`,
  lastly: STATUS.bug.push,
  before: '',
  // Help and version are no work that was done: only alone are they what was asked for.
  list: `${DONE})
  [ $# = 1 ] || case " $* " in *' -h '* | *' --help '* | *' --version '*) exit ;; esac
  said=0
  ;;
${failures('push')}) ;;`,
};

const PRUNE: Parts = {
  ...PUSH,
  story: 'For operators and timers: 0 done, 1 checked and something is wrong, else as wal-push.',
  list: `${PUSH.list}
${ABSENT}) said=1 ;;`,
};

const FETCH: Parts = {
  story: 'restore_command: 1 to 125 mean that the file does not exist, unless this is a standby, which asks again.',
  otherwise: `[ -e standby.signal ] && [ ! -e promote ] && exit ${STATUS.bug.standby}; exit ${STATUS.bug.strict}`,
  lastly: STATUS.bug.strict,
  before: `name=
path=
for argument do
  name=$path
  path=$argument
done
# The end of a recovery: the server has its copy in pg_wal, and a failure now would replay past the target.
recovered() { [ "$path" = pg_wal/RECOVERYHISTORY ] && [ ! -e recovery.signal ] && [ ! -e standby.signal ]; }
# Timeline 1 has no history.
if [ "$name" = 00000001.history ] || recovered; then
  trap - EXIT
  exit 1
fi
`,
  list: `${DONE})
  case "$# $path" in
  '1 --help' | '1 --version') ;;
  *) [ -f "$path" ] || exit ;;
  esac
  said=0
  ;;
${ABSENT}) said=1 ;;
${failures('strict')}) ;;
${failures('standby')}) [ -e standby.signal ] || exit ;;`,
};

/** The statuses of a column as a pattern of `case`; what the trap says anyway, and what has its own line, is left out. */
function failures(column: Column): string {
  const statuses = new Set(Object.values(STATUS).map((row) => row[column]));
  statuses.delete(ABSENT);
  if (column !== 'standby') statuses.delete(STATUS.bug[column]);
  return [...statuses].sort((a, b) => a - b).join(' | ');
}

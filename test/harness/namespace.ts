import { spawnSync } from 'node:child_process';
import { dirname } from 'node:path';

import { CHECKOUT } from './dist.ts';
import { isMissing } from './need.ts';
import { makeScratch } from './scratch.ts';
import { serverUser } from './server-user.ts';

/** Whether tests that start servers in namespaces must be left out: only root may, and not in every container. */
export function needNamespaces(): boolean {
  const { status } = spawnSync('unshare', ['--mount', '--pid', '--fork', '--mount-proc', 'mount', '--bind', '/', '/']);
  return isMissing('unshare, with the right to make mount and PID namespaces', status === 0);
}

/** For `ServerOptions.within`: mounts of its own, which lines of sh make as root. */
export function withMounts(prepare: string): readonly string[] {
  return ['unshare', '--mount', ...becomingServer(prepare)];
}

/** For `ServerOptions.within`: the postmaster is PID 1, as in a container. It dies with the process that waits for it. */
export function asPid1(): readonly string[] {
  return ['unshare', '--mount', '--pid', '--fork', '--mount-proc', ...becomingServer('', '--pdeathsig=KILL')];
}

/** The end of such words: lines of sh that root runs, then the server as its user. */
export function becomingServer(prepare: string, ...options: readonly string[]): string[] {
  const { uid, gid } = serverUser();
  const become = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...options, '--'].join(' ');
  return ['/bin/sh', '-ec', `${prepare}\nexec ${become} "$@"`, 'sh'];
}

/** The directory that all scratch directories of this process lie in. */
function scratchParent(): string {
  return dirname(makeScratch('place', serverUser()));
}

/** Nothing in /tmp can be run, but for what the tests keep there. */
export function noexecTmp(): string {
  return overTmp('noexec');
}

/** The whole root is read-only, and /tmp too, but for what the tests keep there. */
export function readOnlyRoot(): string {
  return `${overTmp('ro,noexec')}\nmount -o remount,bind,ro /`;
}

/** A mount of each of the two, since options are those of a mount. */
function overTmp(options: string): string {
  const scratch = scratchParent();
  const parent = dirname(scratch);
  // The servers are run from the checkout, which may lie there, too.
  const kept = [scratch, CHECKOUT].filter((path) => path.startsWith(`${parent}/`));
  return `mount --bind ${parent} ${parent}
${kept.map((path) => `mount --bind ${path} ${path}`).join('\n')}
mount -o remount,bind,${options} ${parent}`;
}

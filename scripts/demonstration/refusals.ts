import { existsSync } from 'node:fs';

import type { Stage } from './stage.ts';
import { chapter, check } from './tell.ts';
import type { Before } from './work.ts';

/** Where an object lies in the archive. */
export function objectPath({ systemId, segment }: Pick<Before, 'systemId' | 'segment'>): string {
  return `archive/${systemId}/wal/${segment.slice(0, 16)}/${segment}`;
}

/** What wal-push refuses to overwrite, and what wal-fetch says when it can't bring a file: never 1 without a proof. */
export async function refusals(before: Before, stage: Stage): Promise<void> {
  const { segment } = before;
  const copy = `aux/${segment}`;
  const push = `wal-push --pgdata data ${copy}`;

  chapter('The same file again, and an altered one');
  await ends(stage, `wal-fetch --pgdata data ${segment} ${copy}`, 0, 'the segment is back, and is what it was');
  await ends(stage, push, 0, 'pushed again, it is proven identical');
  await stage.must(`printf 'not what it was' | dd of=${copy} bs=1 seek=100000 conv=notrunc status=none`);
  await ends(stage, push, 73, 'altered, it is refused');
  await stage.must(`walseal set-aside --pgdata data ${copy}`);
  await ends(stage, push, 0, 'set aside by hand, it blocks the archiver no longer; nothing was overwritten');

  chapter('What wal-fetch says: 1 means "does not exist", and is never said of anything else');
  const fetch = (settings: string, name = segment): string =>
    `wal-fetch --config etc/${settings} --pgdata data ${name} aux/wanted`;
  const nothingCame = (): void => {
    check(!existsSync(stage.path('aux/wanted')), 'nothing lies at the destination');
  };
  const later = `${segment.slice(0, 16)}000000F0`;
  await ends(stage, fetch('walseal.toml', later), 1, 'proven absent: the archive answers, and has nothing later');

  await stage.must('sed \'s,/archive",/aux/unmounted",\' etc/walseal.toml > etc/unmounted.toml');
  await ends(stage, fetch('unmounted.toml'), 202, 'the archive cannot be reached');

  await stage.must('mkdir aux/other && sed \'s,/archive",/aux/other",\' etc/walseal.toml > etc/other.toml');
  await ends(stage, fetch('other.toml'), 201, 'the archive holds nothing of this cluster: a wrong path looks so');

  await stage.must(
    'cp -R archive aux/damaged && sed \'s,/archive",/aux/damaged",\' etc/walseal.toml > etc/damaged.toml',
  );
  const object = `aux/damaged/${objectPath(before).slice('archive/'.length)}`;
  await stage.must(`printf 'not what it was' | dd of=${object} bs=1 seek=100000 conv=notrunc status=none`);
  await ends(stage, fetch('damaged.toml'), 204, 'the object is damaged');
  nothingCame();
}

async function ends(stage: Stage, commandLine: string, status: number, claim: string): Promise<void> {
  const finished = await stage.show(commandLine);
  check(finished.status === status, `status ${status}: ${claim}`, `it ended with ${finished.status}`);
}

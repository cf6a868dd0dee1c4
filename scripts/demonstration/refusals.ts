import { existsSync } from 'node:fs';

import { damageCommand, keyOf, type Place } from './place.ts';
import type { Stage } from './stage.ts';
import { chapter, check } from './tell.ts';
import type { Before } from './work.ts';

/** What wal-push refuses to overwrite, and what wal-fetch says when it can't bring a file: never 1 without a proof. */
export async function refusals(before: Before, stage: Stage, place: Place): Promise<void> {
  const { segment } = before;
  const copy = `aux/${segment}`;
  const push = `wal-push --pgdata data ${copy}`;

  chapter('The same file again, and an altered one');
  await ends(stage, `wal-fetch --pgdata data ${segment} ${copy}`, 0, 'the segment is back, and is what it was');
  await ends(stage, push, 0, 'pushed again, it is proven identical');
  await stage.must(damageCommand(copy));
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

  const away = await place.makeAway(stage);
  await ends(stage, fetch(away.file), 202, away.claim);

  const elsewhere = await place.makeElsewhere(stage);
  await ends(stage, fetch(elsewhere.file), 201, elsewhere.claim);

  const damaged = await place.makeDamaged(stage, keyOf(before));
  await ends(stage, fetch(damaged.file), 204, damaged.claim);
  nothingCame();
}

async function ends(stage: Stage, commandLine: string, status: number, claim: string): Promise<void> {
  const finished = await stage.show(commandLine);
  check(finished.status === status, `status ${status}: ${claim}`, `it ended with ${finished.status}`);
}

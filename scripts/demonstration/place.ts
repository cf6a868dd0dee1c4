import { writeFileSync } from 'node:fs';

import type { Stage } from './stage.ts';

/** Where an object lies in the archive: its key. */
export function keyOf({ systemId, segment }: { readonly systemId: string; readonly segment: string }): string {
  return `${systemId}/wal/${segment.slice(0, 16)}/${segment}`;
}

/** Settings like those of etc/walseal.toml, but for one thing. */
export interface Variant {
  /** The name of the file in etc/. */
  readonly file: string;
  readonly claim: string;
}

/** Where the demo's archive lies. */
export interface Place {
  /** Makes it ready; before the settings are written. */
  open(stage: Stage): Promise<void>;
  /** A shell command that adds the `[[archive]]` table to etc/walseal.toml. */
  settings(): string;
  /** Shows the keys of all objects. */
  list(stage: Stage): Promise<void>;
  /** Settings that lead to where nobody answers. */
  makeAway(stage: Stage): Promise<Variant>;
  /** Settings that lead to where nothing of this cluster lies. */
  makeElsewhere(stage: Stage): Promise<Variant>;
  /** Settings that lead to a copy of the archive with an object that is damaged. */
  makeDamaged(stage: Stage, key: string): Promise<Variant>;
  /** A local file with the bytes of an object. */
  fetchObject(stage: Stage, key: string): Promise<string>;
  /** Shell commands with which an operator goes on here, and ends it. */
  readonly byHand: { readonly use: readonly string[]; readonly stop: readonly string[] };
}

/** A directory beside the cluster. */
export class DirectoryPlace implements Place {
  readonly byHand = { use: [], stop: [] };

  async open(stage: Stage): Promise<void> {
    stage.makeDirectory('archive');
    return Promise.resolve();
  }

  settings(): string {
    return `printf '\\n[[archive]]\\nurl = "file://%s"\\n' "$PWD/archive" >> etc/walseal.toml`;
  }

  async list(stage: Stage): Promise<void> {
    await stage.must('find archive -type f | sort');
  }

  async makeAway(stage: Stage): Promise<Variant> {
    await stage.must('sed \'s,/archive",/aux/unmounted",\' etc/walseal.toml > etc/unmounted.toml');
    return { file: 'unmounted.toml', claim: 'the archive cannot be reached' };
  }

  async makeElsewhere(stage: Stage): Promise<Variant> {
    await stage.must('mkdir aux/other && sed \'s,/archive",/aux/other",\' etc/walseal.toml > etc/other.toml');
    return { file: 'other.toml', claim: 'the archive holds nothing of this cluster: a wrong path looks so' };
  }

  async makeDamaged(stage: Stage, key: string): Promise<Variant> {
    await stage.must(
      'cp -R archive aux/damaged && sed \'s,/archive",/aux/damaged",\' etc/walseal.toml > etc/damaged.toml',
    );
    await stage.must(damageCommand(`aux/damaged/${key}`));
    return { file: 'damaged.toml', claim: 'the object is damaged' };
  }

  fetchObject(_: Stage, key: string): Promise<string> {
    return Promise.resolve(`archive/${key}`);
  }
}

/** Writes over some bytes in the middle of a file. */
export function damageCommand(path: string): string {
  return `printf 'not what it was' | dd of=${path} bs=1 seek=100000 conv=notrunc status=none`;
}

/** Writes bytes where a command of the stage can read them. */
export function writeForStage(stage: Stage, relative: string, bytes: Uint8Array): void {
  writeFileSync(stage.path(relative), bytes);
  stage.own(stage.path(relative));
}

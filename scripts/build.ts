/**
 * Makes dist/: the single-file executable and its launchers.
 *
 *   node scripts/build.ts [<directory>]              everything, into dist/ or there
 *   node scripts/build.ts --launchers <directory>    the launchers alone, as they lie in bin/
 *
 * The same sources, bun and directory names give the same bytes. Each file is synced and renamed into place: a
 * launcher that is read while it is half-written could end with 0.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { LAUNCHED_VERBS } from '../src/exit.ts';
import { launcherText } from '../src/launcher.ts';

const CHECKOUT = dirname(dirname(fileURLToPath(import.meta.url)));

/** What the executable must never do: read settings of bun's own, or code, from the directory that it is started in. */
const FLAGS = [
  '--compile',
  '--bytecode',
  '--no-compile-autoload-dotenv',
  '--no-compile-autoload-bunfig',
  '--no-compile-autoload-tsconfig',
  '--no-compile-autoload-package-json',
  '--reject-unresolved',
  '--target=bun',
  // Of a package that comes in two forms, the one whose unused parts can be left out.
  '--conditions=module',
  '--keep-names',
];

/**
 * Builds the sources under `root` (a checkout, with its node_modules) into `directory`. Throws where bun refuses: a
 * top-level await, an import that can't be resolved now; and where a native addon found its way in.
 */
export function build(root: string, directory: string): void {
  mkdirSync(directory, { recursive: true });
  const scratch = mkdtempSync(join(directory, '.build-'));
  try {
    // Named like the product: its name becomes part of the executable.
    compile(root, 'src/main.ts', join(scratch, 'walseal'));
    install(join(scratch, 'walseal'), join(directory, 'walseal'));
    writeLaunchers(directory, scratch);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Writes the three launchers into `directory`, by way of `scratch`, which lies on the same file system. */
function writeLaunchers(directory: string, scratch = directory): void {
  for (const verb of LAUNCHED_VERBS) {
    const temporary = join(scratch, `.${verb}.${process.pid}`);
    writeFileSync(temporary, launcherText(verb), { mode: 0o755 });
    install(temporary, join(directory, verb));
  }
}

/** Makes one program of the sources under `root` into an executable, with the flags of the product. Throws as `build`. */
export function compile(root: string, source: string, outfile: string): void {
  const scratch = dirname(outfile);
  const metafile = `${outfile}.meta.json`;
  const args = ['build', ...FLAGS, `--metafile=${metafile}`, '--outfile', outfile, source];
  // No variable of the caller's shapes the product.
  const env = { PATH: process.env['PATH'] ?? '', HOME: scratch, TMPDIR: scratch };
  const { status, signal, stdout, stderr, error } = spawnSync(bunOf(root), args, { cwd: root, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`bun ended with ${status ?? signal ?? String(error)}\n${stdout}${stderr}`);
  refuseAddons(bundledFiles(metafile).map((path) => relative(root, resolve(root, path))));
}

/** An addon would be unpacked into a temporary directory at each start, and fail where that is not executable. */
function refuseAddons(paths: readonly string[]): void {
  const addons = paths.filter((path) => path.endsWith('.node') || path.includes('zstd-napi'));
  if (addons.length > 0) throw new Error(`these do not belong into the executable: ${addons.join(', ')}`);
}

function bundledFiles(metafile: string): string[] {
  const meta: unknown = JSON.parse(readFileSync(metafile, 'utf8'));
  if (
    typeof meta === 'object' &&
    meta !== null &&
    'inputs' in meta &&
    typeof meta.inputs === 'object' &&
    meta.inputs !== null
  ) {
    return Object.keys(meta.inputs);
  }
  throw new Error(`${metafile} does not list what was bundled`);
}

/**
 * The bun of the packages, by its platform package: `bun` itself holds only a placeholder where install scripts do
 * not run.
 */
export function bunOf(root: string): string {
  const require = createRequire(join(root, 'package.json'));
  const fromBun = createRequire(require.resolve('bun/package.json'));
  const platform = `linux-${process.arch === 'arm64' ? 'aarch64' : process.arch}`;
  const candidates = [`@oven/bun-${platform}/bin/bun`, `@oven/bun-${platform}-musl/bin/bun`];
  const found = (isMusl() ? candidates.toReversed() : candidates).flatMap((candidate) => {
    try {
      return [fromBun.resolve(candidate)];
    } catch {
      return [];
    }
  });
  const [first] = found;
  if (first === undefined) throw new Error(`none of ${candidates.join(', ')} is installed: run "npm ci"`);
  return first;
}

function isMusl(): boolean {
  const report: unknown = process.report.getReport();
  return !JSON.stringify(report).includes('"glibcVersionRuntime"');
}

/** Puts a finished file under its name: its bytes, the name, and nothing in between survive a crash. */
function install(temporary: string, path: string): void {
  sync(temporary);
  renameSync(temporary, path);
  sync(dirname(path));
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

if (import.meta.main) {
  const [first, second] = process.argv.slice(2);
  if (first === '--launchers' && second !== undefined) writeLaunchers(resolve(second));
  else build(CHECKOUT, resolve(first ?? join(CHECKOUT, 'dist')));
}

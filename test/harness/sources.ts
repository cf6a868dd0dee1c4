import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import ts from 'typescript';

export const ROOT = dirname(dirname(import.meta.dirname));

/** What an import by a name such as `#zstd` may stand for: package.json, "imports". */
const ALIASES: Readonly<Record<string, Readonly<Record<string, string>>>> = readAliases();

export interface Source {
  /** From the root of the project on. */
  readonly path: string;
  readonly tree: ts.SourceFile;
  /** The files of this project that it imports, types and dynamic imports included. */
  readonly imports: readonly string[];
}

/** All TypeScript files below these directories, parsed. */
export function sources(...directories: readonly string[]): Source[] {
  const paths = directories.flatMap(filesBelow).filter((path) => path.endsWith('.ts'));
  return paths.map((path) => {
    const tree = ts.createSourceFile(path, readFileSync(join(ROOT, path), 'utf8'), ts.ScriptTarget.Latest, true);
    return { path, tree, imports: [...specifiers(tree)].flatMap((specifier) => resolveOwn(path, specifier)) };
  });
}

/** All files below a directory, from the root on; what tests read as data is left out. */
export function filesBelow(directory: string): string[] {
  return readdirSync(join(ROOT, directory), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => !path.startsWith('test/fixtures/'))
    .toSorted();
}

/** The node and all below it, but not what lies below a node that `stopAt` names. */
export function* nodesBelow(node: ts.Node, stopAt: (node: ts.Node) => boolean = () => false): Generator<ts.Node> {
  yield node;
  const children: ts.Node[] = [];
  ts.forEachChild(node, (child) => {
    children.push(child);
  });
  for (const child of children) if (!stopAt(child)) yield* nodesBelow(child, stopAt);
}

function* specifiers(tree: ts.SourceFile): Generator<string> {
  for (const node of nodesBelow(tree)) {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) yield* text(node.moduleSpecifier);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) yield* text(node.argument.literal);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      yield* text(node.arguments[0]);
    }
  }
}

function* text(node: ts.Node | undefined): Generator<string> {
  if (node !== undefined && ts.isStringLiteralLike(node)) yield node.text;
}

function resolveOwn(from: string, specifier: string): string[] {
  if (specifier.startsWith('.')) return [normalize(join(dirname(from), specifier))];
  return Object.values(ALIASES[specifier] ?? {}).map(normalize);
}

function readAliases(): Record<string, Record<string, string>> {
  const manifest = ts.readConfigFile(join(ROOT, 'package.json'), (path) => readFileSync(path, 'utf8')).config as {
    imports: Record<string, Record<string, string>>;
  };
  return manifest.imports;
}

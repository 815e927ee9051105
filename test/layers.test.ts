/** The layers of docs/architecture.md: each folder uses only what is below it, and no files need each other in a circle. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

/** From the top down. A folder may import those behind it; folders within one of these count as it. */
const LAYERS = [
  'workers',
  'src/process',
  'src/worker',
  'src/replication',
  'src/loading',
  'src/network',
  'src/commands',
  'src/execution',
  'src/scripting',
  'src/pubsub',
  'src/persistence',
  'src/keyspace',
  'src/journal',
  'src/protocol',
  'src/access',
  'src/config',
  'src/state',
  'src/structures',
  'src/memory',
  'src/system',
];

/** Handlers use what executes them, never each other's family, save for these. Places are elements of sorted sets. */
const SHARED_FAMILIES = [
  'src/commands/keys',
  'src/commands/connection',
  'src/commands/server',
  'src/commands/sorted-sets',
];

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

interface Import {
  readonly from: string;
  readonly to: string;
  readonly isType: boolean;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => path.posix.join(folder, name));
}

const files = [...sourceFiles('src'), ...sourceFiles('workers')];

function importsOf(file: string): Import[] {
  const text = readFileSync(path.join(root, file), 'utf8');
  return [...text.matchAll(/^(?:import|export)\s+(type\s)?[^;'"]*?from\s+'(\.[^']+)';/gms)].map(
    ([, type, target]) => ({
      from: file,
      to: path.posix.normalize(path.posix.join(path.posix.dirname(file), target!)).replace(/\.js$/, '.ts'),
      isType: type !== undefined,
    }),
  );
}

const imports = files.flatMap(importsOf);

function layerOf(file: string): number {
  return LAYERS.findIndex((layer) => file.startsWith(`${layer}/`));
}

t.test('every file is in a layer, and what it imports exists', async (t) => {
  t.ok(files.length > 100);
  t.ok(imports.length > 500);
  t.same(
    files.filter((file) => layerOf(file) < 0),
    [],
  );
  t.same(
    imports.filter(({ to }) => !files.includes(to)),
    [],
  );
});

t.test(
  'no module has a top-level await: threads load their code by require (system/thread.ts)',
  async (t) => {
    t.same(
      files.filter((file) => /^(?:\S.*[=(] *)?await /m.test(readFileSync(path.join(root, file), 'utf8'))),
      [],
    );
  },
);

t.test('no layer imports one above it', async (t) => {
  t.same(
    imports
      .filter(({ from, to }) => layerOf(to) < layerOf(from))
      .map(({ from, to }) => `${from} imports ${to}`),
    [],
  );
});

t.test('no family of commands imports another one', async (t) => {
  const familyOf = (file: string) => /^src\/commands\/[^/]+(?=\/)/.exec(file)?.[0] ?? '';
  t.same(
    imports
      .filter(({ from, to }) => {
        const [user, used] = [familyOf(from), familyOf(to)];
        return user !== '' && used !== '' && user !== used && !SHARED_FAMILIES.includes(used);
      })
      .map(({ from, to }) => `${from} imports ${to}`),
    [],
  );
});

t.test('no files need each other in a circle', async (t) => {
  const uses = new Map<string, string[]>();
  for (const { from, to, isType } of imports) {
    // Types are gone when the files are loaded; within a layer they may refer to each other.
    if (isType && layerOf(from) === layerOf(to)) continue;
    uses.set(from, [...(uses.get(from) ?? []), to]);
  }
  const circles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) {
      circles.push([...way.slice(way.indexOf(file)), file].join(' -> '));
      return;
    }
    if (done.has(file)) return;
    for (const used of uses.get(file) ?? []) visit(used, [...way, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
  t.same(circles, []);
});

t.test('what is set like a property can be read like one', async (t) => {
  // The compiler takes it for a property that can be read, too; what is read is undefined.
  const setOnly = files.flatMap((file) => {
    const text = readFileSync(path.join(root, file), 'utf8');
    return [...text.matchAll(/^ +(?:\w+ )*set (\w+)\(/gm)]
      .filter(([, name]) => !new RegExp(`\\bget ${name}\\(`).test(text))
      .map(([, name]) => `${file}: ${name}`);
  });
  t.same(setOnly, []);
});

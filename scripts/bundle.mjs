/**
 * Makes dist/bundle of the compiled modules: what is installed and run. Each thread starts with a file of its own instead
 * of some 200 modules, which takes half the time. The folders are those of dist, so that paths relative to a module hold.
 */
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const dist = join(dirname(fileURLToPath(import.meta.url)), '../dist');
const target = join(dist, 'bundle');

/** What a process or a thread begins with. */
const ENTRIES = [
  'src/process/cli.js',
  'src/process/server.js',
  'src/process/daemon.js',
  ...readdirSync(join(dist, 'workers'))
    .filter((name) => name.endsWith('.js'))
    .map((name) => `workers/${name}`),
];
/** What is read beside the code. */
const FILES = ['src/scripting/engine.wasm', 'src/scripting/engine.wasm.LICENSES.txt'];

/** Gives each module the address that it would have as a file of its own. */
function ownAddress(entry) {
  return {
    name: 'own-address',
    transform(code, module) {
      const path = relative(dirname(join(dist, entry)), module);
      return code.replaceAll('import.meta.url', `new URL(${JSON.stringify(path)}, import.meta.url).href`);
    },
  };
}

rmSync(target, { recursive: true, force: true });
for (const entry of ENTRIES) {
  const bundle = await rolldown({
    input: join(dist, entry),
    platform: 'node',
    external: (id) => !/^[./]/.test(id),
    plugins: [ownAddress(entry)],
    onLog(_, { message }) {
      throw new Error(`${entry}: ${message}`);
    },
  });
  await bundle.write({
    file: join(target, entry),
    format: 'esm',
    // Each thread keeps its source in memory, so local names are short. Functions and classes keep theirs, for the stacks of
    // crash reports.
    minify: {
      compress: true,
      mangle: { toplevel: false, keepNames: true },
      codegen: { removeWhitespace: true },
    },
  });
  await bundle.close();
}
for (const file of FILES) {
  mkdirSync(dirname(join(target, file)), { recursive: true });
  copyFileSync(join(dist, file), join(target, file));
}

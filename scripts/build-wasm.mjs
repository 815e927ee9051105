/**
 * Builds dist/src/scripting/engine.wasm, the script engine, with npm packages alone:
 *
 *   liblua5.1.wasm (wasmoon-lua5.1)  PUC Lua 5.1, patched in the few places named below
 *   assembly/longjmp.wat             its error handling
 *   assembly/index.ts                everything else, in AssemblyScript
 *
 * The three are merged into one module, so that calls between them are direct and small functions are
 * inlined. It imports nothing but what `src/scripting/instance.ts` gives it: no file, no clock, no environment.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const target = join(root, 'dist/src/scripting/engine.wasm');
const libluaPath = join(dirname(require.resolve('wasmoon-lua5.1')), 'liblua5.1.wasm');

/** Sizes of Lua's objects on wasm32, in bytes. */
const TVALUE_TYPE = 8;
const OBJECT_MARKED = 5;
const TYPE_NUMBER = 3;
const TYPE_TABLE = 5;
/** A bit of `marked` that the garbage collector leaves alone: the table is read-only. */
const READONLY_BIT = 0x80;
/** Strings from here on are counted as work. */
const LONG_STRING_BYTES = 4096;
/** What is left of the 4 MiB of C stack below our static data. Lua's deepest nesting needs less than 1 MiB. */
const STACK_BYTES_MIN = 3 << 20;
/** The length of the table of functions: Lua's and ours. longjmp.wat has it, too. */
const TABLE_LENGTH = 512;

const sources = readdirSync(join(root, 'assembly'))
  .filter((name) => /\.(ts|wat|txt)$/.test(name))
  .sort();

function inputHash() {
  const hash = createHash('sha256');
  for (const name of sources) hash.update(name).update(readFileSync(join(root, 'assembly', name)));
  hash.update(readFileSync(fileURLToPath(import.meta.url))).update(readFileSync(libluaPath));
  hash.update(readFileSync(require.resolve('assemblyscript/package.json')));
  return hash.digest('hex');
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

const hash = inputHash();
if (readIfThere(`${target}.inputs`) === hash && readIfThere(target) !== '') process.exit(0);

const binaryen = (await import('binaryen')).default;
const asc = (await import('assemblyscript/asc')).default;

const FEATURES =
  binaryen.Features.ExceptionHandling |
  binaryen.Features.BulkMemory |
  binaryen.Features.BulkMemoryOpt |
  binaryen.Features.NontrappingFPToInt |
  binaryen.Features.SignExt |
  binaryen.Features.MutableGlobals;
const FEATURE_FLAGS = [
  '--enable-exception-handling',
  '--enable-bulk-memory',
  '--enable-bulk-memory-opt',
  '--enable-nontrapping-float-to-int',
  '--enable-sign-ext',
  '--enable-mutable-globals',
];

function fail(message) {
  throw new Error(`build-wasm: ${message}`);
}

function exportsOf(module) {
  const found = new Map();
  for (let index = 0; index < module.getNumExports(); index++) {
    const info = binaryen.getExportInfo(module.getExportByIndex(index));
    found.set(info.name, info);
  }
  return found;
}

/** Names of the functions that a function calls directly, in the order of the text. */
function callees(text, name) {
  const start = text.indexOf(`\n (func $${name} `);
  const end = text.indexOf('\n (func $', start + 1);
  return [...text.slice(start, end).matchAll(/\(call \$(\S+)/g)].map((match) => match[1]);
}

/** PUC Lua with our patches. Returns its bytes, and where its static data ends and its stack begins. */
function patchedLua() {
  const module = binaryen.readBinary(readFileSync(libluaPath));
  module.setFeatures(FEATURES);
  const exported = exportsOf(module);
  const text = module.emitText();
  const nameOf = (name) => exported.get(name)?.value ?? fail(`liblua has no ${name}`);
  const { i32, none } = binaryen;

  // The functions that Lua's API is made of have no names; they are found by who calls them.
  const [settable, ...others] = callees(text, nameOf('lua_settable'));
  if (settable === undefined || others.length > 0) fail('lua_settable calls more than luaV_settable');
  const tostring = callees(text, nameOf('lua_tolstring')).find((name) => callees(text, name).length === 3);
  if (tostring === undefined) fail('luaV_tostring not found');
  const [sprintf, newString] = callees(text, tostring);
  if (!callees(text, nameOf('lua_pushlstring')).includes(newString)) fail('luaS_newlstr not found');
  module.addFunctionExport(sprintf, 'sprintf');
  module.addFunctionExport(newString, 'luaS_newlstr');

  const prepend = (name, expression) => {
    const ref = module.getFunction(name);
    const info = binaryen.getFunctionInfo(ref);
    binaryen.Function(ref).setBody(module.block(null, [expression, info.body], info.results));
  };
  const local = (index) => module.local.get(index, i32);
  const hasType = (index, type) =>
    module.i32.eq(module.i32.load(TVALUE_TYPE, 4, local(index)), module.i32.const(type));

  // A table may be read-only: assignments to it raise an error. (Assignments by our own libraries check it there.)
  module.addFunctionImport('readonlyTable', 'border', 'readonlyTable', i32, none);
  prepend(
    settable,
    module.if(
      hasType(1, TYPE_TABLE),
      module.if(
        module.i32.and(
          module.i32.load8_u(OBJECT_MARKED, 1, module.i32.load(0, 4, local(1))),
          module.i32.const(READONLY_BIT),
        ),
        module.call('readonlyTable', [local(0)], none),
      ),
    ),
  );
  // To make a long string is work that counts, even if there is an equal one and nothing is allocated.
  module.addFunctionImport('countString', 'border', 'countString', i32, none);
  prepend(
    newString,
    module.if(
      module.i32.gt_u(local(2), module.i32.const(LONG_STRING_BYTES)),
      module.call('countString', [local(2)], none),
    ),
  );
  // So is to compare two of them, which ends in strcoll: what luaV_lessthan calls twice.
  const comparing = callees(text, callees(text, nameOf('lua_lessthan'))[0]);
  const strcoll = comparing.find((name, index) => comparing.indexOf(name) !== index);
  if (strcoll === undefined) fail('strcoll not found');
  module.addFunctionImport('countComparison', 'border', 'countComparison', i32, none);
  prepend(strcoll, module.call('countComparison', [local(0)], none));
  // Numbers become strings by our own code: the C library's long double is emulated and slow.
  module.addFunctionImport(
    'numberToString',
    'border',
    'numberToString',
    binaryen.createType([i32, i32]),
    i32,
  );
  prepend(
    tostring,
    module.if(
      hasType(1, TYPE_NUMBER),
      module.return(module.call('numberToString', [local(0), local(1)], i32)),
    ),
  );

  // Its allocator is set up before our module begins.
  module.setStart(module.getFunction(nameOf('__wasm_call_ctors')));

  // So do strings become numbers; the hard ones are left to Lua's own function.
  const [toNumber] = callees(text, nameOf('lua_tonumber'));
  const [readNumber, ...more] = callees(text, toNumber);
  if (readNumber === undefined || more.length > 0) fail('luaO_str2d not found');
  module.addFunctionImport(
    'stringToNumber',
    'border',
    'stringToNumber',
    binaryen.createType([i32, i32]),
    i32,
  );
  const original = binaryen.getFunctionInfo(module.getFunction(readNumber));
  module.addFunction('luaO_str2d', original.params, original.results, original.vars, original.body);
  module.addFunctionExport('luaO_str2d', 'luaO_str2d');
  binaryen
    .Function(module.getFunction(readNumber))
    .setBody(module.call('stringToNumber', [local(0), local(1)], i32));

  // The system is out of reach: what the C library wants of it fails.
  const ours = new Set([
    'readonlyTable',
    'numberToString',
    'stringToNumber',
    'countString',
    'countComparison',
  ]);
  const replaced = new Set(['invoke_vii', '_emscripten_throw_longjmp', 'emscripten_memcpy_js']);
  for (let index = module.getNumFunctions() - 1; index >= 0; index--) {
    const info = binaryen.getFunctionInfo(module.getFunctionByIndex(index));
    if (info.module === '' || ours.has(info.name) || replaced.has(info.base)) continue;
    if (info.base === 'emscripten_resize_heap') {
      module.removeFunction(info.name);
      module.addFunctionImport(info.name, 'border', 'growMemory', info.params, info.results);
      continue;
    }
    module.removeFunction(info.name);
    const body =
      info.base === 'exit'
        ? module.unreachable()
        : info.results === i32
          ? module.i32.const(-1)
          : info.results === binaryen.f64
            ? module.f64.const(0)
            : module.nop();
    module.addFunction(info.name, info.params, info.results, [], body);
  }
  // The table of functions grows by ours.
  const tableLength = binaryen.getTableInfo(module.getTableByIndex(0)).initial;
  const larger = binaryen.parseText(
    module.emitText().replace(/\(table (\S+) \d+ funcref\)/, `(table $1 ${TABLE_LENGTH} funcref)`),
  );
  larger.setFeatures(FEATURES);
  return { bytes: larger.emitBinary(), tableLength };
}

/** Where the stack of a freshly instantiated liblua lies. */
function stackOf(path) {
  const module = new WebAssembly.Module(readFileSync(path));
  const imports = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    imports[from][name] = () => 0;
  }
  const lua = new WebAssembly.Instance(module, imports).exports;
  lua.emscripten_stack_init();
  return { start: lua.emscripten_stack_get_end(), end: lua.emscripten_stack_get_base() };
}

async function compileBorder(outFile, dataStart, tableLength) {
  const { error, stderr } = await asc.main(
    [
      join(root, 'assembly/index.ts'),
      '--baseDir',
      root,
      '--outFile',
      outFile,
      '-O3',
      '--noAssert',
      '--runtime',
      'stub',
      '--importMemory',
      '--importTable',
      '--tableBase',
      String(tableLength),
      '--memoryBase',
      String(dataStart),
      '--use',
      'abort=',
      '--enable',
      'bulk-memory',
    ],
    { readFile: undefined },
  );
  if (error) fail(`${error.message}\n${stderr.toString()}`);
  const warnings = stderr.toString();
  if (warnings !== '') process.stderr.write(warnings);
}

const work = mkdtempSync(join(tmpdir(), 'damselfly-wasm-'));
try {
  const stack = stackOf(libluaPath);
  const lua = patchedLua();
  const luaFile = join(work, 'lua.wasm');
  const longjmpFile = join(work, 'longjmp.wasm');
  const borderFile = join(work, 'border.wasm');
  const mergedFile = join(work, 'merged.wasm');
  const optimizedFile = join(work, 'optimized.wasm');
  const binary = (name, ...args) =>
    execFileSync(process.execPath, [join(dirname(require.resolve('binaryen')), 'bin', name), ...args], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
  writeFileSync(luaFile, lua.bytes);
  const longjmp = binaryen.parseText(readFileSync(join(root, 'assembly/longjmp.wat'), 'utf8'));
  longjmp.setFeatures(FEATURES);
  writeFileSync(longjmpFile, longjmp.emitBinary());

  // The lower end of the stack, which the C code never reaches, has our static data.
  await compileBorder(borderFile, (stack.start + 15) & ~15, lua.tableLength);
  const compiled = binaryen.readBinary(readFileSync(borderFile));
  const ownExports = new Set(exportsOf(compiled).keys());
  // AssemblyScript wants memory and table from its "env"; they are Lua's.
  const border = binaryen.parseText(
    compiled
      .emitText()
      .replace('(import "env" "memory"', '(import "lua" "memory"')
      .replace('(import "env" "table"', '(import "lua" "__indirect_function_table"'),
  );
  border.setFeatures(FEATURES);
  writeFileSync(borderFile, border.emitBinary());
  binary(
    'wasm-merge',
    ...FEATURE_FLAGS,
    '--skip-export-conflicts',
    luaFile,
    'lua',
    longjmpFile,
    'env',
    borderFile,
    'border',
    '-o',
    mergedFile,
  );

  const merged = binaryen.readBinary(readFileSync(mergedFile));
  for (const name of exportsOf(merged).keys()) if (!ownExports.has(name)) merged.removeExport(name);
  for (let index = 0; index < merged.getNumFunctions(); index++) {
    const info = binaryen.getFunctionInfo(merged.getFunctionByIndex(index));
    if (info.module !== '' && info.module !== 'host') fail(`an import is left: ${info.module}.${info.base}`);
  }
  for (const { offset, data } of memorySegments(merged)) {
    if (offset >= stack.start && offset < stack.end && offset + data > stack.end - STACK_BYTES_MIN) {
      fail('static data leave too little stack');
    }
  }
  writeFileSync(mergedFile, merged.emitBinary());
  binary('wasm-opt', ...FEATURE_FLAGS, mergedFile, '-O3', '-o', optimizedFile);

  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, readFileSync(optimizedFile));
  writeFileSync(`${target}.LICENSES.txt`, readFileSync(join(root, 'assembly/LICENSES.txt')));
  writeFileSync(`${target}.inputs`, hash);
} finally {
  rmSync(work, { recursive: true, force: true });
}

function memorySegments(module) {
  const found = [];
  const text = module.emitText();
  for (const match of text.matchAll(/\(data (?:\$\S+ )?\(i32\.const (\d+)\) "((?:[^"\\]|\\.)*)"/g)) {
    found.push({ offset: Number(match[1]), data: match[2].replace(/\\[0-9a-f]{2}|\\./g, '.').length });
  }
  return found;
}

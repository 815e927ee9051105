/**
 * States of Lua, and running scripts in them.
 *
 * There are two states, as in Redis: one for the scripts of EVAL, one for functions. At the bottom of a state's stack, from
 * index 1: the error handler, the function that runs a script, the one that describes an error, and the names "KEYS" and
 * "ARGV". Everything that may fail runs inside a protected call.
 */

import { allocate } from './allocator';
import { compile, openBase, pushText, resetLoads, restoreCollector } from './base-library';
import { openBit } from './bit-library';
import { append, buffer, resetBuffer } from './buffer';
import { openCjson, restoreCjson } from './cjson';
import { openCmsgpack } from './cmsgpack';
import { openCoroutine } from './coroutine-library';
import { beginLoad, endLoad, openLibraryApi } from './functions';
import { beginScript, collect, HOOK_INSTRUCTIONS } from './interrupt';
import {
  DEBUG_CURRENT_LINE,
  DEBUG_SOURCE,
  DEBUG_WHAT,
  free,
  LUA_GCCOLLECT,
  LUA_GCCOUNT,
  LUA_GLOBALSINDEX,
  LUA_REGISTRYINDEX,
  LUA_TTABLE,
  lua_atpanic,
  lua_call,
  lua_concat,
  lua_cpcall,
  lua_createtable,
  lua_error,
  lua_gc,
  lua_getinfo,
  lua_getmetatable,
  lua_getstack,
  lua_insert,
  lua_isstring,
  lua_newstate,
  lua_pcall,
  lua_pushcclosure,
  lua_pushlstring,
  lua_pushnumber,
  lua_pushstring,
  lua_pushvalue,
  lua_rawget,
  lua_rawgeti,
  lua_rawset,
  lua_rawseti,
  lua_remove,
  lua_replace,
  lua_setfield,
  lua_settop,
  lua_toboolean,
  lua_tolstring,
  lua_topointer,
  lua_type,
  luaL_ref,
  luaL_unref,
  luaopen_base,
  luaopen_math,
  malloc,
  State,
} from './lua';
import { openMath, restoreRandom } from './math-library';
import { openOs } from './os-library';
import {
  openRedisForFunctions,
  openRedisForScripts,
  resetScriptProtocol,
  scriptProtocol,
} from './redis-library';
import { isReadonly, protectRecursively, refuseMissing, setFunction, setReadonly } from './registry';
import { resetReplyArea } from './reply-area';
import { arraySize } from './reply-reader';
import { countedError, writeResult } from './reply-writer';
import { openString } from './string-library';
import { openStruct } from './struct-library';
import { openTable } from './table-library';
import { text, textLength } from './text';
import { hookEach } from './work';

const HANDLER = 1;
const RUNNER = 2;
const DESCRIBER = 3;
const KEYS = 4;
const ARGV = 5;
const BOTTOM = 5;
/** Where a runner puts a script's result: Redis has one value below it, too, which limits how deep a reply may be. */
const RESULT = 2;

const ERR = text('err');
const SOURCE = text('source');
const LINE = text('line');
const IGNORE_STATISTICS = text('ignore_error_stats_update');
const HANDLER_SOURCE = text('@err_handler_def');
const HANDLER_FAILED = text('ERR err_handler_def:10: Attempt to modify a readonly table');
const HANDLER_LINE = 10;
const ERR_CODE = text('ERR ');
const INFO = text('nSl');
const NIL = text('nil');
const SCRIPT_NAME = text('@user_script');
const FUNCTION_NAME = text('@user_function');

const INPUT_BYTES: u32 = 16 * 1024;

const debugInfo = memory.data(100, 8);
const _lengthCell = memory.data(4, 4);

/** How a script ended. */
export const enum Outcome {
  /** The reply is in the buffer. */
  Reply = 0,
  /** A reply, an error that was counted when the command ran that failed with it. */
  CountedReply = 1,
  /** It failed: the buffer has the parts of the error's text, as `failure` describes it. */
  Failure = 2,
  CountedFailure = 3,
}

let input: usize = malloc(INPUT_BYTES);
let inputBytes: u32 = INPUT_BYTES;

/** Where the host puts what a call needs: at least so many bytes. Returns 0 if there is no memory. */
export function inputArea(bytes: u32): usize {
  if (bytes > inputBytes) {
    const moved = malloc(bytes);
    if (moved === 0) return 0;
    free(input);
    input = moved;
    inputBytes = bytes;
  }
  return input;
}

/**
 * What a call leaves to the host, 4 bytes each: where its result is and how long it is; of an error, the lengths of text,
 * source and line, which are the result one behind the other, or -1 for one that is not there; and whether the error was a
 * table.
 */
const results = memory.data(24, 4);
const RESULT_LENGTH = 4;
const RESULT_PARTS = 8;
const RESULT_TABLE = 20;

export function resultCells(): usize {
  return results;
}

function setResult(length: u32): void {
  store<usize>(results, buffer);
  store<u32>(results, length, RESULT_LENGTH);
}

// What `openState` needs inside its protected call.
let opensFunctions: bool = false;
let redisVersion: usize = 0;
let redisVersionNumber: i32 = 0;

/** An error outside of any protected call: the instance is of no use any more. */
function panic(_L: State): i32 {
  unreachable();
  return 0;
}

/**
 * Makes a state: for EVAL, or for functions. `version` is a C string. Returns 0 if there is no memory.
 */
export function createState(functions: bool, version: usize, versionNumber: i32): State {
  const L = lua_newstate(allocate.index, 0);
  if (L === 0) return 0;
  lua_atpanic(L, panic.index);
  opensFunctions = functions;
  redisVersion = version;
  redisVersionNumber = versionNumber;
  beginScript(L);
  if (lua_cpcall(L, openLibraries.index, 0) !== 0) return 0;
  if (lua_cpcall(L, makeBottom.index, 0) !== 0) return 0;
  lua_settop(L, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, bottomReference);
  for (let index = 1; index <= BOTTOM; index++) lua_rawgeti(L, 1, index);
  lua_remove(L, 1);
  hookEach(L, HOOK_INSTRUCTIONS);
  return L;
}

let bottomReference: i32 = 0;

/** Makes the values of the stack's bottom, in a table of the registry. */
function makeBottom(L: State): i32 {
  lua_createtable(L, BOTTOM, 0);
  lua_pushcclosure(L, handleError.index, 0);
  lua_rawseti(L, -2, HANDLER);
  lua_pushcclosure(L, opensFunctions ? runFunction.index : runScript.index, 0);
  lua_rawseti(L, -2, RUNNER);
  lua_pushcclosure(L, describeError.index, 0);
  lua_rawseti(L, -2, DESCRIBER);
  lua_pushstring(L, text('KEYS'));
  lua_rawseti(L, -2, KEYS);
  lua_pushstring(L, text('ARGV'));
  lua_rawseti(L, -2, ARGV);
  bottomReference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

function openLibraries(L: State): i32 {
  luaopen_base(L);
  luaopen_math(L);
  lua_settop(L, 0);
  openBase(L);
  openCoroutine(L);
  lua_settop(L, 0);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  openString(L);
  openTable(L);
  openMath(L);
  openOs(L);
  openCjson(L);
  openCmsgpack(L);
  openStruct(L);
  openBit(L);
  if (opensFunctions) openRedisForFunctions(L, redisVersion, redisVersionNumber);
  else openRedisForScripts(L, redisVersion, redisVersionNumber);
  if (!opensFunctions) setFunction(L, '__redis__err__handler', handleError.index);
  lua_settop(L, 0);
  protectStrings(L);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  refuseMissing(L);
  protectRecursively(L);
  if (opensFunctions) openLibraryApi(L, redisVersion, redisVersionNumber);
  return 0;
}

/** The metatable of strings is the same for all scripts, so nobody may change it. */
function protectStrings(L: State): void {
  lua_pushstring(L, NIL);
  if (lua_getmetatable(L, -1) !== 0) setReadonly(lua_topointer(L, -1), true);
  lua_settop(L, 0);
}

/** The error handler of scripts: makes a table of the error, and notes in it where it was raised. */
function handleError(L: State): i32 {
  lua_settop(L, 1);
  let known = lua_getstack(L, 1, debugInfo) !== 0;
  if (known) {
    lua_getinfo(L, INFO, debugInfo);
    if (load<u8>(load<usize>(debugInfo, DEBUG_WHAT)) === 0x43 /* "C" */) {
      known = lua_getstack(L, 2, debugInfo) !== 0;
      if (known) lua_getinfo(L, INFO, debugInfo);
    }
  }
  if (lua_type(L, 1) !== LUA_TTABLE) {
    lua_createtable(L, 0, 1);
    lua_pushstring(L, ERR_CODE);
    pushText(L, 1);
    lua_concat(L, 2);
    lua_setfield(L, -2, ERR);
    lua_replace(L, 1);
  }
  if (!known) return 1;
  if (isReadonly(lua_topointer(L, 1))) {
    // Redis's handler is Lua code, fails with this table, and notes where it has failed itself.
    lua_createtable(L, 0, 3);
    lua_pushstring(L, HANDLER_FAILED);
    lua_setfield(L, -2, ERR);
    lua_replace(L, 1);
    notePlace(L, HANDLER_SOURCE, HANDLER_LINE);
  } else {
    notePlace(L, load<usize>(debugInfo, DEBUG_SOURCE), load<i32>(debugInfo, DEBUG_CURRENT_LINE));
  }
  return 1;
}

/** Notes in the error at index 1 where it was raised. */
function notePlace(L: State, source: usize, line: i32): void {
  lua_pushstring(L, source);
  lua_setfield(L, 1, SOURCE);
  lua_pushnumber(L, <f64>line);
  lua_setfield(L, 1, LINE);
}

// What a call of `evaluate` or `compileScript` gives to the functions inside the protected call.
let reference: i32 = 0;
let keyCount: i32 = 0;
let argCount: i32 = 0;
let clientProtocol: i32 = 2;
/** The next length and the next bytes of the input. */
let nextLength: usize = 0;
let nextBytes: usize = 0;

/** Pushes a table with the next `count` strings of the input. */
function pushStrings(L: State, count: i32): void {
  lua_createtable(L, arraySize(count), 0);
  for (let index = 1; index <= count; index++) {
    const length = load<u32>(nextLength);
    lua_pushlstring(L, nextBytes, length);
    lua_rawseti(L, -2, index);
    nextLength += 4;
    nextBytes += length;
  }
}

/** Runs a script of EVAL. Its arguments are the names "KEYS" and "ARGV". */
function runScript(L: State): i32 {
  lua_pushvalue(L, 1);
  pushStrings(L, keyCount);
  lua_rawset(L, LUA_GLOBALSINDEX);
  lua_pushvalue(L, 2);
  pushStrings(L, argCount);
  lua_rawset(L, LUA_GLOBALSINDEX);
  lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
  lua_call(L, 0, 1);
  lua_replace(L, RESULT);
  setResult(writeResult(L, clientProtocol, scriptProtocol));
  return 0;
}

function runFunction(L: State): i32 {
  lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
  pushStrings(L, keyCount);
  pushStrings(L, argCount);
  lua_call(L, 2, 1);
  lua_replace(L, RESULT);
  setResult(writeResult(L, clientProtocol, scriptProtocol));
  return 0;
}

/**
 * Runs a compiled script or function. The input has the lengths of all keys and arguments (4 bytes each), then their bytes.
 * Returns an `Outcome`.
 */
export function evaluate(L: State, script: i32, keys: i32, args: i32, protocol: i32): i32 {
  reference = script;
  keyCount = keys;
  argCount = args;
  clientProtocol = protocol;
  nextLength = input;
  nextBytes = input + 4 * (keys + args);
  clean(L);
  resetScriptProtocol();
  beginScript(L);
  lua_pushvalue(L, RUNNER);
  lua_pushvalue(L, KEYS);
  lua_pushvalue(L, ARGV);
  if (lua_pcall(L, 2, 0, HANDLER) === 0) return countedError ? Outcome.CountedReply : Outcome.Reply;
  return failure(L);
}

let failureCounted: bool = false;

/** Describes the error on top of the stack. */
function failure(L: State): i32 {
  failureCounted = false;
  resetBuffer();
  for (let part = 0; part < 3; part++) store<i32>(results + 4 * part, -1, RESULT_PARTS);
  store<i32>(results, lua_type(L, -1) === LUA_TTABLE ? 1 : 0, RESULT_TABLE);
  lua_pushvalue(L, DESCRIBER);
  lua_insert(L, -2);
  lua_pcall(L, 1, 0, 0);
  lua_settop(L, BOTTOM);
  setResult(0);
  // An error that is no table is Lua's own: there was no memory, and the next script shall have some.
  if (load<i32>(results, RESULT_TABLE) === 0) collect(L);
  return failureCounted ? Outcome.CountedFailure : Outcome.Failure;
}

/** Takes the error apart that is its argument: a table as `handleError` makes it, or a text. */
function describeError(L: State): i32 {
  if (lua_type(L, 1) !== LUA_TTABLE) {
    addPart(L, 0, 0);
    return 0;
  }
  let end: u32 = 0;
  lua_pushstring(L, IGNORE_STATISTICS);
  lua_rawget(L, 1);
  failureCounted = lua_toboolean(L, -1) !== 0;
  lua_pushstring(L, ERR);
  lua_rawget(L, 1);
  end = addPart(L, 0, end);
  lua_pushstring(L, SOURCE);
  lua_rawget(L, 1);
  end = addPart(L, 1, end);
  lua_pushstring(L, LINE);
  lua_rawget(L, 1);
  addPart(L, 2, end);
  return 0;
}

/** Adds the value on top of the stack to the buffer, up to its first zero byte, if it is a string or a number. */
function addPart(L: State, part: i32, at: u32): u32 {
  if (lua_isstring(L, -1) === 0) return at;
  const bytes = lua_tolstring(L, -1, 0);
  const length = <u32>textLength(bytes);
  store<u32>(results + 4 * part, length, RESULT_PARTS);
  return append(L, at, bytes, length);
}

/** What the script before has left goes. */
function clean(L: State): void {
  lua_settop(L, BOTTOM);
  resetBuffer();
  resetReplyArea();
  restoreCollector(L);
  restoreRandom();
  restoreCjson();
  resetLoads();
}

let codeBytes: usize = 0;
let codeLength: u32 = 0;

/**
 * Compiles the source of a script, which is in the input. Returns a reference to it (positive), or 0: then the
 * result is an error.
 */
export function compileScript(L: State, length: u32): i32 {
  codeBytes = input;
  codeLength = length;
  reference = 0;
  clean(L);
  beginScript(L);
  if (lua_cpcall(L, compileProtected.index, 0) !== 0) {
    reference = 0;
    failure(L);
  }
  lua_settop(L, BOTTOM);
  return reference;
}

function compileProtected(L: State): i32 {
  if (compile(L, codeBytes, codeLength, SCRIPT_NAME) !== 0) return lua_error(L);
  reference = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

/**
 * Runs the source of a library, which is in the input and registers its functions with the host. Returns 0, or 1 if it does
 * not compile and 2 if it fails: then the result is an error.
 */
export function loadLibrary(L: State, length: u32): i32 {
  codeBytes = input;
  codeLength = length;
  compiled = false;
  clean(L);
  resetScriptProtocol();
  beginScript(L);
  const status = lua_cpcall(L, loadProtected.index, 0);
  endLoad(L);
  if (status === 0) {
    lua_settop(L, BOTTOM);
    return 0;
  }
  failure(L);
  return compiled ? 2 : 1;
}
let compiled: bool = false;

function loadProtected(L: State): i32 {
  beginLoad(L);
  if (compile(L, codeBytes, codeLength, FUNCTION_NAME) !== 0) return lua_error(L);
  compiled = true;
  lua_call(L, 0, 0);
  return 0;
}

/** Forgets a compiled script or function. */
export function release(L: State, script: i32): void {
  luaL_unref(L, LUA_REGISTRYINDEX, script);
}

/** Bytes that a state's values take, garbage included. */
export function usedBytes(L: State): u32 {
  return <u32>lua_gc(L, LUA_GCCOUNT, 0) * 1024;
}

/** Collects all garbage. */
export function collectGarbage(L: State): void {
  lua_gc(L, LUA_GCCOLLECT, 0);
}

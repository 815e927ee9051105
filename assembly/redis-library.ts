/** The library `redis` (also called `server`): commands, errors, logging. Texts of errors are Redis's. */
import { append, buffer, bufferTop, keep, reserve } from './buffer';
import { pushError, pushErrorText, raiseErrorText } from './errors';
import { hostAclCheck, hostCall, hostLog, hostSetProtocol, hostSetReplication } from './host';
import { askNow, spend } from './interrupt';
import {
  LUA_TNUMBER,
  LUA_TSTRING,
  lua_createtable,
  lua_error,
  lua_gettop,
  lua_isnumber,
  lua_pushboolean,
  lua_pushlstring,
  lua_pushstring,
  lua_pushvalue,
  lua_setfield,
  lua_settop,
  lua_tolstring,
  lua_tonumber,
  lua_type,
  State,
} from './lua';
import { NUMBER_BYTES_MAX, toInt32, writeGeneral } from './numbers';
import { beginLibrary, endLibrary, refuseMissing, setFunction, setNumber } from './registry';
import { replyStart } from './reply-area';
import { readReply } from './reply-reader';
import { SHA1_HEX_BYTES, sha1Hex } from './sha1';
import { text } from './text';

const OK = text('ok');
const NO_ARGUMENT = text('Please specify at least one argument for this redis lib call');
const WRONG_ARGUMENT = text('Lua redis lib command arguments must be strings or integers');
const WRONG_FIELD = text('wrong number or type of arguments');
const WRONG_COUNT = text('wrong number of arguments');
const LOG_ARGUMENTS = text('redis.log() requires two arguments or more.');
const LOG_LEVEL_TYPE = text('First argument must be a number (log level).');
const LOG_LEVEL = text('Invalid debug level.');
const SETRESP_ARGUMENTS = text('redis.setresp() requires one argument.');
const SETRESP_VERSION = text('RESP version must be 2 or 3.');
const SET_REPL_ARGUMENTS = text('redis.set_repl() requires two arguments.');
const SET_REPL_FLAGS = text('Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.');
const ACL_NO_COMMAND = text('Invalid command passed to redis.acl_check_cmd()');
const LIMIT = text('reached lua stack limit');

const LOG_LEVEL_MAX = 3;
const REPLICATION_FLAGS = 3;
/** `unpack` makes so many values at most, besides those that a function may have otherwise. */
const ARGUMENTS_MAX = 8000 + 256;
/** What a command costs at least, in steps of `interrupt.ts`. */
const CALL_STEPS = 8;

const pairs = memory.data(8 * 8256, 8);
const lengthCell = memory.data(4, 4);

/** The protocol in which commands reply to the running script. */
export let scriptProtocol: i32 = 2;

export function resetScriptProtocol(): void {
  scriptProtocol = 2;
}

/**
 * Makes pairs [offset, length] of the arguments on the stack, strings and numbers. Returns how many there are, or 0 and an
 * error on the stack.
 */
function readArguments(L: State): i32 {
  const count = lua_gettop(L);
  if (count === 0) {
    pushErrorText(L, NO_ARGUMENT);
    return 0;
  }
  if (count > ARGUMENTS_MAX) {
    pushErrorText(L, LIMIT);
    return 0;
  }
  let pair = pairs;
  let numbers = 0;
  for (let index = 1; index <= count; index++) {
    const type = lua_type(L, index);
    if (type === LUA_TSTRING) {
      store<usize>(pair, lua_tolstring(L, index, pair + 4));
    } else if (type === LUA_TNUMBER) {
      store<usize>(pair, 0);
      numbers++;
    } else {
      pushErrorText(L, WRONG_ARGUMENT);
      return 0;
    }
    pair += 8;
  }
  if (numbers > 0) writeNumbers(L, count, numbers);
  return count;
}

/** Writes the numbers among the arguments with 17 digits, which Lua itself does not do. */
function writeNumbers(L: State, count: i32, numbers: i32): void {
  reserve(L, bufferTop, numbers * NUMBER_BYTES_MAX);
  let at = buffer + bufferTop;
  for (let index = 0; index < count; index++) {
    const pair = pairs + 8 * index;
    if (load<usize>(pair) !== 0) continue;
    store<usize>(pair, at);
    const length = writeGeneral(lua_tonumber(L, index + 1), 17, at);
    store<i32>(pair, length, 4);
    at += NUMBER_BYTES_MAX;
  }
}

function redisCall(L: State): i32 {
  const count = readArguments(L);
  if (count === 0) return lua_error(L);
  spend(L, CALL_STEPS);
  hostCall(pairs, count);
  lua_settop(L, 0);
  const reply = replyStart();
  if (load<u8>(reply) === 0) askNow(L);
  readReply(L, reply);
  if (load<u8>(reply) === 0x2d /* - */) return lua_error(L);
  return 1;
}

function redisPcall(L: State): i32 {
  const count = readArguments(L);
  if (count === 0) return 1;
  spend(L, CALL_STEPS);
  hostCall(pairs, count);
  lua_settop(L, 0);
  if (load<u8>(replyStart()) === 0) askNow(L);
  readReply(L, replyStart());
  return 1;
}

function errorReply(L: State): i32 {
  if (lua_gettop(L) !== 1 || lua_type(L, 1) !== LUA_TSTRING) {
    pushErrorText(L, WRONG_FIELD);
    return 1;
  }
  const bytes = lua_tolstring(L, 1, lengthCell);
  const length = load<u32>(lengthCell);
  if (length > 0 && load<u8>(bytes) === 0x2d) {
    pushError(L, bytes, length);
    return 1;
  }
  // Behind a minus, the first word is a code.
  const top = bufferTop;
  reserve(L, top, length + 1);
  store<u8>(buffer + top, 0x2d);
  memory.copy(buffer + top + 1, bytes, length);
  keep(top + length + 1);
  pushError(L, buffer + top, length + 1);
  keep(top);
  return 1;
}

function statusReply(L: State): i32 {
  if (lua_gettop(L) !== 1 || lua_type(L, 1) !== LUA_TSTRING) {
    pushErrorText(L, WRONG_FIELD);
    return 1;
  }
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, OK);
  return 1;
}

function sha1hex(L: State): i32 {
  if (lua_gettop(L) !== 1) return raiseErrorText(L, WRONG_COUNT);
  store<u32>(lengthCell, 0);
  const bytes = lua_tolstring(L, 1, lengthCell);
  const length = bytes === 0 ? 0 : load<u32>(lengthCell);
  spend(L, length >> 3);
  lua_pushlstring(L, sha1Hex(bytes, length), SHA1_HEX_BYTES);
  return 1;
}

function log(L: State): i32 {
  const count = lua_gettop(L);
  if (count < 2) return raiseErrorText(L, LOG_ARGUMENTS);
  if (lua_isnumber(L, 1) === 0) return raiseErrorText(L, LOG_LEVEL_TYPE);
  const level = toInt32(lua_tonumber(L, 1));
  if (level < 0 || level > LOG_LEVEL_MAX) return raiseErrorText(L, LOG_LEVEL);
  const top = bufferTop;
  let end = top;
  for (let index = 2; index <= count; index++) {
    const bytes = lua_tolstring(L, index, lengthCell);
    if (bytes === 0) continue;
    if (index > 2) {
      reserve(L, end, 1);
      store<u8>(buffer + end++, 0x20);
    }
    end = append(L, end, bytes, load<u32>(lengthCell));
  }
  hostLog(level, buffer + top, end - top);
  return 0;
}

function setresp(L: State): i32 {
  if (lua_gettop(L) !== 1) return raiseErrorText(L, SETRESP_ARGUMENTS);
  const version = toInt32(lua_tonumber(L, 1));
  if (version !== 2 && version !== 3) return raiseErrorText(L, SETRESP_VERSION);
  scriptProtocol = version;
  hostSetProtocol(version);
  return 0;
}

function setRepl(L: State): i32 {
  if (lua_gettop(L) !== 1) return raiseErrorText(L, SET_REPL_ARGUMENTS);
  const flags = toInt32(lua_tonumber(L, 1));
  if ((flags & ~REPLICATION_FLAGS) !== 0) return raiseErrorText(L, SET_REPL_FLAGS);
  hostSetReplication(flags);
  return 0;
}

function aclCheckCmd(L: State): i32 {
  const count = readArguments(L);
  if (count === 0) return lua_error(L);
  const allowed = hostAclCheck(pairs, count);
  if (allowed < 0) return raiseErrorText(L, ACL_NO_COMMAND);
  lua_pushboolean(L, allowed);
  return 1;
}

/** Scripts are always replicated by their effects. */
function replicateCommands(L: State): i32 {
  lua_pushboolean(L, 1);
  return 1;
}

/** There is no debugger, so nothing stops. */
function breakpoint(L: State): i32 {
  lua_pushboolean(L, 0);
  return 1;
}

function debug(_L: State): i32 {
  return 0;
}

function setLogAndVersion(L: State, version: usize, versionNumber: i32): void {
  setFunction(L, 'log', log.index);
  setNumber(L, 'LOG_DEBUG', 0);
  setNumber(L, 'LOG_VERBOSE', 1);
  setNumber(L, 'LOG_NOTICE', 2);
  setNumber(L, 'LOG_WARNING', 3);
  setNumber(L, 'REDIS_VERSION_NUM', versionNumber);
  lua_pushstring(L, version);
  lua_setfield(L, -2, text('REDIS_VERSION'));
}

function setShared(L: State, version: usize, versionNumber: i32): void {
  setFunction(L, 'call', redisCall.index);
  setFunction(L, 'pcall', redisPcall.index);
  setLogAndVersion(L, version, versionNumber);
  setFunction(L, 'setresp', setresp.index);
  setFunction(L, 'sha1hex', sha1hex.index);
  setFunction(L, 'error_reply', errorReply.index);
  setFunction(L, 'status_reply', statusReply.index);
  setFunction(L, 'set_repl', setRepl.index);
  setNumber(L, 'REPL_NONE', 0);
  setNumber(L, 'REPL_AOF', 1);
  setNumber(L, 'REPL_SLAVE', 2);
  setNumber(L, 'REPL_REPLICA', 2);
  setNumber(L, 'REPL_ALL', 3);
  setFunction(L, 'acl_check_cmd', aclCheckCmd.index);
}

/** Makes the library for scripts of EVAL a field of the table on top of the stack. */
export function openRedisForScripts(L: State, version: usize, versionNumber: i32): void {
  beginLibrary(L, 'redis', 0);
  setShared(L, version, versionNumber);
  setFunction(L, 'breakpoint', breakpoint.index);
  setFunction(L, 'debug', debug.index);
  setFunction(L, 'replicate_commands', replicateCommands.index);
  alias(L);
}

/** Makes the library for functions a field of the table on top of the stack. */
export function openRedisForFunctions(L: State, version: usize, versionNumber: i32): void {
  beginLibrary(L, 'redis', 0);
  setShared(L, version, versionNumber);
  alias(L);
}

/** Makes the library that a library of functions sees while it is loaded. */
export function openRedisForLoading(L: State, register: u32, version: usize, versionNumber: i32): void {
  beginLibrary(L, 'redis', 0);
  setFunction(L, 'register_function', register);
  setLogAndVersion(L, version, versionNumber);
  refuseMissing(L);
  alias(L);
}

/** Ends the library, which has a second name. */
function alias(L: State): void {
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, text('server'));
  endLibrary(L);
}

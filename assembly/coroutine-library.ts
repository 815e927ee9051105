/**
 * The library `coroutine`. It is our own because the engine has to know which thread of Lua is running
 * (`interrupt.ts`), and because an error that ends the script must pass through all of them.
 */
import { endAgain, HOOK_INSTRUCTIONS, hasEnded, spend } from './interrupt';
import {
  LUA_GLOBALSINDEX,
  LUA_TFUNCTION,
  LUA_YIELD,
  lua_checkstack,
  lua_concat,
  lua_error,
  lua_getstack,
  lua_gettop,
  lua_insert,
  lua_iscfunction,
  lua_isstring,
  lua_newthread,
  lua_pushboolean,
  lua_pushcclosure,
  lua_pushnil,
  lua_pushstring,
  lua_pushthread,
  lua_pushvalue,
  lua_resume,
  lua_status,
  lua_tothread,
  lua_type,
  lua_xmove,
  lua_yield,
  luaL_argerror,
  luaL_where,
  STATE_C_CALLS,
  STATE_HOOK_COUNT,
  State,
  upvalue,
} from './lua';
import { beginLibrary, endLibrary, setFunction } from './registry';
import { checkArgument, raise, text } from './text';
import { hookEach, setRunning } from './work';

const COROUTINE_EXPECTED = text('coroutine expected');
const FUNCTION_EXPECTED = text('Lua function expected');
const TOO_MANY_ARGUMENTS = text('too many arguments to resume');
const TOO_MANY_RESULTS = text('too many results');
const DEAD = text('cannot resume dead coroutine');
const RUNNING = text('cannot resume running coroutine');
const NORMAL = text('cannot resume normal coroutine');
const STATUS_RUNNING = text('running');
const STATUS_SUSPENDED = text('suspended');
const STATUS_NORMAL = text('normal');
const STATUS_DEAD = text('dead');

/** What it costs to switch to a coroutine and back, in steps of `interrupt.ts`. */
const RESUME_STEPS = 16;

const debugInfo = memory.data(100, 8);

const enum Status {
  Running,
  Suspended,
  Normal,
  Dead,
}

function statusOf(L: State, thread: State): Status {
  if (L === thread) return Status.Running;
  const status = lua_status(thread);
  if (status === LUA_YIELD) return Status.Suspended;
  if (status !== 0) return Status.Dead;
  if (lua_getstack(thread, 0, debugInfo) > 0) return Status.Normal;
  return lua_gettop(thread) === 0 ? Status.Dead : Status.Suspended;
}

/** Resumes a thread with the `count` values on top of the stack. Returns the number of results, or -1 and an error. */
function resumeThread(L: State, thread: State, count: i32): i32 {
  const status = statusOf(L, thread);
  if (lua_checkstack(thread, count) === 0) raise(L, TOO_MANY_ARGUMENTS);
  if (status !== Status.Suspended) {
    lua_pushstring(L, status === Status.Dead ? DEAD : status === Status.Running ? RUNNING : NORMAL);
    return -1;
  }
  spend(L, RESUME_STEPS);
  lua_xmove(L, thread, count);
  setRunning(thread);
  // In Lua 5.1 each thread counts its own C calls and its own instructions: nested ones had no limit.
  store<u16>(thread, load<u16>(L, STATE_C_CALLS), STATE_C_CALLS);
  store<i32>(thread, load<i32>(L, STATE_HOOK_COUNT), STATE_HOOK_COUNT);
  const result = lua_resume(thread, count);
  store<i32>(L, load<i32>(thread, STATE_HOOK_COUNT), STATE_HOOK_COUNT);
  setRunning(L);
  if (hasEnded()) endAgain(L);
  if (result === 0 || result === LUA_YIELD) {
    const results = lua_gettop(thread);
    if (lua_checkstack(L, results + 1) === 0) raise(L, TOO_MANY_RESULTS);
    lua_xmove(thread, L, results);
    return results;
  }
  lua_xmove(thread, L, 1);
  return -1;
}

function create(L: State): i32 {
  const thread = lua_newthread(L);
  hookEach(thread, HOOK_INSTRUCTIONS);
  checkArgument(L, lua_type(L, 1) === LUA_TFUNCTION && lua_iscfunction(L, 1) === 0, 1, FUNCTION_EXPECTED);
  lua_pushvalue(L, 1);
  lua_xmove(L, thread, 1);
  return 1;
}

function resume(L: State): i32 {
  const thread = lua_tothread(L, 1);
  if (thread === 0) luaL_argerror(L, 1, COROUTINE_EXPECTED);
  const results = resumeThread(L, thread, lua_gettop(L) - 1);
  if (results < 0) {
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushboolean(L, 1);
  lua_insert(L, -(results + 1));
  return results + 1;
}

/** What `wrap` returns; the thread is its upvalue. */
function resumeWrapped(L: State): i32 {
  const thread = lua_tothread(L, upvalue(1));
  const results = resumeThread(L, thread, lua_gettop(L));
  if (results >= 0) return results;
  if (lua_isstring(L, -1) !== 0) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

function wrap(L: State): i32 {
  create(L);
  lua_pushcclosure(L, resumeWrapped.index, 1);
  return 1;
}

function yieldValues(L: State): i32 {
  return lua_yield(L, lua_gettop(L));
}

function status(L: State): i32 {
  const thread = lua_tothread(L, 1);
  if (thread === 0) luaL_argerror(L, 1, COROUTINE_EXPECTED);
  const found = statusOf(L, thread);
  lua_pushstring(
    L,
    found === Status.Running
      ? STATUS_RUNNING
      : found === Status.Suspended
        ? STATUS_SUSPENDED
        : found === Status.Normal
          ? STATUS_NORMAL
          : STATUS_DEAD,
  );
  return 1;
}

function runningThread(L: State): i32 {
  if (lua_pushthread(L) !== 0) lua_pushnil(L);
  return 1;
}

export function openCoroutine(L: State): void {
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  beginLibrary(L, 'coroutine', 6);
  setFunction(L, 'create', create.index);
  setFunction(L, 'resume', resume.index);
  setFunction(L, 'running', runningThread.index);
  setFunction(L, 'status', status.index);
  setFunction(L, 'wrap', wrap.index);
  setFunction(L, 'yield', yieldValues.index);
  endLibrary(L);
}

/**
 * Ends a script that must not go on, wherever it is.
 *
 * Each 100,000 instructions Lua calls `hook`, which asks the host. Long functions of our own count their steps with
 * `spend` and ask, too. Work that is neither (garbage, long strings that Lua copies) is counted by the allocator, which makes
 * the hook run before the next instruction.
 *
 * Once the host has said that the script has to end, nothing catches that error: each protected call that returns and
 * each instruction behind it raises it again.
 */
import { setPressure } from './allocator';
import { pushError } from './errors';
import { hostInterrupt } from './host';
import { LUA_GCCOLLECT, lua_error, lua_gc, State } from './lua';
import { replyStart } from './reply-area';
import { collected, collects, countSteps, hookEach, resetSteps, setHook, setRunning } from './work';

export const HOOK_INSTRUCTIONS = 100000;

/** The length of the error's text in the reply area, once the script has to end; 0 before. */
let ended: i32 = 0;

setHook(hook.index);

/** Begins to count for a script. */
export function beginScript(L: State): void {
  setRunning(L);
  resetSteps();
  if (ended !== 0) {
    ended = 0;
    hookEach(L, HOOK_INSTRUCTIONS);
  }
}

/** Whether the script has to end; nobody may catch the error. */
export function hasEnded(): bool {
  return ended !== 0;
}

/** Counts steps of work; returns or raises the error that ends the script. */
export function spend(L: State, count: i32): void {
  if (countSteps(count)) ask(L);
}

/** Collects all garbage: memory is short. */
export function collect(L: State): void {
  collected();
  lua_gc(L, LUA_GCCOLLECT, 0);
  setPressure();
}

/** The host wants to be asked at once. */
export function askNow(L: State): void {
  ask(L);
}

function ask(L: State): void {
  resetSteps();
  if (ended === 0) ended = hostInterrupt();
  if (ended !== 0) endAgain(L);
}

/** Raises the error that ends the script, and sees to it that it is raised again if it is caught. */
export function endAgain(L: State): void {
  hookEach(L, 1);
  pushError(L, replyStart(), ended);
  lua_error(L);
}

function hook(L: State, _info: usize): void {
  if (ended === 0) hookEach(L, HOOK_INSTRUCTIONS);
  if (collects) collect(L);
  ask(L);
}

/**
 * Ends a script that must not go on, wherever it is.
 *
 * Each 100,000 instructions Lua calls `hook`, which asks the host. Long functions of our own count their steps with
 * `spend` and ask, too. Work that is neither (garbage, long strings that Lua copies) is counted by the allocator, which
 * may not raise an error: it makes the hook run before the next instruction.
 *
 * Once the host has said that the script has to end, nothing catches that error: each protected call that returns and
 * each instruction behind it raises it again.
 */
import { hostInterrupt } from './host';
import { LUA_GCCOLLECT, LUA_MASKCOUNT, lua_error, lua_gc, lua_sethook, State } from './lua';
import { setPressure } from './allocator';
import { pushError } from './errors';
import { replyStart } from './reply-area';

export const HOOK_INSTRUCTIONS = 100000;
/** Steps of some nanoseconds between two questions to the host: about as long as the hook's instructions take. */
const STEPS = 200000;

let steps: i32 = STEPS;
/** The length of the error's text in the reply area, once the script has to end; 0 before. */
let ended: i32 = 0;
/** The thread of Lua that is running. */
export let running: State = 0;

export function setRunning(L: State): void {
  running = L;
}

/** Begins to count for a script. */
export function beginScript(L: State): void {
  running = L;
  steps = STEPS;
  if (ended != 0) {
    ended = 0;
    hookEach(L, HOOK_INSTRUCTIONS);
  }
}

export function hookEach(L: State, instructions: i32): void {
  lua_sethook(L, hook.index, LUA_MASKCOUNT, instructions);
}

/** Whether the script has to end; nobody may catch the error. */
// @ts-ignore: decorator
@inline
export function hasEnded(): bool {
  return ended != 0;
}

/** Counts steps of work; returns or raises the error that ends the script. */
// @ts-ignore: decorator
@inline
export function spend(L: State, count: i32): void {
  steps -= count;
  if (steps < 0) ask(L);
}

/** Counts steps where no error may be raised. */
// @ts-ignore: decorator
@inline
export function spendLater(count: i32): void {
  steps -= count;
  if (steps < 0 && running != 0) {
    steps = 0x7fffffff;
    hookEach(running, 1);
  }
}

let collects: bool = false;

/** Has garbage collected before the next instruction: the allocator must not do it itself. */
export function collectLater(): void {
  collects = true;
  if (running != 0) hookEach(running, 1);
}

/** Collects all garbage, for which memory must be short. */
export function collect(L: State): void {
  collects = false;
  lua_gc(L, LUA_GCCOLLECT, 0);
  setPressure();
}

function ask(L: State): void {
  steps = STEPS;
  if (ended == 0) ended = hostInterrupt();
  if (ended != 0) endAgain(L);
}

/** Raises the error that ends the script, and sees to it that it is raised again if it is caught. */
export function endAgain(L: State): void {
  hookEach(L, 1);
  pushError(L, replyStart(), ended);
  lua_error(L);
}

function hook(L: State, info: usize): void {
  if (ended == 0) hookEach(L, HOOK_INSTRUCTIONS);
  if (collects) collect(L);
  ask(L);
}

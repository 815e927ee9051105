/**
 * Counts the work of the running script, in steps of a few nanoseconds, and makes Lua's hook (`interrupt.ts`) run before the
 * next instruction where something has to be seen to that can't be done at once: the allocator must neither raise an error
 * nor collect garbage.
 */
import { LUA_MASKCOUNT, lua_sethook, State } from './lua';

/** Steps between two questions to the host: they take about as long as the hook's instructions. */
const STEPS = 200000;

let steps: i32 = STEPS;
let hookIndex: u32 = 0;
/** The thread of Lua that is running. */
export let running: State = 0;
/** Garbage is to be collected before the next instruction. */
export let collects: bool = false;

export function setRunning(L: State): void {
  running = L;
}

/** Says which function the hook is. */
export function setHook(index: u32): void {
  hookIndex = index;
}

/** Has the hook run each so many instructions. */
export function hookEach(L: State, instructions: i32): void {
  lua_sethook(L, hookIndex, LUA_MASKCOUNT, instructions);
}

/** Begins to count again. */
export function resetSteps(): void {
  steps = STEPS;
}

/** Counts steps. Returns whether it is time to ask the host. */
export function countSteps(count: i32): bool {
  steps -= count;
  return steps < 0;
}

/** Counts steps where the host can't be asked at once. */
export function spendLater(count: i32): void {
  steps -= count;
  if (steps < 0 && running !== 0) {
    steps = i32.MAX_VALUE;
    hookEach(running, 1);
  }
}

/** Called by Lua when it makes a long string. */
export function countString(length: u32): void {
  spendLater(<i32>(length >> 4));
}

/** No string is longer than the memory of an engine. */
const LENGTH_MAX: u32 = 1 << 26;

/**
 * Called by Lua before it compares a text with another one. If the text is a string of Lua, its length is in front of it; if it
 * is not, or is the rest of one behind a zero byte, a wrong count does no harm.
 */
export function countComparison(text: usize): void {
  const length = load<u32>(text - 4);
  if (length > 256) spendLater(<i32>((length < LENGTH_MAX ? length : LENGTH_MAX) >> 2));
}

/** Has garbage collected before the next instruction. */
export function collectLater(): void {
  collects = true;
  if (running !== 0) hookEach(running, 1);
}

export function collected(): void {
  collects = false;
}

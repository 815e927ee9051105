/**
 * `math.random` and `math.randomseed` as Redis has them; the rest of the library `math` is Lua's.
 *
 * The generator is drand48's: the same numbers for the same seed on every machine. Its state goes on from script to
 * script, but a seed that a script has set is gone with the script.
 */
import { checkInt } from './base-library';
import { LUA_GLOBALSINDEX, lua_getfield, lua_gettop, lua_pushnumber, lua_settop, State } from './lua';
import { setFunction } from './registry';
import { checkArgument, raise, text } from './text';

const MATH = text('math');
const EMPTY_INTERVAL = text('interval is empty');
const WRONG_COUNT = text('wrong number of arguments');

const MULTIPLIER: u64 = 0x5deece66d;
const INCREMENT: u64 = 0xb;
const MASK: u64 = (1 << 48) - 1;
const SEED_LOW: u64 = 0x330e;
const LARGEST: u32 = 0x7fffffff;

let state: u64 = 0x1234abcd330e;
/** The state before the running script set a seed. */
let keptState: u64 = 0;
let seeded: bool = false;

/** Lets the generator begin somewhere else than it does in Redis. */
export function seedRandom(seed: i32): void {
  state = ((<u64>(<u32>seed)) << 16) + SEED_LOW;
}

/** Undoes a script's `math.randomseed`. */
export function restoreRandom(): void {
  if (!seeded) return;
  seeded = false;
  state = keptState;
}

function random(L: State): i32 {
  state = (state * MULTIPLIER + INCREMENT) & MASK;
  const fraction = <f64>(<u32>(state >> 17) % LARGEST) / <f64>LARGEST;
  switch (lua_gettop(L)) {
    case 0:
      lua_pushnumber(L, fraction);
      return 1;
    case 1: {
      const upper = checkInt(L, 1);
      checkArgument(L, upper >= 1, 1, EMPTY_INTERVAL);
      lua_pushnumber(L, Math.floor(fraction * <f64>upper) + 1);
      return 1;
    }
    case 2: {
      const lower = checkInt(L, 1);
      const upper = checkInt(L, 2);
      checkArgument(L, lower <= upper, 2, EMPTY_INTERVAL);
      lua_pushnumber(L, Math.floor(fraction * <f64>(upper - lower + 1)) + <f64>lower);
      return 1;
    }
    default:
      return raise(L, WRONG_COUNT);
  }
}

function randomseed(L: State): i32 {
  const seed = checkInt(L, 1);
  if (!seeded) {
    seeded = true;
    keptState = state;
  }
  seedRandom(seed);
  return 0;
}

export function openMath(L: State): void {
  lua_getfield(L, LUA_GLOBALSINDEX, MATH);
  setFunction(L, 'random', random.index);
  setFunction(L, 'randomseed', randomseed.index);
  lua_settop(L, -2);
}

/** The library `os`, of which scripts have nothing but `clock`. */
import { hostClock } from './host';
import { lua_pushnumber, State } from './lua';
import { beginLibrary, endLibrary, setFunction } from './registry';

function clock(L: State): i32 {
  lua_pushnumber(L, hostClock());
  return 1;
}

export function openOs(L: State): void {
  beginLibrary(L, 'os', 1);
  setFunction(L, 'clock', clock.index);
  endLibrary(L);
}

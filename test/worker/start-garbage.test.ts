/** Garbage of a worker's start. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import t from 'tap';
import { StartGarbage } from '../../src/worker/start-garbage.js';

/** An object that only the reference knows. */
function forgotten(): WeakRef<object> {
  return new WeakRef({ numbers: new Array(1000).fill(0) });
}

t.test('it is collected once, when no command has run for half a second', async (t) => {
  const garbage = new StartGarbage();
  const first = forgotten();
  // What a reference was made for, or asked, stays until the end of the turn.
  await nextTurn();
  for (const [nowMs, commandCount] of [
    [1000, 0],
    [1400, 0],
    [1500, 7],
    [1900, 7],
    [2000, 8],
  ] as const) {
    garbage.tick(nowMs, commandCount);
  }
  t.ok(first.deref() !== undefined, 'clients are served first');
  await nextTurn();
  garbage.tick(2499, 8);
  t.ok(first.deref() !== undefined, 'too early');
  await nextTurn();
  garbage.tick(2500, 8);
  await nextTurn();
  t.equal(first.deref(), undefined);
  const second = forgotten();
  await nextTurn();
  garbage.tick(10_000, 8);
  t.ok(second.deref() !== undefined, 'the engine does the rest by itself');
});

/** How much input a worker waits for. */

import t from 'tap';
import { InputGathering } from '../../src/network/input-gathering.js';

const WINDOW_MS = 50;

/** Counts one window: a round each millisecond, with so many inputs, from so many connections. */
function passWindow(
  gathering: InputGathering,
  startMs: number,
  inputsPerMs: number,
  connections: number,
  sendsPerMs = inputsPerMs,
): void {
  gathering.endRound(startMs, 0, 0);
  gathering.activeConnections = connections;
  for (let ms = 1; ms <= WINDOW_MS; ms++) gathering.endRound(startMs + ms, inputsPerMs, sendsPerMs);
}

function gatheringWith(idleRatio: number, workerCount = 1): InputGathering {
  return new InputGathering(() => workerCount, { idleRatio: () => idleRatio });
}

t.test('at first, and with processors to spare, a round begins with the first input', async (t) => {
  const gathering = gatheringWith(0.6);
  t.equal(gathering.wanted, 1);
  passWindow(gathering, 1000, 40, 100);
  t.equal(gathering.wanted, 1);
});

t.test('as much as comes in a moment, when processors are short', async (t) => {
  const one = gatheringWith(0.1);
  passWindow(one, 1000, 40, 100);
  t.equal(one.wanted, 8);
  const shared = gatheringWith(0.1, 4);
  passWindow(shared, 1000, 40, 100);
  t.equal(shared.wanted, 12);
  t.ok(shared.gatherMs > one.gatherMs);
});

t.test('few connections, or little input, are not waited for', async (t) => {
  const gathering = gatheringWith(0.1);
  passWindow(gathering, 1000, 40, 4);
  t.equal(gathering.wanted, 1);
  passWindow(gathering, 2000, 40, 12);
  t.equal(gathering.wanted, 4);
  passWindow(gathering, 3000, 5, 1000);
  t.equal(gathering.wanted, 1);
  passWindow(gathering, 4000, 1000, 1000);
  t.equal(gathering.wanted, 32);
});

t.test('for messages to many subscribers a round waits longer, and for nearly all publishers', async (t) => {
  const gathering = gatheringWith(0.1);
  passWindow(gathering, 1000, 5, 10);
  t.equal(gathering.wanted, 1);
  const { gatherMs } = gathering;
  passWindow(gathering, 2000, 5, 10, 500);
  t.equal(gathering.wanted, 9);
  t.ok(gathering.gatherMs > gatherMs);
  passWindow(gathering, 3000, 5, 10);
  t.equal(gathering.gatherMs, gatherMs);
});

t.test('when less comes than was wanted, several times, less is wanted before the window ends', async (t) => {
  const gathering = gatheringWith(0.1);
  passWindow(gathering, 1000, 40, 100);
  t.equal(gathering.wanted, 8);
  const pass = (...inputs: number[]) => {
    for (const count of inputs) gathering.endRound(1060, count, count);
  };
  pass(2, 1, 3, 4, 2, 3, 2);
  t.equal(gathering.wanted, 8);
  pass(2);
  t.equal(gathering.wanted, 4);
  pass(0, 0, 0, 0, 0, 0, 0, 0);
  t.equal(gathering.wanted, 1);
});

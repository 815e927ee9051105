/** The access clock of LRU and LFU: wrap-around, decay, growth. */

import t from 'tap';
import { lfuAccessed, lfuCounter, lfuInitial, lruClock, lruIdleMs } from '../../src/keyspace/access-clock.js';

const NOW_MS = Date.UTC(2026, 5, 1);
const MINUTE_MS = 60_000;

t.test('LRU dates, also across the end of its 24 bits', async (t) => {
  for (const start of [NOW_MS, (2 ** 24 * 110 - 5) * 1000]) {
    const access = lruClock(start);
    t.ok(access >= 0 && access < 2 ** 24);
    for (const seconds of [0, 1, 10, 100_000])
      t.equal(lruIdleMs(access, start + seconds * 1000), seconds * 1000);
  }
});

t.test('LFU decays by one per decay time, never below 0', async (t) => {
  const access = lfuInitial(NOW_MS);
  const settings = { logFactor: 10, decayTimeMinutes: 1 };
  for (let minutes = 0; minutes < 10; minutes++) {
    t.equal(lfuCounter(access, NOW_MS + minutes * MINUTE_MS, settings), Math.max(0, 5 - minutes));
  }
  const slow = { logFactor: 10, decayTimeMinutes: 3 };
  t.equal(lfuCounter(access, NOW_MS + 7 * MINUTE_MS, slow), 3);
  const never = { logFactor: 10, decayTimeMinutes: 0 };
  t.equal(lfuCounter(access, NOW_MS + 1000 * MINUTE_MS, never), 5);
});

t.test('LFU grows slower the larger it is, up to 255', async (t) => {
  const after = (accesses: number, logFactor: number): number => {
    const settings = { logFactor, decayTimeMinutes: 1 };
    let access = lfuInitial(NOW_MS);
    for (let count = 0; count < accesses; count++) access = lfuAccessed(access, NOW_MS, settings);
    return lfuCounter(access, NOW_MS, settings);
  };
  t.equal(after(1000, 0), 255, 'factor 0: every access counts');
  const hundred = after(100, 10);
  const hundredThousand = after(100_000, 10);
  t.ok(hundred > 5 && hundred < 25, `${hundred}`);
  t.ok(hundredThousand > 100 && hundredThousand < 200, `${hundredThousand}`);
});

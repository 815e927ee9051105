/** How much of the time the persistence thread gets, on a machine that is only counted. */

import t from 'tap';
import { ProcessorShare } from '../../src/persistence/processor-share.js';

/** Milliseconds of work between two chances to give way. */
const WORK_MS = 0.02;

/**
 * The share of the time that a thread works which the scheduler would let work for `offered` of it, and how often it
 * has slept.
 */
function shareOf(offered: number): { share: number; sleeps: number } {
  let nowMs = 1000;
  let cpuMs = 50;
  let sleeps = 0;
  let yields = 0;
  const scheduler = {
    yieldProcessor: () => {
      yields++;
    },
    threadCpuMs: () => cpuMs,
  };
  const share = new ProcessorShare(
    scheduler,
    () => nowMs,
    (milliseconds) => {
      nowMs += milliseconds;
      sleeps++;
    },
  );
  share.begin();
  const turns = 50_000;
  for (let turn = 0; turn < turns; turn++) {
    nowMs += WORK_MS / offered;
    cpuMs += WORK_MS;
    share.giveWay();
  }
  t.equal(yields, turns, 'it yields every time');
  return { share: (cpuMs - 50) / (nowMs - 1000), sleeps };
}

t.test('on a busy machine it takes no more than its share', async (t) => {
  for (const offered of [0.85, 0.6, 0.4]) {
    const { share } = shareOf(offered);
    t.ok(share > 0.33 && share < 0.38, `offered ${offered}, it took ${share}`);
  }
});

t.test('with less than its share it never sleeps', async (t) => {
  const { share, sleeps } = shareOf(0.3);
  t.equal(sleeps, 0);
  t.ok(Math.abs(share - 0.3) < 0.001, String(share));
});

t.test('with nobody in its way it has most of the time, yet sleeps now and then', async (t) => {
  const { share, sleeps } = shareOf(1);
  t.ok(share > 0.85 && share < 0.95, String(share));
  t.ok(sleeps > 100, String(sleeps));
});

t.test('each piece of work starts anew, and without a scheduler nothing is asked', async (t) => {
  let nowMs = 0;
  let sleeps = 0;
  const scheduler = { yieldProcessor: () => {}, threadCpuMs: () => nowMs };
  const share = new ProcessorShare(
    scheduler,
    () => nowMs,
    () => sleeps++,
  );
  share.begin();
  nowMs = 1.9;
  share.giveWay();
  t.equal(sleeps, 0);
  nowMs = 1_000_000;
  share.begin();
  nowMs += 1.9;
  share.giveWay();
  t.equal(sleeps, 0, 'what was worked before does not count');
  nowMs += 0.2;
  share.giveWay();
  t.equal(sleeps, 1);
  const free = new ProcessorShare(
    null,
    () => Number(t.fail('the time')),
    () => t.fail('a sleep'),
  );
  free.giveWay();
});

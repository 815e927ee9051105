/** How many workers are active, and which connections move, with made-up loads. */

import t from 'tap';
import type { Connection } from '../../src/network/connection.js';
import type { ProcessorLoad } from '../../src/network/processor-load.js';
import { WorkerLoad } from '../../src/state/worker-load.js';
import { ActiveWorkerPolicy, WorkerPlacement } from '../../src/worker/placement.js';

const PROCESSORS = 8;

interface Tick {
  busy: number;
  idle?: number;
  /** Commands per ms. */
  rate?: number;
  longestRoundMs?: number;
  lockWait?: number;
}

/** Passes ticks of 100 ms and returns how many workers were active after each. */
class Course {
  active = 1;
  private nowMs = 1_000_000;
  private commands = 0;
  private readonly policy = new ActiveWorkerPolicy(8, PROCESSORS);

  pass(count: number, { busy, idle = 4, rate = 100, longestRoundMs = 1, lockWait = 0 }: Tick): number[] {
    return Array.from({ length: count }, () => {
      this.nowMs += 100;
      this.commands += 100 * rate;
      const { commands } = this;
      const load = { busy, idleRatio: idle / PROCESSORS, commands, longestRoundMs, lockWait };
      this.active = this.policy.next(this.active, load, this.nowMs);
      return this.active;
    });
  }

  /** The same, with a load that depends on the number of active workers. */
  follow(count: number, tick: (active: number) => Tick): number[] {
    return Array.from({ length: count }, () => this.pass(1, tick(this.active))[0]!);
  }
}

const growths = (passed: number[]): number =>
  passed.filter((active, index) => index > 0 && active > passed[index - 1]!).length;

t.test('busy workers become more, as long as processors are idle and it is of use', async (t) => {
  const course = new Course();
  t.same(course.pass(3, { busy: 0.6 }), [1, 1, 1]);
  t.same(course.pass(5, { busy: 0.95 }), [1, 1, 1, 1, 2]);
  const all = course.follow(60, (active) => ({ busy: active * 0.95, rate: active * 100 }));
  t.equal(all.at(-1), 8);
  t.equal(growths(all), 2);

  const short = new Course();
  t.equal(short.pass(50, { busy: 0.98, idle: 0.1 }).at(-1), 1);
  const tired = new Course();
  t.equal(tired.follow(50, (active) => ({ busy: 0.7 * active })).at(-1), 1);
});

t.test('what was of no use is taken back, and tried again only rarely', async (t) => {
  const course = new Course();
  course.pass(1, { busy: 0 });
  const passed = course.follow(1800, (active) => ({ busy: active * 0.9, rate: 100 + active }));
  t.ok(growths(passed) >= 3 && growths(passed) <= 7, `${growths(passed)} trials in three minutes`);
  t.ok(passed.filter((active) => active === 1).length > 1700);
  t.equal(Math.max(...passed), 2);
});

t.test('workers that wait for locks become fewer', async (t) => {
  const course = new Course();
  course.pass(1, { busy: 0 });
  // As with one key: two workers do not get more done than one, and seem to have less to do.
  const load = (active: number): Tick => ({
    busy: active === 1 ? 0.95 : 0.7,
    lockWait: active === 1 ? 0 : 0.9,
  });
  const passed = course.follow(1800, load);
  t.ok(growths(passed) >= 3 && growths(passed) <= 7, `${growths(passed)} trials in three minutes`);
  t.ok(passed.filter((active) => active > 1).length <= growths(passed), 'each lasts for one tick');

  const many = new Course();
  many.active = 4;
  t.equal(
    many.follow(30, (active) => ({ busy: 0.9 * active, idle: 0.1, lockWait: 0.05 * active })).at(-1),
    4,
  );
  const hot = many.follow(60, (active) => ({ busy: 0.5 * active + 0.5, lockWait: 0.4 * (active - 1) }));
  t.equal(hot.at(-1), 1);
});

t.test('with processors short, fewer are tried, and kept if they do as much', async (t) => {
  const course = new Course();
  course.active = 4;
  const kept = course.follow(100, (active) => ({ busy: Math.min(active * 0.95, 2.4), idle: 1 }));
  t.ok(kept.filter((active) => active === 2).length > 80);
  const worse = new Course();
  worse.pass(1, { busy: 0 });
  worse.active = 2;
  const load = (active: number): Tick => ({
    busy: active === 1 ? 1 : 1.2,
    idle: 1.5,
    rate: 80 + 20 * active,
  });
  const passed = worse.follow(600, load);
  t.ok(passed.filter((active) => active === 2).length > 540);
});

t.test('a load that ends during the trial proves nothing', async (t) => {
  const course = new Course();
  t.equal(course.pass(7, { busy: 0.95 }).at(-1), 2);
  t.equal(course.pass(30, { busy: 0.01, rate: 1 }).at(-1), 1);
  t.equal(course.pass(5, { busy: 0.95 }).at(-1), 2, 'the next trial does not wait');
});

t.test('what fits into half of fewer workers goes back to them, after a while', async (t) => {
  const course = new Course();
  course.active = 8;
  t.equal(course.pass(9, { busy: 0.9 }).at(-1), 8);
  t.equal(course.pass(1, { busy: 0.9 }).at(-1), 2);
  t.equal(course.pass(30, { busy: 0.9 }).at(-1), 2);
  t.equal(course.pass(30, { busy: 0.01 }).at(-1), 1);
  // In between, it stays as it is.
  t.equal(course.pass(30, { busy: 0.7 }).at(-1), 1);
  course.active = 2;
  t.equal(course.pass(30, { busy: 0.7 }).at(-1), 2);
});

t.test('commands that take long want all workers, from the second on', async (t) => {
  const course = new Course();
  t.same(course.pass(2, { busy: 0.1, longestRoundMs: 130 }), [1, 1]);
  t.equal(course.pass(100, { busy: 0.1 }).at(-1), 1);
  t.same(course.pass(1, { busy: 0.1, longestRoundMs: 130 }), [8]);
  t.equal(course.pass(200, { busy: 0.1 }).at(-1), 8);
  t.equal(course.pass(200, { busy: 0.1 }).at(-1), 1);
  t.equal(course.pass(1, { busy: 0.1, longestRoundMs: 130 }).at(-1), 1);
  t.ok(course.pass(6, { busy: 0.9, longestRoundMs: 130 }).includes(8), 'one after the other');
});

const connections = (count: number) =>
  Array.from({ length: count }, () => ({ activeWindow: 0 }) as Connection);

/** Three workers, of which the first `active` are; `noted` says how many active connections each had last. */
const open = (active: number, noted: number[]) => {
  const load = new WorkerLoad(WorkerLoad.create(3));
  load.activeWorkers = active;
  for (const [worker, count] of noted.entries()) load.publish(worker, 0.1, count, 1, 0);
  const processors = { idleRatio: () => 1 } as unknown as ProcessorLoad;
  const placements = noted.map(
    (_, worker) =>
      new WorkerPlacement(
        load,
        worker,
        processors,
        () => 0,
        () => 0,
        () => 0,
      ),
  );
  return { load, placements };
};

t.test('a worker gives away what is beyond its share, to those that have less', async (t) => {
  const { load, placements } = open(2, [0, 10, 0]);
  const mine = connections(50);
  for (const connection of mine) t.equal(placements[0]!.noteInput(connection), false);
  // Each is counted once.
  t.equal(placements[0]!.noteInput(mine[0]!), false);
  placements[0]!.tick(1000, 2);
  t.equal(load.connections(0), 50);
  const moving = mine.filter((connection) => placements[0]!.noteInput(connection));
  t.equal(moving.length, 20);
  for (const _ of moving) t.equal(placements[0]!.takeTarget(), 1);
  t.same([load.connections(0), load.connections(1)], [30, 30]);
  t.equal(placements[0]!.takeTarget(), 0, 'no more');
});

t.test('small differences stay', async (t) => {
  const { placements } = open(2, [0, 40, 0]);
  const mine = connections(48);
  for (const connection of mine) placements[0]!.noteInput(connection);
  placements[0]!.tick(1000, 2);
  t.notOk(mine.some((connection) => placements[0]!.noteInput(connection)));
});

t.test('a worker that is not active gives everything away', async (t) => {
  const { load, placements } = open(2, [5, 3, 0]);
  const mine = connections(6);
  for (const connection of mine) placements[2]!.noteInput(connection);
  placements[2]!.tick(1000, 2);
  t.ok(mine.every((connection) => placements[2]!.noteInput(connection)));
  t.same(
    mine.map(() => placements[2]!.takeTarget()),
    [1, 1, 0, 1, 0, 1],
  );
  t.equal(load.connections(2), 0);
});

t.test('a number that is set is kept', async (t) => {
  const { load, placements } = open(1, [0, 0, 0]);
  placements[0]!.tick(1000, 3);
  t.equal(load.activeWorkers, 3);
  placements[0]!.tick(1100, 200);
  t.equal(load.activeWorkers, 3);
  placements[0]!.tick(1200, 2);
  t.equal(load.activeWorkers, 2);
  for (let tick = 1; tick < 20; tick++) placements[0]!.tick(1200 + 100 * tick, 0);
  t.equal(load.activeWorkers, 1);
});

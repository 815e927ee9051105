/** How many workers are active, and which connections move, with made-up loads. */

import t from 'tap';
import type { Connection } from '../src/network/connection.js';
import type { ProcessorLoad } from '../src/network/processor-load.js';
import { WorkerLoad } from '../src/state/worker-load.js';
import { ActiveWorkerPolicy, WorkerPlacement } from '../src/worker-placement.js';

interface Tick {
  busy: number;
  idle?: number;
  waiting?: number;
  longestRoundMs?: number;
}

/** Passes ticks of 100 ms and returns how many workers were active after each. */
class Course {
  active = 1;
  nowMs = 1_000_000;
  private readonly policy = new ActiveWorkerPolicy(8);

  pass(count: number, { busy, idle = 4, waiting = 0, longestRoundMs = 1 }: Tick): number[] {
    return Array.from({ length: count }, () => {
      this.nowMs += 100;
      this.active = this.policy.next(this.active, busy, idle, waiting, longestRoundMs, this.nowMs);
      return this.active;
    });
  }
}

t.test('busy workers become more, as long as processors are idle', async (t) => {
  const course = new Course();
  t.same(course.pass(3, { busy: 0.6 }), [1, 1, 1]);
  t.same(course.pass(2, { busy: 0.95 }), [1, 2]);
  t.same(course.pass(2, { busy: 1.9 }), [2, 4]);
  t.same(course.pass(2, { busy: 3.8 }), [4, 8]);
  t.same(course.pass(3, { busy: 7.9 }), [8, 8, 8]);

  const short = new Course();
  t.same(short.pass(5, { busy: 0.98, idle: 0.1 }), [1, 1, 1, 1, 1]);
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

t.test('workers that wait for locks become fewer, and more only rarely', async (t) => {
  const course = new Course();
  const load = (): Tick => ({ busy: course.active, waiting: course.active === 1 ? 0 : course.active * 0.4 });
  const passed: number[] = [];
  for (let count = 0; count < 1200; count++) passed.push(...course.pass(1, load()));
  const growths = passed.filter((active, index) => index > 0 && active > passed[index - 1]!).length;
  t.ok(growths >= 2 && growths <= 5, `${growths} trials in two minutes`);
  t.ok(passed.filter((active) => active === 1).length > 1150);
});

t.test('commands that take long want all workers', async (t) => {
  const course = new Course();
  t.same(course.pass(1, { busy: 0.1, longestRoundMs: 80 }), [8]);
  t.equal(course.pass(200, { busy: 0.1 }).at(-1), 8);
  t.equal(course.pass(200, { busy: 0.1 }).at(-1), 1);
});

const connections = (count: number) =>
  Array.from({ length: count }, () => ({ activeWindow: 0 }) as Connection);

/** Three workers, of which the first `active` are; `noted` says how many active connections each had last. */
const open = (active: number, noted: number[]) => {
  const load = new WorkerLoad(WorkerLoad.create(3));
  load.activeWorkers = active;
  for (const [worker, count] of noted.entries()) load.publish(worker, 0.1, 0, count, 1);
  const processors = { idleRatio: () => 1 } as unknown as ProcessorLoad;
  const placements = noted.map((_, worker) => new WorkerPlacement(load, worker, processors, () => 0));
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

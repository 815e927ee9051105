/** The expiry calendar against a Map of expiry times, with random steps, little memory, and years passing. */

import t from 'tap';
import {
  calendarCell,
  EntryFlag,
  expiresAtMs,
  setCalendarCell,
  setDeadlineMs,
} from '../../src/keyspace/entry.js';
import { ExpiryCalendar } from '../../src/keyspace/expiry-calendar.js';
import { Arena } from '../../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { Random } from '../tools/random.js';

const ENTRY_BYTES = 24;
const TICK_MS = 256;
const START_MS = Date.UTC(2026, 5, 1);
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const YEAR_MS = 365 * DAY_MS;
const NO_LIMIT = 1 << 30;

/** A calendar and the Map of entry to expiry that it should equal. */
class Model {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly calendar: ExpiryCalendar;
  readonly root: number;
  readonly times = new Map<number, number>();
  /** Entry to when it was filed: what was due by then may wait for the next tick. */
  readonly filed = new Map<number, number>();
  readonly entries: number[] = [];
  nowMs = START_MS;
  /** The clock was set back since the calendar was asked for what is due. */
  private wasSetBack = false;

  constructor(arenaBytes: number) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    const { words } = this.memory;
    words[HeaderWord.ArenaEnd] = words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.calendar = new ExpiryCalendar(this.memory, this.arena);
    this.root = this.calendar.create(this.nowMs);
  }

  add(timeMs: number): boolean {
    const { words } = this.memory;
    const entry = this.arena.allocate(ENTRY_BYTES);
    if (entry === 0) return false;
    words[entry >> 2] = EntryFlag.Expires;
    setDeadlineMs(words, entry, timeMs);
    const cell = this.calendar.add(this.root, entry, timeMs);
    if (cell === 0) {
      this.arena.free(entry, ENTRY_BYTES);
      return false;
    }
    setCalendarCell(words, entry, cell);
    this.times.set(entry, timeMs);
    this.filed.set(entry, this.nowMs);
    this.entries.push(entry);
    return true;
  }

  remove(index: number): void {
    const entry = this.entries[index]!;
    this.calendar.remove(this.root, calendarCell(this.memory.words, entry));
    this.drop(index);
  }

  drop(index: number): void {
    const entry = this.entries[index]!;
    this.arena.free(entry, ENTRY_BYTES);
    this.times.delete(entry);
    this.filed.delete(entry);
    this.entries[index] = this.entries[this.entries.length - 1]!;
    this.entries.pop();
  }

  move(index: number, timeMs: number): void {
    const { words } = this.memory;
    const entry = this.entries[index]!;
    const cell = this.calendar.move(this.root, calendarCell(words, entry), entry, timeMs);
    if (cell === 0) return;
    setCalendarCell(words, entry, cell);
    setDeadlineMs(words, entry, timeMs);
    this.times.set(entry, timeMs);
    this.filed.set(entry, this.nowMs);
  }

  /** The entry moves to another block. */
  relocate(index: number): void {
    const { words } = this.memory;
    const old = this.entries[index]!;
    const entry = this.arena.allocate(ENTRY_BYTES);
    if (entry === 0) return;
    words.copyWithin(entry >> 2, old >> 2, (old + ENTRY_BYTES) >> 2);
    this.calendar.relocate(calendarCell(words, old), entry);
    this.times.set(entry, this.times.get(old)!);
    this.times.delete(old);
    this.filed.set(entry, this.filed.get(old)!);
    this.filed.delete(old);
    this.entries[index] = entry;
    this.arena.free(old, ENTRY_BYTES);
  }

  /** The clock is set back; the calendar learns of it when it is asked for what is due. */
  goBack(milliseconds: number): void {
    this.nowMs -= milliseconds;
    this.wasSetBack = true;
  }

  /** Takes out all that is due; fails if something comes too early or stays too long. */
  expire(): void {
    const steps = { left: NO_LIMIT };
    if (this.wasSetBack) {
      // Only now are entries filed anew, those that are due among what is due later in this tick.
      for (const entry of this.filed.keys()) this.filed.set(entry, this.nowMs);
      this.wasSetBack = false;
    }
    for (;;) {
      const entry = this.calendar.nextDue(this.root, this.nowMs, steps);
      if (entry === 0) break;
      const time = this.times.get(entry);
      if (time === undefined) throw new Error(`entry ${entry} is not in the model`);
      if (time > this.nowMs) throw new Error(`${time - this.nowMs} ms too early`);
      this.remove(this.entries.indexOf(entry));
    }
    // Without memory for a chunk, what is not due yet can't be filed anew, and time waits for it.
    const spare = this.arena.allocateLines(128);
    if (spare === 0) return;
    this.arena.free(spare, 128);
    for (const [entry, time] of this.times) {
      if (Math.max(time, this.filed.get(entry)!) + TICK_MS <= this.nowMs)
        throw new Error(`${this.nowMs - time} ms too late`);
    }
  }

  verify(): void {
    this.calendar.verify(this.root);
    if (this.calendar.count(this.root) !== this.times.size) throw new Error('wrong count');
    for (const [entry, time] of this.times) {
      if (expiresAtMs(this.memory.words, entry) !== time) throw new Error('an expiry was overwritten');
    }
  }
}

function randomTime(model: Model, random: Random): number {
  const spans = [-1000, 300, 2000, MINUTE_MS, 60 * MINUTE_MS, 3 * DAY_MS, 60 * DAY_MS, 5 * YEAR_MS];
  const span = random.pick(spans);
  return Math.floor(model.nowMs + (span < 0 ? span : random.below(span)));
}

for (const [name, arenaBytes, keysMax] of [
  ['with room', 1 << 20, 400],
  ['with little memory', 6 * 1024, 2000],
] as const) {
  t.test(`random steps ${name}`, async (t) => {
    const seed = Date.now() % 1_000_000;
    const random = new Random(seed);
    const model = new Model(arenaBytes);
    let refused = 0;
    try {
      for (let count = 0; count < 6_000; count++) {
        const { entries } = model;
        const choice = random.below(100);
        if (choice < 45) {
          if (entries.length < keysMax && !model.add(randomTime(model, random))) refused++;
        } else if (entries.length > 0 && choice < 60) {
          model.remove(random.below(entries.length));
        } else if (entries.length > 0 && choice < 80) {
          model.move(random.below(entries.length), randomTime(model, random));
        } else if (entries.length > 0 && choice < 85) {
          model.relocate(random.below(entries.length));
        } else if (choice < 99) {
          model.nowMs += random.below(random.pick([10, 300, 5000, MINUTE_MS, 10 * MINUTE_MS]));
          model.expire();
        } else if (random.chance(0.5)) {
          model.goBack(random.below(random.pick([100, 5000, 60 * MINUTE_MS, 10 * DAY_MS])));
          if (random.chance(0.5)) model.expire();
        } else {
          model.nowMs += random.below(random.pick([DAY_MS, 10 * DAY_MS]));
          model.expire();
        }
        if (count % 4 === 0) model.verify();
      }
      if (refused > 0) model.arena.verify();
      model.nowMs += 6 * YEAR_MS;
      model.expire();
      model.verify();
      t.equal(model.times.size, 0, 'in the end everything has expired');
      model.calendar.release(model.root);
      t.equal(model.arena.usedBytes, 0);
      t.equal(refused > 0, arenaBytes < 100_000, 'memory runs out only where it is little');
    } catch (error) {
      t.fail(`seed ${seed}: ${(error as Error).message}`);
    }
  });
}

t.test('time passes in bounded steps', async (t) => {
  const random = new Random(2);
  const model = new Model(1 << 20);
  for (let count = 0; count < 1000; count++) model.add(START_MS + random.below(DAY_MS));
  model.nowMs += 2 * DAY_MS;
  let asks = 0;
  while (model.times.size > 0) {
    const steps = { left: 100 };
    for (;;) {
      const entry = model.calendar.nextDue(model.root, model.nowMs, steps);
      if (entry === 0) break;
      model.remove(model.entries.indexOf(entry));
    }
    model.verify();
    if (++asks > 100_000) break;
  }
  t.equal(model.times.size, 0);
  t.ok(asks > 100, `${asks}`);
});

t.test('earliest and random entries', async (t) => {
  const random = new Random(3);
  const model = new Model(1 << 20);
  t.equal(model.calendar.earliest(model.root), 0);
  t.equal(model.calendar.random(model.root, 1), 0);
  for (let count = 0; count < 300; count++) model.add(START_MS + MINUTE_MS + random.below(60 * DAY_MS));
  model.add(START_MS + 5000);
  t.equal(model.times.get(model.calendar.earliest(model.root)), START_MS + 5000);
  const draws = new Map<number, number>();
  for (let count = 0; count < 60_000; count++) {
    const entry = model.calendar.random(model.root, random.uint32());
    if (entry !== 0) draws.set(entry, (draws.get(entry) ?? 0) + 1);
  }
  t.equal(draws.size, 301);
  t.ok(Math.min(...draws.values()) > 60, `${Math.min(...draws.values())}`);
  t.ok(Math.max(...draws.values()) < 600, `${Math.max(...draws.values())}`);
});

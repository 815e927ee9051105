import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { Vector } from '../../src/structures/named-records.js';
import { Pending, StreamGroups } from '../../src/structures/stream-groups.js';
import { StreamId } from '../../src/structures/stream-id.js';
import { Random } from '../tools/random.js';
import { bytesOf, idOf } from '../tools/stream-model.js';

interface Delivery {
  id: string;
  consumer: string;
  at: number;
  count: number;
  /** In which place it was given back, 0 for not at all. */
  place: number;
}

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly groups: StreamGroups;
  readonly vector: number;
  readonly group: number;
  /** By id; consumers by name. */
  readonly pending = new Map<string, Delivery>();
  readonly consumers = new Set<string>();
  private places = 0;

  constructor(arenaBytes = 8 << 20) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    this.memory.words[HeaderWord.ArenaEnd] = this.memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.groups = new StreamGroups(this.memory, this.arena);
    this.vector = this.arena.allocate(Vector.WORDS * 4) >> 2;
    this.memory.words.fill(0, this.vector, this.vector + Vector.WORDS);
    this.group = this.groups.createGroup(this.vector, ...bytesOf('group'), new StreamId(), -1, -1);
  }

  consumer(name: string): number {
    const [bytes, view, offset, length] = bytesOf(name);
    const found = this.groups.findConsumer(this.group, bytes, offset, length);
    if ((found !== 0) !== this.consumers.has(name)) throw new Error(`consumer ${name}`);
    if (found !== 0) return found;
    const made = this.groups.createConsumer(this.group, bytes, view, offset, length, 5);
    if (made !== 0) this.consumers.add(name);
    return made;
  }

  find(id: string): number {
    return this.groups.find(this.group, idOf(id));
  }

  add(id: string, name: string, at: number): boolean {
    const consumer = this.consumer(name);
    if (consumer === 0 || this.groups.add(this.group, consumer, idOf(id), at) === 0) return false;
    this.pending.set(id, { id, consumer: name, at, count: 1, place: 0 });
    return true;
  }

  change(random: Random, id: string, name: string, at: number): boolean {
    const { groups, group } = this;
    const pending = this.find(id);
    const delivery = this.pending.get(id)!;
    const consumer = this.consumer(name);
    if (consumer === 0) return false;
    if (!groups.deliver(group, pending, consumer, at)) return false;
    delivery.consumer = name;
    delivery.at = at;
    delivery.place = 0;
    if (random.chance(0.5)) {
      groups.increaseCount(group, pending);
      delivery.count++;
    }
    return true;
  }

  giveBack(id: string): boolean {
    const { groups, group } = this;
    const pending = this.find(id);
    if (!groups.giveBack(group, pending)) return false;
    const delivery = this.pending.get(id)!;
    delivery.consumer = '-';
    delivery.at = 0;
    delivery.place = ++this.places;
    groups.decreaseCount(group, pending);
    if (delivery.count > 0) delivery.count--;
    return true;
  }

  deleteConsumer(name: string): void {
    this.groups.deleteConsumer(this.group, this.consumer(name));
    this.consumers.delete(name);
    for (const { id, consumer } of [...this.pending.values()]) if (consumer === name) this.pending.delete(id);
  }

  private nameOf(consumer: number): string {
    const { consumers } = this.groups;
    if (consumer === 0) return '-';
    const start = consumers.nameOffset(consumer);
    return Buffer.from(this.memory.bytes.slice(start, start + consumers.nameLength(consumer))).toString(
      'latin1',
    );
  }

  private describe(pending: number): string {
    const { memory, groups } = this;
    const id = new StreamId();
    id.read(memory.words, (pending >> 2) + Pending.Id);
    const count = memory.words[(pending >> 2) + Pending.CountLow];
    return `${id} ${this.nameOf(groups.consumerOf(pending))} ${groups.deliveredAt(pending)} ${count}`;
  }

  verify(): void {
    const { groups, group, vector } = this;
    groups.verify(group);
    groups.groups.verify(vector);
    const text = ({ id, consumer, at, count }: Delivery) => `${id} ${consumer} ${at} ${count}`;
    const byId = [...this.pending.values()].sort((a, b) => idOf(a.id).compare(idOf(b.id)));
    const found: string[] = [];
    for (let at = groups.seek(group, new StreamId()); at !== 0; at = groups.next())
      found.push(this.describe(at));
    if (found.join('\n') !== byId.map(text).join('\n')) throw new Error('what is pending differs');
    const names = [...this.consumers].sort((a, b) =>
      Buffer.compare(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1')),
    );
    const consumersOf = groups.consumersOf(group);
    if (groups.consumers.count(consumersOf) !== names.length) throw new Error('number of consumers');
    names.forEach((name, index) => {
      const consumer = groups.consumers.recordAt(consumersOf, index);
      if (this.nameOf(consumer) !== name) throw new Error('consumers out of order');
      const own: string[] = [];
      for (let at = groups.seekOf(consumer, new StreamId()); at !== 0; at = groups.next())
        own.push(this.describe(at));
      const expected = byId.filter((delivery) => delivery.consumer === name).map(text);
      if (own.join('\n') !== expected.join('\n')) throw new Error(`what is pending for ${name} differs`);
    });
    const order: string[] = [];
    for (let at = groups.idlest(group); at !== 0; at = groups.nextIdlest()) order.push(this.describe(at));
    // What was given back comes first; with the same time, the order is that of the ids.
    const rank = ({ place }: Delivery) => (place === 0 ? Number.MAX_SAFE_INTEGER : place);
    const idlest = byId.sort((a, b) => rank(a) - rank(b) || a.at - b.at);
    if (order.join('\n') !== idlest.map(text).join('\n')) throw new Error('the idlest does not come first');
    const givenBack = byId.filter(({ consumer }) => consumer === '-').length;
    if (groups.givenBackCount(group) !== givenBack) throw new Error('what was given back is counted wrong');
  }
}

const NAMES = ['c1', 'c2', 'worker-17', '', '\xff\x00', 'a consumer with a longer name'];

function step(subject: Subject, random: Random, clock: number, isGrowing: boolean): boolean {
  const ids = [...subject.pending.keys()];
  const name = random.pick(NAMES);
  const dice = random.below(20);
  if (ids.length === 0 || dice < (isGrowing ? 13 : 4)) {
    const id = random.chance(0.8) ? `${clock}-${random.below(2)}` : `${random.below(clock)}-1`;
    return subject.pending.has(id) || subject.add(id, name, random.chance(0.8) ? clock : random.below(clock));
  }
  if (dice < 17) {
    const id = random.chance(0.5) ? ids[0]! : random.pick(ids);
    subject.groups.remove(subject.group, subject.find(id));
    subject.pending.delete(id);
  } else if (dice === 17) {
    return subject.giveBack(random.pick(ids));
  } else if (dice < 19 || !random.chance(0.1)) {
    return subject.change(random, random.pick(ids), name, random.chance(0.5) ? clock : random.below(clock));
  } else if (subject.consumers.has(name)) {
    subject.deleteConsumer(name);
  }
  return true;
}

t.test('groups agree with a map', async (t) => {
  for (const seed of [1, 2]) {
    const random = new Random(seed);
    const subject = new Subject();
    for (let clock = 1; clock < 4000; clock++) {
      step(subject, random, clock, clock % 1500 < 1000);
      if (clock % 61 === 0) subject.verify();
    }
    subject.verify();
    const { groups, group, vector, arena } = subject;
    const used = groups.usedBytes(group);
    t.ok(used <= arena.usedBytes && used > arena.usedBytes * 0.9, `${used} of ${arena.usedBytes}`);
    groups.groups.remove(vector, group);
    let steps = 0;
    while (!groups.releaseSome(group, 50)) steps++;
    t.ok(steps > 2);
    t.equal(arena.usedBytes, 16, 'everything is freed');
    arena.verify();
  }
});

t.test('a full shard refuses, and what was changed is as it was said', async (t) => {
  const random = new Random(3);
  const subject = new Subject(32 << 10);
  let refused = 0;
  for (let clock = 1; clock < 6000; clock++) {
    if (!step(subject, random, clock, true)) {
      refused++;
      if (refused % 10 === 0) subject.verify();
      for (let count = random.below(60); count > 0 && subject.pending.size > 0; count--) {
        const id = random.pick([...subject.pending.keys()]);
        subject.groups.remove(subject.group, subject.find(id));
        subject.pending.delete(id);
      }
    }
  }
  subject.verify();
  subject.arena.verify();
  t.ok(refused > 20, `${refused} times`);
});

t.test('times and counts beyond 32 bits', async (t) => {
  const subject = new Subject();
  const { groups, group, memory } = subject;
  subject.add('1-1', 'c1', 1_795_958_974_818);
  const pending = subject.find('1-1');
  t.equal(groups.deliveredAt(pending), 1_795_958_974_818);
  groups.setCount(group, pending, 0, -1);
  groups.increaseCount(group, pending);
  t.equal(memory.words[(pending >> 2) + Pending.CountHigh], 1);
  t.equal(memory.words[(pending >> 2) + Pending.CountLow], 0);
});

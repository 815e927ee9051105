/** Queues of clients that wait for keys, against plain arrays, with much and with little memory. */

import t from 'tap';
import { NamedKey } from '../../src/keyspace/gate.js';
import { Waiters, WaitKind } from '../../src/keyspace/waiters.js';
import { Arena } from '../../src/memory/arena.js';
import { hashBytes, setHashSecret } from '../../src/memory/hash.js';
import { HeaderWord, ShardListener, ShardMemory } from '../../src/memory/shard-memory.js';
import { Random } from '../tools/random.js';

setHashSecret([1, 2]);

function keyOf(text: string, database: number): NamedKey {
  const bytes = new Uint8Array(Buffer.from(text));
  const view = new DataView(bytes.buffer);
  return new NamedKey(bytes, view, database, hashBytes(view, 0, bytes.length), 0, bytes.length);
}

interface Known {
  readonly waiter: number;
  readonly client: number;
  readonly kind: WaitKind;
}

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly waiters: Waiters;
  /** By database and key, in the order in which they came. */
  readonly queues = new Map<string, Known[]>();

  constructor(arenaBytes: number) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 2);
    this.memory.words[HeaderWord.ArenaEnd] = this.memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.waiters = new Waiters(this.memory, this.arena);
  }

  add(name: string, database: number, kind: WaitKind, client: number): boolean {
    const waiter = this.waiters.add(keyOf(name, database), kind, client, client + 7, 1, 3, client * 8);
    if (waiter === 0) return false;
    const id = `${database} ${name}`;
    const queue = this.queues.get(id) ?? [];
    queue.push({ waiter, client, kind });
    this.queues.set(id, queue);
    return true;
  }

  remove(id: string, index: number): void {
    const queue = this.queues.get(id)!;
    const [known] = queue.splice(index, 1);
    if (queue.length === 0) this.queues.delete(id);
    this.waiters.remove(known!.waiter);
  }

  verify(): void {
    const { waiters } = this;
    waiters.verify();
    if (waiters.queueCount !== this.queues.size) throw new Error('wrong number of queues');
    let onNoKey = 0;
    for (const [id, known] of this.queues) {
      const [database, name] = [Number(id[0]), id.slice(2)];
      const queue = waiters.find(keyOf(name, database));
      if (queue === 0) throw new Error(`no queue of ${id}`);
      if (waiters.database(queue) !== database) throw new Error('wrong database');
      const start = waiters.keyOffset(queue);
      const text = Buffer.from(this.memory.bytes.slice(start, start + waiters.keyLength(queue))).toString();
      if (text !== name) throw new Error('wrong name');
      const clients: number[] = [];
      for (let waiter = waiters.first(queue); waiter !== 0; waiter = waiters.next(waiter)) {
        const client = waiters.clientSlot(waiter);
        if (waiters.ticket(waiter) !== client + 7 || waiters.request(waiter) !== client * 8)
          throw new Error('a waiter is not what it was');
        clients.push(client);
      }
      if (clients.join() !== known.map(({ client }) => client).join()) throw new Error(`order of ${id}`);
      const hasGroups = known.some(({ kind }) => kind === WaitKind.StreamGroup);
      if (waiters.hasWaitersOnNoKey(queue) !== hasGroups) throw new Error('wrong about a missing key');
      if (hasGroups) onNoKey++;
    }
    if (waiters.queuesOnNoKey !== onNoKey) throw new Error('wrong number of queues on no key');
  }
}

for (const [name, arenaBytes] of [
  ['with room', 1 << 20],
  ['with little memory', 8 * 1024],
] as const) {
  t.test(`random steps ${name}`, async (t) => {
    const seed = Date.now() % 1_000_000;
    const random = new Random(seed);
    const subject = new Subject(arenaBytes);
    const names = [
      '',
      'a',
      'list:1',
      'list:2',
      'x'.repeat(300),
      ...Array.from({ length: 40 }, (_, i) => `k${i}`),
    ];
    const kinds = [WaitKind.List, WaitKind.SortedSet, WaitKind.Stream, WaitKind.StreamGroup];
    let refused = 0;
    try {
      for (let client = 1; client < 6000; client++) {
        // It fills and empties in turn.
        if (random.chance(client % 2000 < 1200 ? 0.6 : 0.3)) {
          if (!subject.add(random.pick(names), random.below(2), random.pick(kinds), client)) refused++;
        } else if (subject.queues.size > 0) {
          const id = random.pick([...subject.queues.keys()]);
          subject.remove(id, random.below(subject.queues.get(id)!.length));
        }
        if (client % 5 === 0) subject.verify();
      }
      for (const id of [...subject.queues.keys()]) {
        while (subject.queues.has(id)) subject.remove(id, 0);
      }
      subject.verify();
      subject.arena.verify();
      t.equal(subject.arena.usedBytes, 0);
      t.equal(subject.memory.words[HeaderWord.Listeners]! & ShardListener.Waiters, 0);
      t.equal(refused > 0, arenaBytes < 100_000);
      t.ok(subject.waiters.isEmpty);
    } catch (error) {
      t.fail(`seed ${seed}: ${(error as Error).message}`);
    }
  });
}

t.test('a queue in the list of ready keys stays until it leaves the list', async (t) => {
  const subject = new Subject(1 << 20);
  const { waiters } = subject;
  const waiter = waiters.add(keyOf('k', 0), WaitKind.List, 1, 1, 1, 0, 0);
  const queue = waiters.find(keyOf('k', 0));
  t.ok(waiters.markReady(queue));
  t.notOk(waiters.markReady(queue), 'it is in the list once');
  waiters.remove(waiter);
  t.equal(waiters.find(keyOf('k', 0)), queue);
  const later = waiters.add(keyOf('k', 0), WaitKind.List, 2, 2, 1, 0, 0);
  t.equal(waiters.first(queue), later, 'who comes meanwhile is in the same queue');
  waiters.unmarkReady(queue);
  t.equal(waiters.find(keyOf('k', 0)), queue);
  waiters.remove(later);
  t.equal(waiters.find(keyOf('k', 0)), 0);
  t.equal(subject.arena.usedBytes, 0);
});

t.test('the same key in two databases has two queues', async (t) => {
  const { waiters } = new Subject(1 << 20);
  waiters.add(keyOf('k', 0), WaitKind.List, 1, 1, 1, 0, 0);
  waiters.add(keyOf('k', 1), WaitKind.List, 2, 2, 1, 0, 0);
  t.not(waiters.find(keyOf('k', 0)), waiters.find(keyOf('k', 1)));
  const found: number[] = [];
  waiters.forEachQueue(1, (queue) => found.push(queue));
  t.same(found, [waiters.find(keyOf('k', 1))]);
});

t.test('requests are kept as they were sent', async (t) => {
  const subject = new Subject(16 * 1024);
  const { waiters } = subject;
  const bytes = new Uint8Array(Buffer.from('BLMOVEfromtoLEFT'));
  const view = new DataView(bytes.buffer);
  const pairs = Int32Array.of(0, 0, 0, 6, 6, 4, 10, 2, 12, 4, 12, 0);
  const request = {
    commandId: 5,
    worker: 3,
    clientId: 2 ** 53 - 1,
    args: { bytes, view, pairs, start: 1, count: 5 },
  };
  const block = waiters.keepRequest(request);
  bytes.fill(0);
  t.notOk(waiters.isEmpty, 'a request is something, although nobody is in a queue');
  const kept = { commandId: 0, worker: 0, clientId: 0, args: { ...request.args } };
  waiters.readRequest(block, kept);
  const { args } = kept;
  const texts = Array.from({ length: args.count }, (_, index) => {
    const pair = 2 * (args.start + index);
    const offset = args.pairs[pair]!;
    return Buffer.from(args.bytes.slice(offset, offset + args.pairs[pair + 1]!)).toString();
  });
  t.same(texts, ['BLMOVE', 'from', 'to', 'LEFT', '']);
  t.same([kept.commandId, kept.worker, kept.clientId], [5, 3, 2 ** 53 - 1]);
  waiters.freeRequest(block);
  t.equal(subject.arena.usedBytes, 0);
  t.ok(waiters.isEmpty);
  const longArgs = { ...request.args, pairs: Int32Array.of(0, 1 << 20), start: 0, count: 1 };
  const long = { ...request, args: longArgs };
  t.equal(waiters.keepRequest(long), 0, 'without memory');
  t.ok(waiters.isEmpty);
});

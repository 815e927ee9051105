import t from 'tap';
import { Arena } from '../../src/memory/arena.js';
import { HeaderWord, ShardMemory } from '../../src/memory/shard-memory.js';
import { StreamEntry } from '../../src/structures/stream-block.js';
import { IdText, StreamId } from '../../src/structures/stream-id.js';
import {
  LoadedBlock,
  StreamListpackReader,
  StreamListpackWriter,
} from '../../src/structures/stream-listpack.js';
import { References, Trim, TrimOptions } from '../../src/structures/stream-trim.js';
import { StreamValue } from '../../src/structures/stream-value.js';
import type { ValueLimits } from '../../src/structures/value-limits.js';
import { Random } from '../tools/random.js';
import { bytesOf, entriesOf, idOf, takeEntry } from '../tools/stream-model.js';
import { valueLimits } from '../tools/value-limits.js';

function limits(streamNodeBytes: number, streamNodeEntries: number): ValueLimits {
  return valueLimits({ streamNodeBytes, streamNodeEntries });
}

const MAX_WORD = 2n ** 64n - 1n;

class Subject {
  readonly memory: ShardMemory;
  readonly arena: Arena;
  readonly streams: StreamValue;
  readonly reference: number;
  /** "id field value ..." in order. */
  readonly model: string[] = [];
  readonly lastId = new StreamId();
  private readonly listpacks = new StreamListpackWriter();

  constructor(nodeBytes: number, nodeEntries: number, arenaBytes = 16 << 20) {
    this.memory = ShardMemory.create(arenaBytes + (4 << 20), 1);
    this.memory.words[HeaderWord.ArenaEnd] = this.memory.words[HeaderWord.ArenaStart]! + arenaBytes;
    this.arena = new Arena(this.memory);
    this.streams = new StreamValue(this.memory, this.arena, limits(nodeBytes, nodeEntries));
    // An odd address, as an entry's value may have.
    this.reference = (HeaderWord.DraftReference << 2) + 1;
    if (!this.streams.create(this.reference)) throw new Error('no memory');
  }

  add(id: StreamId, texts: string[]): boolean {
    takeEntry(this.streams, texts);
    if (!this.streams.append(this.reference, id)) return false;
    this.lastId.copyFrom(id);
    this.model.push([id.toString(), ...texts].join(' '));
    return true;
  }

  verify(): void {
    const { memory, streams, reference, model } = this;
    streams.verify(reference);
    if (streams.count(reference) !== model.length) throw new Error('count differs');
    const entries = entriesOf(memory, streams, reference);
    if (entries.join('\n') !== model.join('\n')) throw new Error('entries differ');
    const reversed = entriesOf(memory, streams, reference, true).reverse();
    if (reversed.join('\n') !== model.join('\n')) throw new Error('entries backwards differ');
    const first = new StreamId();
    streams.firstId(reference, first);
    if (first.toString() !== (model[0]?.split(' ')[0] ?? '0-0')) throw new Error('first id differs');
    this.verifyListpacks();
  }

  /** Each block is the same again when it is written as a listpack and read. */
  private verifyListpacks(): void {
    const { memory, arena, streams, reference, listpacks } = this;
    const { blocks } = streams;
    const reader = new StreamListpackReader(memory, arena);
    for (let block = streams.firstBlock(reference); block !== 0; block = streams.nextBlockOf()) {
      const listpack = new Uint8Array(blocks.listpackBytes(block));
      const view = new DataView(listpack.buffer);
      listpacks.write(memory, blocks, block, listpack, view);
      const id = new StreamId();
      id.read(memory.words, block >> 2);
      const copy = reader.load(id, listpack, view, 0, listpack.length);
      if (copy === LoadedBlock.NoMemory) continue;
      if (copy === LoadedBlock.Damaged) throw new Error('a listpack is damaged');
      const again = new Uint8Array(listpack.length);
      listpacks.write(memory, blocks, copy, again, new DataView(again.buffer));
      if (Buffer.compare(listpack, again) !== 0) throw new Error('a listpack is another one');
      blocks.free(copy);
    }
  }
}

function increased(random: Random, id: StreamId): StreamId {
  const next = new StreamId();
  next.copyFrom(id);
  switch (random.below(8)) {
    case 0: {
      const ms = BigInt.asUintN(64, (BigInt(id.msHigh >>> 0) << 32n) | BigInt(id.msLow >>> 0));
      const wanted = ms + BigInt(random.below(1_000_000)) * BigInt(random.pick([1, 1000, 2 ** 40]));
      if (wanted > ms && wanted < MAX_WORD)
        return idOf(`${wanted}-${random.pick(['0', '5', String(MAX_WORD)])}`);
      break;
    }
    case 1:
    case 2: {
      const [ms, seq] = id.toString().split('-').map(BigInt) as [bigint, bigint];
      if (ms + 1n < MAX_WORD) return idOf(`${ms + 1n}-${random.chance(0.9) ? 0 : random.below(2 ** 31)}`);
      return idOf(`${ms}-${seq + 1n}`);
    }
    default:
  }
  next.increment();
  return next;
}

const SCHEMAS = [
  ['f', 'g'],
  ['temperature', 'humidity', 'sensor'],
  ['1', '-5', '70000'],
  ['f'],
  ['', 'a field with a longer name '.repeat(4)],
];

function value(random: Random): string {
  switch (random.below(8)) {
    case 0:
      return String(random.between(-200, 5000));
    case 1:
      return String(random.pick([127, 128, -4096, 4095, 4096, 32767, 32768, 8388607, 8388608, 2147483648]));
    case 2:
      return random.pick([
        '9223372036854775807',
        '-9223372036854775808',
        '9007199254740993',
        '18446744073709551615',
      ]);
    case 3:
      return 'v'.repeat(random.pick([0, 1, 62, 63, 64, 100, 127, 128, 200]));
    case 4:
      return random.pick(['007', '-0', '+5', ' 5', '5 ', '1e3']);
    default:
      return `value ${random.below(1000)}`;
  }
}

function texts(random: Random, schema: number): string[] {
  const fields = random.chance(0.9) ? SCHEMAS[schema]! : random.pick(SCHEMAS);
  return fields.flatMap((field) => [field, value(random)]);
}

function deleteAt(subject: Subject, index: number): void {
  const [entry] = subject.model.splice(index, 1);
  if (!subject.streams.delete(subject.reference, idOf(entry!.split(' ')[0]!))) throw new Error('not deleted');
}

function trim(subject: Subject, random: Random): void {
  const { model, streams, reference } = subject;
  const options = new TrimOptions();
  options.isApproximate = random.chance(0.4);
  options.limit = options.isApproximate && random.chance(0.5) ? random.below(200) : 0;
  if (random.chance(0.5)) {
    options.by = Trim.Length;
    options.length = Math.max(0, model.length - random.below(random.chance(0.1) ? model.length + 1 : 60));
  } else {
    options.by = Trim.MinId;
    const index = random.below(random.chance(0.1) ? model.length + 1 : Math.min(60, model.length + 1));
    if (index === model.length) options.minId.setMax();
    else options.minId.copyFrom(idOf(model[index]!.split(' ')[0]!));
  }
  const removed = streams.trim(reference, options);
  const gone = model.splice(0, removed);
  const isBelow = (entry: string) => idOf(entry.split(' ')[0]!).compare(options.minId) < 0;
  if (options.by === Trim.MinId && gone.some((entry) => !isBelow(entry))) throw new Error('trimmed too much');
  if (options.by === Trim.Length && removed > 0 && model.length < options.length)
    throw new Error('trimmed too much');
  if (options.isApproximate) {
    if (options.limit > 0 && removed > options.limit) throw new Error('trimmed more than the limit');
    return;
  }
  const isEnough =
    options.by === Trim.Length ? model.length <= options.length : model.length === 0 || !isBelow(model[0]!);
  if (!isEnough) throw new Error('trimmed too little');
}

function probe(subject: Subject, random: Random): void {
  const { memory, streams, reference, model } = subject;
  const ids = [0, 1].map(() => {
    const id = model.length === 0 ? new StreamId() : idOf(random.pick(model).split(' ')[0]!);
    const step = random.below(3);
    if (step === 0) id.increment();
    if (step === 1) id.decrement();
    return id;
  });
  const [start, end] = ids as [StreamId, StreamId];
  const expected = model.filter((entry) => {
    const id = idOf(entry.split(' ')[0]!);
    return id.compare(start) >= 0 && id.compare(end) <= 0;
  });
  const found = entriesOf(memory, streams, reference, false, start, end);
  if (found.join('\n') !== expected.join('\n')) throw new Error(`range ${start} ${end}`);
  const reversed = entriesOf(memory, streams, reference, true, start, end);
  if (reversed.reverse().join('\n') !== expected.join('\n'))
    throw new Error(`range backwards ${start} ${end}`);
  const isThere = model.some((entry) => entry.startsWith(`${start} `));
  if (streams.find(reference, start) !== isThere) throw new Error(`find ${start}`);
}

for (const [seed, nodeBytes, nodeEntries] of [
  [1, 4096, 100],
  [2, 4096, 3],
  [3, 300, 0],
  [4, 0, 10],
  [5, 1, 1],
] as const) {
  t.test(
    `a stream agrees with an array, nodes of ${nodeBytes} bytes and ${nodeEntries} entries`,
    async (t) => {
      const random = new Random(seed);
      const subject = new Subject(nodeBytes, nodeEntries);
      let schema = 0;
      for (let step = 0; step < 2000; step++) {
        const { model } = subject;
        if (random.chance(0.02)) schema = random.below(SCHEMAS.length);
        const dice = random.below(100);
        if (dice < 75 || model.length === 0) {
          subject.add(increased(random, subject.lastId), texts(random, schema));
        } else if (dice < 85) {
          deleteAt(subject, random.chance(0.5) ? 0 : random.below(model.length));
        } else if (dice < 88) {
          trim(subject, random);
        } else if (dice < 90 && model.length > 0) {
          for (let count = random.below(30); count > 0 && model.length > 0; count--)
            deleteAt(subject, model.length - 1);
        } else {
          probe(subject, random);
        }
        if (step % 100 === 0) subject.verify();
      }
      subject.verify();
      const { streams, reference, arena } = subject;
      const copy = (HeaderWord.DraftReference << 2) - 16;
      if (!streams.copy(copy, streams, reference)) throw new Error('no memory');
      t.same(entriesOf(subject.memory, streams, copy), subject.model, 'a copy has the same entries');
      streams.verify(copy);
      t.ok(Math.abs(streams.usedBytes(reference, 0) - streams.usedBytes(copy, 0)) < 8192);
      streams.release(copy);
      t.equal(
        arena.usedBytes,
        streams.usedBytes(reference, 0),
        'what a stream takes of the arena is what it says that it takes',
      );
      while (!streams.releaseSome(reference, 5)) {}
      t.equal(arena.usedBytes, 0, 'everything is freed');
      arena.verify();
    },
  );
}

/** Adds a group that has read some of the entries and acknowledged some of these; returns the ids that are not acknowledged. */
function addGroup(subject: Subject, random: Random, name: string): Set<string> {
  const { streams, reference, model } = subject;
  const ids = model.map((entry) => entry.split(' ')[0]!);
  const read = random.below(ids.length + 1);
  const lastId = read === 0 ? new StreamId() : idOf(ids[read - 1]!);
  const { groups } = streams;
  const group = groups.createGroup(streams.groupsOf(reference), ...bytesOf(name), lastId, -1, -1);
  const consumer = groups.createConsumer(group, ...bytesOf('c'), 0);
  const probability = random.pick([0, 0.02, 0.3]);
  for (const id of ids.slice(0, read)) {
    if (random.chance(probability)) groups.add(group, consumer, idOf(id), 5);
  }
  return new Set(ids.filter((id, at) => at >= read || groups.find(group, idOf(id)) !== 0));
}

/** What trimming by references should leave of blocks of ids. */
function trimmedBlocks(blocks: string[][], options: TrimOptions, held: (id: string) => boolean): string[] {
  let length = blocks.flat().length;
  let seen = 0;
  let isOver = false;
  const isAfter = (id: string) =>
    options.by === Trim.Length ? length <= options.length : idOf(id).compare(options.minId) >= 0;
  return blocks.flatMap((block) => {
    if (isOver || (options.by === Trim.Length && length <= options.length)) return block;
    const isWhole =
      options.by === Trim.Length ? length - block.length >= options.length : !isAfter(block.at(-1)!);
    isOver =
      (options.limit > 0 && seen + block.length > options.limit) || (options.isApproximate && !isWhole);
    if (isOver) return block;
    seen += block.length;
    if (options.isApproximate && block.some(held)) return block;
    return block.filter((id) => {
      if (isAfter(id) || held(id)) return true;
      length--;
      return false;
    });
  });
}

t.test('trimming by references', async (t) => {
  for (let round = 0; round < 60; round++) {
    const random = new Random(100 + round);
    const subject = new Subject(4096, random.pick([1, 3, 10]));
    const { streams, reference, model, memory } = subject;
    for (let count = random.below(100) + 1; count > 0; count--) {
      subject.add(increased(random, subject.lastId), texts(random, 0));
    }
    const unacknowledged = [0, 1].map((number) => addGroup(subject, random, `g${number}`));
    const blocks: string[][] = [];
    const entry = new StreamEntry();
    for (let block = streams.firstBlock(reference); block !== 0; block = streams.nextBlockOf()) {
      const ids: string[] = [];
      for (let at = streams.blocks.entries(block); at < streams.blocks.end(block); at = entry.end) {
        streams.blocks.read(entry, block, at);
        const id = new StreamId();
        entry.copyIdTo(id);
        ids.push(id.toString());
      }
      blocks.push(ids);
    }
    const options = new TrimOptions();
    options.references = random.chance(0.6) ? References.Acknowledged : References.Delete;
    options.isApproximate = random.chance(0.4);
    options.limit = random.chance(0.3) ? random.below(100) : 0;
    options.by = random.pick([Trim.Length, Trim.MinId]);
    options.length = random.below(model.length);
    options.minId.copyFrom(idOf(random.pick(model).split(' ')[0]!));
    const held = (id: string) =>
      options.references === References.Acknowledged && unacknowledged.some((ids) => ids.has(id));
    const expected = trimmedBlocks(blocks, options, held);
    const removed = streams.trim(reference, options);
    const left = entriesOf(memory, streams, reference).map((text) => text.split(' ')[0]!);
    if (left.join() !== expected.join()) t.same(left, expected, `round ${round}`);
    if (removed !== model.length - left.length) t.equal(removed, model.length - left.length);
    streams.verify(reference);
    const gone = blocks.flat().filter((id) => !left.includes(id));
    const deleted = Array.from({ length: options.deleted.count }, (_, index) => {
      const id = new StreamId();
      options.deleted.read(index, id);
      return id.toString();
    });
    t.same(deleted, options.references === References.Acknowledged ? gone : []);
    for (const id of gone) {
      if (streams.removeReferences(reference, idOf(id)) > 0) t.fail(`${id} went, a reference to it did not`);
    }
  }
});

t.test('ids are read and written as text', async (t) => {
  const id = new StreamId();
  const parse = (text: string, missingIsMax = false): string | null => {
    const [bytes, , offset, length] = bytesOf(text);
    return id.parse(bytes, offset, length, missingIsMax) ? id.toString() : null;
  };
  t.equal(parse('1526919030474-55'), '1526919030474-55');
  t.equal(parse('0'), '0-0');
  t.equal(parse('5', true), '5-18446744073709551615');
  t.equal(parse('18446744073709551615-18446744073709551615'), '18446744073709551615-18446744073709551615');
  t.equal(parse('9007199254740993-9007199254740995'), '9007199254740993-9007199254740995');
  t.equal(parse('4294967296-4294967295'), '4294967296-4294967295');
  // As strtoull reads it.
  t.equal(parse(' 5-+007'), '5-7');
  t.equal(parse('5--05'), '5-18446744073709551611');
  for (const text of [
    '',
    '-',
    '+',
    '-5',
    '5-',
    '5-x',
    'x-5',
    '18446744073709551616-0',
    '5--5',
    '1-2-3',
    '*',
  ]) {
    t.equal(parse(text), null, text);
  }
  t.equal(parse('5-7\0rest'), '5-7');
  t.equal(parse('0'.repeat(200)), null);
  const text = new IdText();
  for (const wanted of [
    '0-0',
    '0-1',
    '1526919030474-1',
    '1526919030474-18446744073709551615',
    '1526919030475-2',
    '18446744073709551615-9007199254740993',
    '4294967295-0',
    '0-0',
  ]) {
    const lengthBytes = text.write(idOf(wanted));
    t.equal(Buffer.from(text.bytes.subarray(0, lengthBytes)).toString(), wanted);
  }
});

t.test('the id after and the id before', async (t) => {
  for (const [low, high] of [
    ['5-18446744073709551615', '6-0'],
    ['0-4294967295', '0-4294967296'],
    ['4294967295-18446744073709551615', '4294967296-0'],
    ['7-0', '7-1'],
  ] as const) {
    const id = idOf(low);
    t.ok(id.increment());
    t.equal(id.toString(), high);
    t.ok(id.decrement());
    t.equal(id.toString(), low);
  }
  const id = new StreamId();
  t.notOk(id.decrement());
  t.ok(id.isMax);
  t.notOk(id.increment());
  t.ok(id.isMin);
});

t.test('a full shard refuses entries and loses none', async (t) => {
  const random = new Random(7);
  let refused = 0;
  for (const [nodeBytes, nodeEntries] of [
    [4096, 100],
    [200, 2],
    [0, 0],
  ] as const) {
    const subject = new Subject(nodeBytes, nodeEntries, 96 << 10);
    for (let step = 0; step < 3000; step++) {
      const used = subject.arena.usedBytes;
      const added = increased(random, subject.lastId);
      if (!subject.add(added, texts(random, step % 3))) {
        refused++;
        if (subject.arena.usedBytes !== used) t.fail('memory is lost');
        if (refused % 20 === 0) subject.verify();
        if (random.chance(0.1)) trim(subject, random);
        else deleteAt(subject, random.below(subject.model.length));
      }
    }
    subject.verify();
    subject.arena.verify();
  }
  t.ok(refused > 100, `${refused} times`);
});

t.test('a damaged listpack is told from a sound one', async (t) => {
  const random = new Random(8);
  const subject = new Subject(4096, 100);
  for (let count = 0; count < 40; count++) subject.add(increased(random, subject.lastId), texts(random, 0));
  deleteAt(subject, 5);
  const { memory, arena, streams, reference } = subject;
  const block = streams.firstBlock(reference);
  const sound = new Uint8Array(streams.blocks.listpackBytes(block));
  new StreamListpackWriter().write(memory, streams.blocks, block, sound, new DataView(sound.buffer));
  const id = new StreamId();
  id.read(memory.words, block >> 2);
  const reader = new StreamListpackReader(memory, arena);
  const used = arena.usedBytes;
  let damaged = 0;
  for (let round = 0; round < 3000; round++) {
    const listpack = sound.slice();
    const at = random.below(listpack.length);
    listpack[at] = random.below(256);
    const lengthBytes = random.chance(0.1) ? random.below(listpack.length) : listpack.length;
    const loaded = reader.load(id, listpack, new DataView(listpack.buffer), 0, lengthBytes);
    if (loaded === LoadedBlock.Damaged) {
      damaged++;
    } else {
      // Bytes of a text may be any others.
      streams.blocks.verify(loaded);
      streams.blocks.free(loaded);
    }
    if (arena.usedBytes !== used) t.fail('memory is lost');
  }
  t.ok(damaged > 500, `${damaged} of 3000`);
});

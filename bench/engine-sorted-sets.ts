/**
 * Micro-benchmarks of sorted sets: the tree by itself, then whole sorted sets of different sizes, without the
 * network, the protocol and the keyspace.
 */

import { Arena } from '../src/memory/arena.js';
import { ownHashSecret } from '../src/memory/hash.js';
import { ShardMemory } from '../src/memory/shard-memory.js';
import { SortedSetCursor, SortedSetValue } from '../src/structures/sorted-set-value.js';
import { SortedTree, TreeRoot } from '../src/structures/sorted-tree.js';
import { Random } from '../test/tools/random.js';
import { valueLimits } from '../test/tools/value-limits.js';
import type { EngineRow } from './engine-protocol.js';

ownHashSecret();

const HEADER_BYTES = 12;
const MEMBER_BYTES = 16;
const ARENA_BYTES = 512 << 20;

const LIMITS = valueLimits();

/** Processor time of this process in ms: other processes do not disturb it as they do a clock. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function label(elements: number): string {
  return elements >= 1000 ? `${elements / 1000}k` : String(elements);
}

function rowsOf(subject: string, times: Record<string, number>, operations: number): EngineRow[] {
  return Object.entries(times).map(([part, ms]) => ({
    name: `${subject}: ${part}`,
    nanosecondsPerOperation: (ms * 1e6) / operations,
  }));
}

function treeRows(elements: number, rounds: number): EngineRow[] {
  const memory = ShardMemory.create(ARENA_BYTES, 1);
  const arena = new Arena(memory);
  const tree = new SortedTree(memory, arena, HEADER_BYTES);
  const root = arena.allocate(TreeRoot.WORDS * 4) >> 2;
  memory.words.fill(0, root, root + TreeRoot.WORDS);
  const random = new Random(1);
  const scores = Float64Array.from({ length: elements }, () => random.below(elements * 4));
  const records = Int32Array.from({ length: elements }, (_, element) => {
    const record = arena.allocate(HEADER_BYTES + MEMBER_BYTES);
    memory.words[(record >> 2) + 2] = MEMBER_BYTES;
    memory.bytes.set(Buffer.from(`member:${String(element).padStart(9, '0')}`), record + HEADER_BYTES);
    return record;
  });
  const times = { insert: 0, rank: 0, seek: 0, move: 0, remove: 0 };
  let sink = 0;
  let start = processorMs();
  const lap = (part: keyof typeof times) => {
    const now = processorMs();
    times[part] += now - start;
    start = now;
  };
  for (let round = 0; round < rounds; round++) {
    for (let element = 0; element < elements; element++) tree.insert(root, scores[element], records[element]);
    lap('insert');
    for (let element = 0; element < elements; element++) {
      sink += tree.rankOf(root, scores[element], records[element]);
    }
    lap('rank');
    for (let element = 0; element < elements; element++) {
      tree.seek(root, (element * 7919) % elements);
      sink += tree.seekIndex;
    }
    lap('seek');
    for (let element = 0; element < elements; element++) {
      const score = scores[(element + 1) % elements] + 0.5;
      tree.move(root, scores[element], records[element], score);
      scores[element] = score;
    }
    lap('move');
    for (let element = 0; element < elements; element++) tree.remove(root, scores[element], records[element]);
    lap('remove');
  }
  if (sink < 0) throw new Error('a rank below 0');
  return rowsOf(`tree of ${label(elements)}`, times, elements * rounds);
}

function valueRows(elements: number, copies: number): EngineRow[] {
  const memory = ShardMemory.create(ARENA_BYTES, 1);
  const arena = new Arena(memory);
  const sets = new SortedSetValue(memory, arena, LIMITS);
  const members = new Uint8Array(elements * MEMBER_BYTES);
  const view = new DataView(members.buffer);
  const random = new Random(2);
  const scores = Float64Array.from({ length: elements }, () => random.below(1_000_000));
  for (let element = 0; element < elements; element++) {
    members.set(Buffer.from(`member:${String(element).padStart(9, '0')}`), element * MEMBER_BYTES);
  }
  const cursor = new SortedSetCursor();
  const references = Int32Array.from({ length: copies }, () => arena.allocate(8));
  const times = { add: 0, find: 0, rank: 0, pop: 0 };
  let start = processorMs();
  const lap = (part: keyof typeof times) => {
    const now = processorMs();
    times[part] = now - start;
    start = now;
  };
  for (const reference of references) {
    sets.create(reference);
    for (let element = 0; element < elements; element++) {
      const offset = element * MEMBER_BYTES;
      sets.find(reference, members, view, offset, MEMBER_BYTES);
      sets.add(reference, scores[element], members, view, offset, MEMBER_BYTES);
    }
  }
  lap('add');
  const bytes = arena.usedBytes / copies;
  for (const reference of references) {
    for (let element = 0; element < elements; element++) {
      sets.find(reference, members, view, ((element * 7919) % elements) * MEMBER_BYTES, MEMBER_BYTES);
    }
  }
  lap('find');
  for (const reference of references) {
    for (let element = 0; element < elements; element++) {
      sets.rank(reference, members, view, ((element * 7919) % elements) * MEMBER_BYTES, MEMBER_BYTES);
    }
  }
  lap('rank');
  for (const reference of references) {
    for (let element = 0; element < elements; element++) {
      sets.seek(cursor, reference, 0);
      sets.removeRange(reference, 0, 1);
    }
  }
  lap('pop');
  const name = `sorted set of ${label(elements)} (${(bytes / elements).toFixed(1)} bytes each)`;
  return rowsOf(name, times, elements * copies);
}

export function sortedSetRows(): EngineRow[] {
  return [
    ...treeRows(1_000, 300),
    ...treeRows(1_000_000, 1),
    ...valueRows(10, 10_000),
    ...valueRows(100, 1_000),
    ...valueRows(1_000, 200),
    ...valueRows(1_000_000, 1),
  ];
}

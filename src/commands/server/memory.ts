/** MEMORY: what keys and the process take. */

import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { entryBytes, ValueType } from '../../keyspace/entry.js';
import { blockBytes } from '../../memory/arena.js';
import { helpHandler } from '../connection/help.js';
import { memoryFigures } from './memory-figures.js';

/** Bytes of the dictionary that one key takes on average: its slot and tag at 80 % fill. */
const TABLE_BYTES_PER_KEY = 7;

const USAGE_SAMPLES_DEFAULT = 5;
/** Fields of MEMORY STATS besides those of databases. */
const FIXED_STATS = 27;

function usage(context: CommandContext): void {
  const { reply, argCount } = context;
  let samples = USAGE_SAMPLES_DEFAULT;
  for (let index = 3; index < argCount; index += 2) {
    if (!context.argIs(index, 'SAMPLES') || index + 1 >= argCount) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    if (!context.integer(index + 1)) return;
    if (context.number.value < 0) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    samples = context.number.value;
  }
  if (context.peek(2) === 0) {
    reply.nullBulk();
    return;
  }
  const { shard, entryType } = context;
  let usedBytes = blockBytes(entryBytes(shard.words, context.entry)) + TABLE_BYTES_PER_KEY;
  if (entryType !== ValueType.String) {
    usedBytes += shard.collection(entryType).usedBytes(context.valueOffset, samples);
  }
  reply.integer(usedBytes);
}

/** Gives memory that no key uses back to the operating system. */
function purge(context: CommandContext): void {
  context.services.purgeBuffers();
  for (const shard of context.keyspace.shards) {
    context.lockShard(shard);
    context.services.releaseUnusedPages(shard);
    context.unlockShard(shard);
  }
  context.reply.ok();
}

function doctor(context: CommandContext): void {
  const { keyspace } = context;
  const usedBytes = keyspace.usedBytes();
  let freeBytes = 0;
  for (const shard of keyspace.shards) freeBytes += shard.arena.freeBytes;
  if (usedBytes < 5 * 1024 * 1024) {
    context.reply.verbatim(
      'This instance is empty or uses very little memory: there is nothing to diagnose yet.\n',
      'txt',
    );
  } else if (freeBytes > usedBytes / 2) {
    context.reply.verbatim(
      `Fragmentation: ${freeBytes} bytes lie free between ${usedBytes} bytes in use. MEMORY PURGE returns what it can.\n`,
      'txt',
    );
  } else {
    context.reply.verbatim('No memory problem found.\n', 'txt');
  }
}

/** Bytes of the tables of each database that has keys. Locks the shards one by one. */
function tableBytesByDatabase(context: CommandContext): [database: number, bytes: number][] {
  const { keyspace } = context;
  const databases: [number, number][] = [];
  for (let database = 0; database < keyspace.databaseCount; database++) {
    let bytes = 0;
    for (const shard of keyspace.shards) {
      if (shard.keyCount(database) === 0) continue;
      context.lockShard(shard);
      bytes += shard.dictionary.tableBytes(shard.root(database));
      context.unlockShard(shard);
    }
    if (bytes > 0) databases.push([database, bytes]);
  }
  return databases;
}

function stats(context: CommandContext): void {
  const { reply, keyspace, services } = context;
  const databases = tableBytesByDatabase(context);
  let tableBytes = 0;
  let keys = 0;
  for (const [database, bytes] of databases) {
    tableBytes += bytes;
    keys += keyspace.keyCount(database);
  }
  const figures = memoryFigures(context, tableBytes);
  const { usedBytes, allocatedBytes, activeBytes, residentBytes } = figures;
  const integers = (...rows: readonly (readonly [name: string, value: number])[]): void => {
    for (const [name, value] of rows) {
      reply.bulkString(name);
      reply.integer(value);
    }
  };
  const ratio = (name: string, value: number): void => {
    reply.bulkString(name);
    reply.double(value);
  };
  reply.map(FIXED_STATS + databases.length);
  integers(
    ['peak.allocated', figures.peakBytes],
    ['total.allocated', usedBytes],
    ['startup.allocated', figures.startupBytes],
    ['replication.backlog', figures.backlogBytes],
    ['clients.slaves', figures.replicaBytes],
    ['clients.normal', figures.clientBytes],
    ['cluster.links', 0],
    ['aof.buffer', figures.journalBytes],
    ['lua.caches', services.state.scriptCache.usedBytes],
    ['functions.caches', keyspace.functions.usedBytes],
  );
  for (const [database, bytes] of databases) {
    reply.bulkString(`db.${database}`);
    reply.map(3);
    integers(
      ['overhead.hashtable.main', bytes],
      ['overhead.hashtable.expires', 0],
      ['overhead.hashtable.slot-to-keys', 0],
    );
  }
  integers(
    ['overhead.total', figures.overheadBytes],
    ['keys.count', keys],
    ['keys.bytes-per-key', keys === 0 ? 0 : Math.floor((usedBytes - figures.startupBytes) / keys)],
    ['dataset.bytes', figures.datasetBytes],
  );
  ratio('dataset.percentage', figures.datasetPercent);
  ratio('peak.percentage', (100 * usedBytes) / figures.peakBytes);
  integers(
    ['allocator.allocated', allocatedBytes],
    ['allocator.active', activeBytes],
    ['allocator.resident', residentBytes],
  );
  ratio('allocator-fragmentation.ratio', activeBytes / allocatedBytes);
  integers(['allocator-fragmentation.bytes', activeBytes - allocatedBytes]);
  ratio('allocator-rss.ratio', residentBytes / activeBytes);
  integers(['allocator-rss.bytes', residentBytes - activeBytes]);
  ratio('rss-overhead.ratio', 1);
  integers(['rss-overhead.bytes', 0]);
  ratio('fragmentation', residentBytes / allocatedBytes);
  integers(['fragmentation.bytes', residentBytes - allocatedBytes]);
}

export const memoryHandlers: Readonly<Record<string, Handler>> = {
  'MEMORY DOCTOR': doctor,
  'MEMORY HELP': helpHandler('MEMORY', [
    'DOCTOR',
    '    Give advice about the use of memory.',
    'MALLOC-STATS',
    '    Report on the allocator.',
    'PURGE',
    '    Give memory that no key uses back to the operating system.',
    'STATS',
    '    Report what uses how much memory.',
    'USAGE <key> [SAMPLES <count>]',
    '    Tell how many bytes <key> and its value take. Of nested values <count>',
    '    elements are measured (default: 5, 0 means all).',
  ]),
  'MEMORY MALLOC-STATS': (context) =>
    context.reply.bulkString('Memory is managed by the arenas of the shards; see MEMORY STATS.'),
  'MEMORY PURGE': purge,
  'MEMORY STATS': stats,
  'MEMORY USAGE': usage,
};

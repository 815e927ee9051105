/** MEMORY: what keys and the process take. */

import { getHeapStatistics } from 'node:v8';
import type { CommandContext } from '../../execution/context.js';
import { SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { entryBytes, ValueType } from '../../keyspace/entry.js';
import { blockBytes } from '../../memory/arena.js';
import { residentBytes } from '../../system/resident-memory.js';
import { helpHandler } from '../connection/help.js';

/** Bytes of the dictionary that one key takes on average: its slot and tag at 80 % fill. */
const TABLE_BYTES_PER_KEY = 7;

const USAGE_SAMPLES_DEFAULT = 5;

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

function stats(context: CommandContext): void {
  const { reply, keyspace } = context;
  const { control, clients } = context.services.state;
  const usedBytes = keyspace.usedBytes();
  control.notePeakMemory(usedBytes);
  const heap = getHeapStatistics();
  let tableBytes = 0;
  let keys = 0;
  let freeBytes = 0;
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
    tableBytes += bytes;
    keys += keyspace.keyCount(database);
  }
  for (const shard of keyspace.shards) freeBytes += shard.arena.freeBytes;
  const startupBytes = heap.used_heap_size + heap.external_memory;
  const rows: [string, number][] = [
    ['peak.allocated', control.peakMemoryBytes],
    ['total.allocated', usedBytes],
    ['startup.allocated', startupBytes],
    ['replication.backlog', 0],
    ['clients.slaves', 0],
    ['clients.normal', clients.count * 2048],
    ['cluster.links', 0],
    ['aof.buffer', 0],
    ['lua.caches', 0],
    ['functions.caches', 0],
  ];
  const tail: [string, number][] = [
    ['overhead.total', tableBytes],
    ['keys.count', keys],
    ['keys.bytes-per-key', keys === 0 ? 0 : Math.round(usedBytes / keys)],
    ['dataset.bytes', usedBytes - tableBytes],
  ];
  const ratios: [string, number][] = [
    ['dataset.percentage', usedBytes === 0 ? 0 : (100 * (usedBytes - tableBytes)) / usedBytes],
    ['peak.percentage', control.peakMemoryBytes === 0 ? 0 : (100 * usedBytes) / control.peakMemoryBytes],
    ['fragmentation', usedBytes === 0 ? 1 : residentBytes() / usedBytes],
  ];
  reply.map(rows.length + databases.length + tail.length + ratios.length + 1);
  for (const [name, value] of rows) {
    reply.bulkString(name);
    reply.integer(value);
  }
  for (const [database, bytes] of databases) {
    reply.bulkString(`db.${database}`);
    reply.map(2);
    reply.bulkString('overhead.hashtable.main');
    reply.integer(bytes);
    reply.bulkString('overhead.hashtable.expires');
    reply.integer(0);
  }
  for (const [name, value] of tail) {
    reply.bulkString(name);
    reply.integer(value);
  }
  for (const [name, value] of ratios) {
    reply.bulkString(name);
    reply.double(value);
  }
  reply.bulkString('fragmentation.bytes');
  reply.integer(freeBytes);
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

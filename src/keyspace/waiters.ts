/**
 * The clients of all workers that wait for keys of a shard: for each key, a queue of waiters in order of arrival.
 *
 *   queue: a record of the shard's table of queues, one per database and key
 *     words 0 hash   1 database   2 first waiter   3 last waiter   4 number of waiters
 *           5 number of those that must be told if the key is missing
 *           6 length of the key   7 whether it is in the list of ready keys   then the key
 *
 *   waiter: a block in the shard's arena
 *     words 0 next   1 previous   2 queue   3 the client's row in the client table   4 ticket
 *           5 the argument that names the key   6 kind (WaitKind)   7 shard of the request   8 the request (byte offset)
 *
 *   request: a block of the shard of the first key, shared by the waiters of all keys that one client waits for
 *     words 0 length of the block   1 id of the command   2 number of arguments   3 worker   4-5 client id (float64)
 *           then pairs [offset, length], the offsets from the beginning of the shard, then the arguments
 *
 * A waiter has a ticket (state/client-table.ts). Only the thread that claims the ticket may serve the waiter or
 * withdraw it. Afterwards the client's worker removes the waiters that are left. All methods need the shard's lock,
 * except reading a request: that does not change until its client's worker has learned that the ticket was claimed.
 */

import type { Arena } from '../memory/arena.js';
import { HeaderWord, ShardListener, type ShardMemory } from '../memory/shard-memory.js';
import { copyBytes, equalBytes } from '../structures/copy.js';
import { Dictionary, TablePosition } from '../structures/dictionary.js';
import type { KeyName } from './gate.js';

/** What a client waits for. */
export const enum WaitKind {
  List = 0,
  SortedSet = 1,
  Stream = 2,
  /** A consumer of a stream's group: it is told if the key is deleted. */
  StreamGroup = 3,
}

const enum Queue {
  Hash = 0,
  Database = 1,
  First = 2,
  Last = 3,
  Count = 4,
  OnNoKey = 5,
  KeyLength = 6,
  IsReady = 7,
  WORDS = 8,
}

const enum Waiter {
  Next = 0,
  Previous = 1,
  Queue = 2,
  ClientSlot = 3,
  Ticket = 4,
  KeyArgument = 5,
  Kind = 6,
  RequestShard = 7,
  Request = 8,
  WORDS = 10,
}

const enum RequestWord {
  Bytes = 0,
  CommandId = 1,
  ArgumentCount = 2,
  Worker = 3,
  /** A float64. */
  ClientId = 4,
  Pairs = 6,
}

const QUEUE_HEADER_BYTES = Queue.WORDS * 4;
const WAITER_BYTES = Waiter.WORDS * 4;

/** The queues of a shard by database and key. */
class QueueTable extends Dictionary {
  /** Database of the key to find. */
  database = 0;

  protected override recordMatches(
    record: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const { words, memory } = this;
    const at = record >> 2;
    return (
      words[at + Queue.Database] === this.database &&
      words[at + Queue.KeyLength] === lengthBytes &&
      equalBytes(memory.bytes, memory.view, record + QUEUE_HEADER_BYTES, bytes, view, offset, lengthBytes)
    );
  }

  protected override recordHash(record: number): number {
    return this.words[(record >> 2) + Queue.Hash];
  }
}

/** What is kept of a request while its client waits. */
export interface WaitRequest {
  commandId: number;
  worker: number;
  clientId: number;
  readonly args: WaitArguments;
}

/** `count` pairs [offset, length] of `pairs` from pair number `start` on, in `bytes`. */
export interface WaitArguments {
  bytes: Uint8Array;
  view: DataView;
  pairs: Int32Array;
  start: number;
  count: number;
}

export class Waiters {
  private readonly memory: ShardMemory;
  private readonly words: Int32Array;
  private readonly arena: Arena;
  private readonly table: QueueTable;

  constructor(memory: ShardMemory, arena: Arena) {
    this.memory = memory;
    this.words = memory.words;
    this.arena = arena;
    this.table = new QueueTable(memory, arena);
  }

  /** Number of keys that clients wait for. */
  get queueCount(): number {
    return this.table.count(HeaderWord.WaitQueues);
  }

  /** Whether there are no queues and no requests. A request remains until its client's worker has seen the outcome. */
  get isEmpty(): boolean {
    return this.queueCount === 0 && this.words[HeaderWord.WaitRequests] === 0;
  }

  /** Number of keys with a waiter that must be told if the key is missing. */
  get queuesOnNoKey(): number {
    return this.words[HeaderWord.WaitQueuesOnNoKey];
  }

  /** The queue of a key, 0 if no client waits for it. */
  find({ keyDatabase, hash, bytes, view, keyOffset, keyLength }: KeyName): number {
    const { table, words } = this;
    table.database = keyDatabase;
    const slot = table.find(HeaderWord.WaitQueues, hash, bytes, view, keyOffset, keyLength);
    return slot === 0 ? 0 : words[slot];
  }

  /** Keeps a request; returns its block, 0 if there is no memory. */
  keepRequest(request: WaitRequest): number {
    const { words, memory, arena } = this;
    const { bytes, view, pairs, start, count } = request.args;
    const headBytes = (RequestWord.Pairs + 2 * count) * 4;
    let total = headBytes;
    for (let index = start; index < start + count; index++) total += pairs[2 * index + 1];
    const block = arena.allocate(total);
    if (block === 0) return 0;
    words[HeaderWord.WaitRequests]++;
    const at = block >> 2;
    words[at + RequestWord.Bytes] = total;
    words[at + RequestWord.CommandId] = request.commandId;
    words[at + RequestWord.ArgumentCount] = count;
    words[at + RequestWord.Worker] = request.worker;
    memory.doubles[(at + RequestWord.ClientId) >> 1] = request.clientId;
    let offset = block + headBytes;
    for (let index = 0; index < count; index++) {
      const from = pairs[2 * (start + index)];
      const length = pairs[2 * (start + index) + 1];
      words[at + RequestWord.Pairs + 2 * index] = offset;
      words[at + RequestWord.Pairs + 2 * index + 1] = length;
      copyBytes(memory.bytes, memory.view, offset, bytes, view, from, length);
      offset += length;
    }
    return block;
  }

  /** Makes `request` the one that is kept in a block. */
  readRequest(block: number, request: WaitRequest): void {
    const { words, memory } = this;
    const { args } = request;
    const at = block >> 2;
    request.commandId = words[at + RequestWord.CommandId];
    request.worker = words[at + RequestWord.Worker];
    request.clientId = memory.doubles[(at + RequestWord.ClientId) >> 1];
    args.bytes = memory.bytes;
    args.view = memory.view;
    args.pairs = words;
    args.start = (at + RequestWord.Pairs) >> 1;
    args.count = words[at + RequestWord.ArgumentCount];
  }

  freeRequest(block: number): void {
    this.words[HeaderWord.WaitRequests]--;
    this.arena.free(block, this.words[(block >> 2) + RequestWord.Bytes]);
  }

  /**
   * Puts a waiter at the end of a key's queue. Returns it, or 0, with nothing changed, if there is no memory.
   * `keyArgument`: which argument of the request the key is.
   */
  add(
    key: KeyName,
    kind: WaitKind,
    clientSlot: number,
    ticket: number,
    keyArgument: number,
    requestShard: number,
    request: number,
  ): number {
    const { words, arena } = this;
    const waiter = arena.allocate(WAITER_BYTES);
    const queue = waiter === 0 ? 0 : this.queueFor(key);
    if (queue === 0) {
      if (waiter !== 0) arena.free(waiter, WAITER_BYTES);
      return 0;
    }
    const at = waiter >> 2;
    const queueAt = queue >> 2;
    const last = words[queueAt + Queue.Last];
    words[at + Waiter.Next] = 0;
    words[at + Waiter.Previous] = last;
    words[at + Waiter.Queue] = queue;
    words[at + Waiter.ClientSlot] = clientSlot;
    words[at + Waiter.Ticket] = ticket;
    words[at + Waiter.KeyArgument] = keyArgument;
    words[at + Waiter.Kind] = kind;
    words[at + Waiter.RequestShard] = requestShard;
    words[at + Waiter.Request] = request;
    if (last === 0) words[queueAt + Queue.First] = waiter;
    else words[(last >> 2) + Waiter.Next] = waiter;
    words[queueAt + Queue.Last] = waiter;
    words[queueAt + Queue.Count]++;
    if (kind === WaitKind.StreamGroup && words[queueAt + Queue.OnNoKey]++ === 0) {
      words[HeaderWord.WaitQueuesOnNoKey]++;
    }
    words[HeaderWord.Listeners] |= ShardListener.Waiters;
    return waiter;
  }

  /** The queue of a key, made if need be; 0 if there is no memory. */
  private queueFor(key: KeyName): number {
    const { words, memory, arena, table } = this;
    const found = this.find(key);
    if (found !== 0) return found;
    const { keyLength } = key;
    const queue = arena.allocate(QUEUE_HEADER_BYTES + keyLength);
    if (queue === 0) return 0;
    const at = queue >> 2;
    words.fill(0, at, at + Queue.WORDS);
    words[at + Queue.Hash] = key.hash;
    words[at + Queue.Database] = key.keyDatabase;
    words[at + Queue.KeyLength] = keyLength;
    const target = queue + QUEUE_HEADER_BYTES;
    copyBytes(memory.bytes, memory.view, target, key.bytes, key.view, key.keyOffset, keyLength);
    if (table.insert(HeaderWord.WaitQueues, key.hash, queue)) return queue;
    arena.free(queue, QUEUE_HEADER_BYTES + keyLength);
    return 0;
  }

  /** Removes a waiter. Its queue goes with the last one, unless it is in the list of ready keys. */
  remove(waiter: number): void {
    const { words } = this;
    const at = waiter >> 2;
    const queue = words[at + Waiter.Queue];
    const queueAt = queue >> 2;
    const next = words[at + Waiter.Next];
    const previous = words[at + Waiter.Previous];
    if (previous === 0) words[queueAt + Queue.First] = next;
    else words[(previous >> 2) + Waiter.Next] = next;
    if (next === 0) words[queueAt + Queue.Last] = previous;
    else words[(next >> 2) + Waiter.Previous] = previous;
    words[queueAt + Queue.Count]--;
    if (words[at + Waiter.Kind] === WaitKind.StreamGroup && --words[queueAt + Queue.OnNoKey] === 0) {
      words[HeaderWord.WaitQueuesOnNoKey]--;
    }
    this.arena.free(waiter, WAITER_BYTES);
    this.dropIfEmpty(queue);
  }

  /** Frees a queue if it has no waiters and is in no list of ready keys. */
  private dropIfEmpty(queue: number): void {
    const { words, table } = this;
    const at = queue >> 2;
    if (words[at + Queue.Count] !== 0 || words[at + Queue.IsReady] !== 0) return;
    const hash = words[at + Queue.Hash];
    table.erase(HeaderWord.WaitQueues, hash, table.slotOf(HeaderWord.WaitQueues, hash, queue));
    this.arena.free(queue, QUEUE_HEADER_BYTES + words[at + Queue.KeyLength]);
    if (this.queueCount === 0) words[HeaderWord.Listeners] &= ~ShardListener.Waiters;
  }

  /** Notes that a queue is in a list of ready keys; false if it is already. */
  markReady(queue: number): boolean {
    const word = (queue >> 2) + Queue.IsReady;
    if (this.words[word] !== 0) return false;
    this.words[word] = 1;
    return true;
  }

  /** A queue has left the list of ready keys. */
  unmarkReady(queue: number): void {
    this.words[(queue >> 2) + Queue.IsReady] = 0;
    this.dropIfEmpty(queue);
  }

  /** Calls `take` for every queue of a database. */
  forEachQueue(database: number, take: (queue: number) => void): void {
    const { words, table } = this;
    const position = new TablePosition();
    while (table.readLine(HeaderWord.WaitQueues, position)) {
      for (let index = 0; index < table.scannedCount; index++) {
        const queue = table.scanned[index];
        if (words[(queue >> 2) + Queue.Database] === database) take(queue);
      }
    }
  }

  // The fields of a queue and of a waiter.

  first(queue: number): number {
    return this.words[(queue >> 2) + Queue.First];
  }

  count(queue: number): number {
    return this.words[(queue >> 2) + Queue.Count];
  }

  /** Whether the queue has a waiter that must be told if the key is missing. */
  hasWaitersOnNoKey(queue: number): boolean {
    return this.words[(queue >> 2) + Queue.OnNoKey] !== 0;
  }

  hash(queue: number): number {
    return this.words[(queue >> 2) + Queue.Hash];
  }

  database(queue: number): number {
    return this.words[(queue >> 2) + Queue.Database];
  }

  keyOffset(queue: number): number {
    return queue + QUEUE_HEADER_BYTES;
  }

  keyLength(queue: number): number {
    return this.words[(queue >> 2) + Queue.KeyLength];
  }

  next(waiter: number): number {
    return this.words[(waiter >> 2) + Waiter.Next];
  }

  clientSlot(waiter: number): number {
    return this.words[(waiter >> 2) + Waiter.ClientSlot];
  }

  ticket(waiter: number): number {
    return this.words[(waiter >> 2) + Waiter.Ticket];
  }

  keyArgument(waiter: number): number {
    return this.words[(waiter >> 2) + Waiter.KeyArgument];
  }

  kind(waiter: number): WaitKind {
    return this.words[(waiter >> 2) + Waiter.Kind];
  }

  requestShard(waiter: number): number {
    return this.words[(waiter >> 2) + Waiter.RequestShard];
  }

  request(waiter: number): number {
    return this.words[(waiter >> 2) + Waiter.Request];
  }

  /** Throws if an invariant is broken. For tests. */
  verify(): void {
    const { words, table } = this;
    table.verify(HeaderWord.WaitQueues);
    const position = new TablePosition();
    let onNoKey = 0;
    while (table.readLine(HeaderWord.WaitQueues, position)) {
      for (let index = 0; index < table.scannedCount; index++) {
        const queue = table.scanned[index];
        if (this.verifyQueue(queue)) onNoKey++;
      }
    }
    if (onNoKey !== this.queuesOnNoKey) throw new Error(`waiters: ${this.queuesOnNoKey} queues on no key`);
    const isListening = (words[HeaderWord.Listeners] & ShardListener.Waiters) !== 0;
    if (isListening !== this.queueCount > 0) throw new Error('waiters: nobody is told of them, or of nobody');
  }

  /** Returns whether the queue has a waiter that must be told if the key is missing. */
  private verifyQueue(queue: number): boolean {
    const { words } = this;
    const at = queue >> 2;
    let count = 0;
    let onNoKey = 0;
    let previous = 0;
    for (let waiter = this.first(queue); waiter !== 0; waiter = this.next(waiter)) {
      if (words[(waiter >> 2) + Waiter.Previous] !== previous) throw new Error('waiters: wrong back link');
      if (words[(waiter >> 2) + Waiter.Queue] !== queue) throw new Error('waiters: in another queue');
      if (this.kind(waiter) === WaitKind.StreamGroup) onNoKey++;
      previous = waiter;
      count++;
    }
    if (words[at + Queue.Last] !== previous) throw new Error('waiters: wrong last');
    if (count !== words[at + Queue.Count]) throw new Error('waiters: wrong count');
    if (count === 0) throw new Error('waiters: an empty queue');
    if (onNoKey !== words[at + Queue.OnNoKey]) throw new Error('waiters: wrong count on no key');
    return onNoKey > 0;
  }
}

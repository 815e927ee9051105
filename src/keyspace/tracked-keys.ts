/**
 * Which clients have read which keys of a shard, and may have cached them (CLIENT TRACKING). Keys are known by name: in
 * which database a client has read one does not matter, as in Redis.
 *
 *   key: a record of the shard's table of tracked keys
 *     words 0 hash   1 length of the name   2 clients   3 room for clients, 0 if they are a bitmap   4 block of the clients
 *           then the name
 *
 *   clients: a block of row numbers of the client table, two bytes each; with more than LIST_CLIENTS_MAX a bitmap of all
 *   rows. If a row goes to another client, that one may be told of a change that does not concern it.
 *
 * Keys that are read are added, and keys that change are removed, under the shard's lock: so no change is missed.
 */

import type { Arena } from '../memory/arena.js';
import { HeaderWord, ShardListener, type ShardMemory } from '../memory/shard-memory.js';
import { CLIENT_ROWS_MAX } from '../state/client-table.js';
import { copyBytes, equalBytes } from '../structures/copy.js';
import { Dictionary, TablePosition } from '../structures/dictionary.js';
import type { KeyName } from './gate.js';
import type { TrackingTotals } from './tracking-totals.js';

const enum Key {
  Hash = 0,
  NameLength = 1,
  Clients = 2,
  Room = 3,
  Block = 4,
  WORDS = 5,
}

const HEADER_BYTES = Key.WORDS * 4;
/** A block of eight bytes. */
const ROOM_MIN = 4;
const LIST_CLIENTS_MAX = 64;
const BITMAP_BYTES = CLIENT_ROWS_MAX / 8;

class TrackedKeyTable extends Dictionary {
  protected override recordMatches(
    record: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): boolean {
    const { words, memory } = this;
    return (
      words[(record >> 2) + Key.NameLength] === lengthBytes &&
      equalBytes(memory.bytes, memory.view, record + HEADER_BYTES, bytes, view, offset, lengthBytes)
    );
  }

  protected override recordHash(record: number): number {
    return this.words[(record >> 2) + Key.Hash];
  }
}

export class TrackedKeys {
  private readonly memory: ShardMemory;
  private readonly words: Int32Array;
  private readonly arena: Arena;
  private readonly table: TrackedKeyTable;
  private readonly totals: TrackingTotals;
  /** The clients of the key that was taken out last, as rows of the client table: the first `takenCount`. */
  taken = new Uint16Array(LIST_CLIENTS_MAX);
  takenCount = 0;

  constructor(memory: ShardMemory, arena: Arena, totals: TrackingTotals) {
    this.memory = memory;
    this.words = memory.words;
    this.arena = arena;
    this.table = new TrackedKeyTable(memory, arena);
    this.totals = totals;
  }

  /** Tracked keys of this shard. */
  get count(): number {
    return this.table.count(HeaderWord.TrackedKeys);
  }

  private find({ hash, bytes, view, keyOffset, keyLength }: KeyName): number {
    const slot = this.table.find(HeaderWord.TrackedKeys, hash, bytes, view, keyOffset, keyLength);
    return slot === 0 ? 0 : this.words[slot];
  }

  /** A client has read a key. False, with nothing changed, if there is no memory. */
  add(key: KeyName, client: number): boolean {
    const record = this.find(key) || this.create(key);
    if (record === 0) return false;
    if (this.addClient(record, client)) return true;
    if (this.words[(record >> 2) + Key.Clients] === 0) this.remove(record);
    return false;
  }

  private create(key: KeyName): number {
    const { words, memory, arena, table } = this;
    const { keyLength } = key;
    const record = arena.allocate(HEADER_BYTES + keyLength);
    if (record === 0) return 0;
    const at = record >> 2;
    words.fill(0, at, at + Key.WORDS);
    words[at + Key.Hash] = key.hash;
    words[at + Key.NameLength] = keyLength;
    copyBytes(
      memory.bytes,
      memory.view,
      record + HEADER_BYTES,
      key.bytes,
      key.view,
      key.keyOffset,
      keyLength,
    );
    const block = arena.allocate(ROOM_MIN * 2);
    if (block === 0 || !table.insert(HeaderWord.TrackedKeys, key.hash, record)) {
      if (block !== 0) arena.free(block, ROOM_MIN * 2);
      arena.free(record, HEADER_BYTES + keyLength);
      return 0;
    }
    words[at + Key.Room] = ROOM_MIN;
    words[at + Key.Block] = block;
    words[HeaderWord.Listeners] |= ShardListener.Tracked;
    this.totals.add(1, 0);
    return record;
  }

  private addClient(record: number, client: number): boolean {
    const { words, memory } = this;
    const at = record >> 2;
    const count = words[at + Key.Clients];
    if (words[at + Key.Room] === 0) {
      if (!this.setBit(words[at + Key.Block], client)) return true;
    } else {
      const block = words[at + Key.Block];
      for (let index = 0; index < count; index++) {
        if (memory.view.getUint16(block + 2 * index, true) === client) return true;
      }
      if (count === words[at + Key.Room] && !this.grow(record)) return false;
      if (words[at + Key.Room] === 0) this.setBit(words[at + Key.Block], client);
      else memory.view.setUint16(words[at + Key.Block] + 2 * count, client, true);
    }
    words[at + Key.Clients] = count + 1;
    this.totals.add(0, 1);
    return true;
  }

  /** Whether the bit was not set. */
  private setBit(bitmap: number, client: number): boolean {
    const { bytes } = this.memory;
    const at = bitmap + (client >> 3);
    const bit = 1 << (client & 7);
    if ((bytes[at] & bit) !== 0) return false;
    bytes[at] |= bit;
    return true;
  }

  /** Makes room for more clients. */
  private grow(record: number): boolean {
    const { words, memory, arena } = this;
    const at = record >> 2;
    const room = words[at + Key.Room];
    const old = words[at + Key.Block];
    const isList = 2 * room <= LIST_CLIENTS_MAX;
    const block = arena.allocate(isList ? room * 4 : BITMAP_BYTES);
    if (block === 0) return false;
    if (isList) {
      memory.bytes.copyWithin(block, old, old + room * 2);
    } else {
      memory.bytes.fill(0, block, block + BITMAP_BYTES);
      for (let index = 0; index < room; index++) {
        this.setBit(block, memory.view.getUint16(old + 2 * index, true));
      }
    }
    arena.free(old, room * 2);
    words[at + Key.Room] = isList ? room * 2 : 0;
    words[at + Key.Block] = block;
    return true;
  }

  /** Removes a key that has changed and puts its clients into `taken`. False if no client has read it. */
  take(key: KeyName): boolean {
    const record = this.find(key);
    if (record === 0) return false;
    this.readClients(record);
    this.remove(record);
    return true;
  }

  /** Removes a random key, after calling `tell` with its name. Returns whether there was one. */
  takeAny(random: number, tell: (offset: number, lengthBytes: number) => void): boolean {
    const record = this.table.random(HeaderWord.TrackedKeys, random);
    if (record === 0) return false;
    this.readClients(record);
    tell(record + HEADER_BYTES, this.words[(record >> 2) + Key.NameLength]);
    this.remove(record);
    return true;
  }

  private readClients(record: number): void {
    const { words, memory } = this;
    const at = record >> 2;
    const block = words[at + Key.Block];
    const count = words[at + Key.Clients];
    if (count > this.taken.length) this.taken = new Uint16Array(CLIENT_ROWS_MAX);
    this.takenCount = 0;
    if (words[at + Key.Room] !== 0) {
      for (; this.takenCount < count; this.takenCount++) {
        this.taken[this.takenCount] = memory.view.getUint16(block + 2 * this.takenCount, true);
      }
      return;
    }
    for (let byte = 0; byte < BITMAP_BYTES; byte++) {
      for (let bits = memory.bytes[block + byte]; bits !== 0; bits &= bits - 1) {
        this.taken[this.takenCount++] = 8 * byte + 31 - Math.clz32(bits & -bits);
      }
    }
  }

  private remove(record: number): void {
    const { words, table, arena } = this;
    const hash = words[(record >> 2) + Key.Hash];
    table.erase(HeaderWord.TrackedKeys, hash, table.slotOf(HeaderWord.TrackedKeys, hash, record));
    const at = record >> 2;
    const room = words[at + Key.Room];
    this.totals.add(-1, -words[at + Key.Clients]);
    arena.free(words[at + Key.Block], room === 0 ? BITMAP_BYTES : room * 2);
    arena.free(record, HEADER_BYTES + words[at + Key.NameLength]);
    if (this.count === 0) words[HeaderWord.Listeners] &= ~ShardListener.Tracked;
  }

  /** Forgets all keys. */
  clear(): void {
    const { table } = this;
    const position = new TablePosition();
    const records: number[] = [];
    while (table.readLine(HeaderWord.TrackedKeys, position)) {
      for (let index = 0; index < table.scannedCount; index++) records.push(table.scanned[index]);
    }
    for (const record of records) this.remove(record);
  }

  /** Throws if an invariant is broken. For tests. */
  verify(): void {
    const { words, table } = this;
    table.verify(HeaderWord.TrackedKeys);
    const position = new TablePosition();
    while (table.readLine(HeaderWord.TrackedKeys, position)) {
      for (let index = 0; index < table.scannedCount; index++) {
        const record = table.scanned[index];
        this.readClients(record);
        const count = words[(record >> 2) + Key.Clients];
        if (count === 0 || count !== this.takenCount) throw new Error('tracked keys: wrong count of clients');
        if (new Set(this.taken.subarray(0, count)).size !== count)
          throw new Error('tracked keys: a client twice');
      }
    }
    const isListening = (words[HeaderWord.Listeners] & ShardListener.Tracked) !== 0;
    if (isListening !== this.count > 0)
      throw new Error('tracked keys: nobody is told of changes, or of none');
  }
}

/**
 * What one thread records of its changes: commands in RESP that have the same effect, gathered while the locks of
 * what they change are held, and appended to the ring (journal-ring.ts) before these are released.
 *
 * A command is recorded as it was sent, unless its handler records the effect in other words because it depends
 * on the time, on chance or on what only Damselfly knows (execution/effects.ts). Keys that expire or are evicted are
 * recorded as DEL by the shard. So a file of these records can be replayed by Redis as by Damselfly.
 */

import { integerLength, writeInteger } from '../memory/numbers.js';
import { copyBytes } from '../structures/copy.js';
import { JournalRing } from './journal-ring.js';

const INITIAL_BYTES = 16 * 1024;
const KEPT_BYTES_MAX = 4 << 20;
/** Of `*` or `$`, a number and CR LF. */
const HEADER_BYTES_MAX = 24;
const CR = 13;
const LF = 10;
const ARRAY = 0x2a;
const BULK = 0x24;

export class Journal {
  readonly ring: JournalRing;
  /** Changes that the gate has seen since the last command was settled. */
  changes = 0;
  /** Position in the journal up to which this thread has recorded something. */
  recordedUntil = 0;
  /** `recordedUntil` before the commands of the connection whose turn it is. */
  private recordedBefore = 0;
  private bytes = new Uint8Array(INITIAL_BYTES);
  private view = new DataView(this.bytes.buffer);
  private length = 0;
  private commandCount = 0;
  private firstDatabase = -1;
  private database = -1;
  /** The running command has recorded its effect by itself. */
  private isSettled = false;

  /** @param worker the worker whose changes these are; -1: this thread records nothing */
  constructor(handle: SharedArrayBuffer, worker: number) {
    this.ring = new JournalRing(handle, worker);
  }

  /** Changes are not recorded at present (redis.set_repl). */
  isMuted = false;

  /** Whether changes are recorded; ask under the lock of a shard. */
  get isOn(): boolean {
    return this.ring.isOn && !this.isMuted;
  }

  /** It is a connection's turn: its commands run next. */
  beginTurn(): void {
    this.recordedBefore = this.recordedUntil;
  }

  /** Whether the commands of this turn have recorded something. */
  get hasRecorded(): boolean {
    return this.recordedUntil !== this.recordedBefore;
  }

  /** Begins a command of `argCount` arguments, its name among them, on keys of a database. */
  begin(database: number, argCount: number): void {
    if (this.commandCount === 0) {
      this.firstDatabase = database;
    } else if (database !== this.database) {
      this.header(ARRAY, 2);
      this.word('SELECT');
      this.integer(database);
      this.commandCount++;
    }
    this.database = database;
    this.commandCount++;
    this.header(ARRAY, argCount);
  }

  private header(type: number, value: number): void {
    this.reserve(HEADER_BYTES_MAX);
    const { bytes } = this;
    bytes[this.length] = type;
    this.length += 1 + writeInteger(bytes, this.length + 1, value);
    bytes[this.length++] = CR;
    bytes[this.length++] = LF;
  }

  /** An argument that is bytes. */
  argument(source: Uint8Array, sourceView: DataView, offset: number, lengthBytes: number): void {
    this.header(BULK, lengthBytes);
    this.reserve(lengthBytes + 2);
    copyBytes(this.bytes, this.view, this.length, source, sourceView, offset, lengthBytes);
    this.length += lengthBytes;
    this.bytes[this.length++] = CR;
    this.bytes[this.length++] = LF;
  }

  /** An argument that is ASCII text. */
  word(text: string): void {
    this.header(BULK, text.length);
    this.reserve(text.length + 2);
    for (let at = 0; at < text.length; at++) this.bytes[this.length++] = text.charCodeAt(at);
    this.bytes[this.length++] = CR;
    this.bytes[this.length++] = LF;
  }

  /** An argument that is an integer. */
  integer(value: number): void {
    this.header(BULK, integerLength(value));
    this.reserve(HEADER_BYTES_MAX);
    this.length += writeInteger(this.bytes, this.length, value);
    this.bytes[this.length++] = CR;
    this.bytes[this.length++] = LF;
  }

  private reserve(lengthBytes: number): void {
    const needed = this.length + lengthBytes;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.bytes.length));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  /** Says that the running command has recorded its effect, all of it. */
  settled(): void {
    this.isSettled = true;
  }

  /** A command has ended: records its request unless it has changed nothing or recorded its effect by itself. */
  settle(
    database: number,
    bytes: Uint8Array,
    view: DataView,
    pairs: Int32Array,
    start: number,
    count: number,
  ): void {
    if (this.changes !== 0 && !this.isSettled && this.isOn) {
      this.request(database, bytes, view, pairs, start, count);
    }
    this.forget();
  }

  /** A command has ended whose request is not to be recorded. */
  forget(): void {
    this.changes = 0;
    this.isSettled = false;
  }

  /** The last recorded command is one that Redis 7.0 would not understand. */
  noteNewer(): void {
    this.ring.nextIsNewer = true;
  }

  /** Records a request: `count` pairs [offset, length] from pair `start` on. */
  request(
    database: number,
    bytes: Uint8Array,
    view: DataView,
    pairs: Int32Array,
    start: number,
    count: number,
  ): void {
    this.begin(database, count);
    for (let pair = 2 * start; pair < 2 * (start + count); pair += 2) {
      this.argument(bytes, view, pairs[pair], pairs[pair + 1]);
    }
  }

  /** Records the deletion of a key that no command has deleted. */
  delete(database: number, bytes: Uint8Array, view: DataView, keyOffset: number, keyLength: number): void {
    this.begin(database, 2);
    this.word('DEL');
    this.argument(bytes, view, keyOffset, keyLength);
  }

  /** Appends a request that changes nothing, for replicas alone. No lock needs to be held. */
  appendMessage(bytes: Uint8Array, view: DataView, pairs: Int32Array, start: number, count: number): void {
    const { length } = this;
    this.header(ARRAY, count);
    for (let pair = 2 * start; pair < 2 * (start + count); pair += 2) {
      this.argument(bytes, view, pairs[pair], pairs[pair + 1]);
    }
    this.ring.appendRaw(this.bytes, this.view, length, this.length - length, true);
    this.length = length;
  }

  /**
   * Appends what has been recorded to the ring; call it before the locks are released. `isWhole`: all of it happens
   * at once or not at all.
   */
  commit(isWhole: boolean): void {
    if (this.commandCount === 0) return;
    const { ring, bytes, view, length, commandCount, firstDatabase, database } = this;
    ring.append(bytes, view, length, commandCount, firstDatabase, database, isWhole);
    this.recordedUntil = ring.head;
    this.commandCount = 0;
    this.length = 0;
    if (bytes.length > KEPT_BYTES_MAX) {
      this.bytes = new Uint8Array(INITIAL_BYTES);
      this.view = new DataView(this.bytes.buffer);
    }
  }
}

/**
 * Which workers have subscribers of which channels and patterns: in shared memory, so that a publishing worker knows
 * which workers want a message, and how many subscribers get it. Each worker alone knows its own subscribers
 * (subscriptions.ts).
 *
 *   stripes, by the hash of the name: each a memory of its own with a lock, an arena and a dictionary of
 *
 *   channel or pattern:  | hash | kind | subscribers | length of the name | subscribers by worker ... | name |
 *
 *   control words: 0 version of patterns and prefixes, incremented by every change   1 subscriptions of all kinds
 *                  2 channels   3 channels of SSUBSCRIBE   4 patterns   5 prefixes
 *
 * A message is sent to all workers that want it while the stripe's lock is held. So all subscribers of a channel get
 * its messages in the same order. Patterns have to be matched with each message: every worker keeps a copy of all
 * patterns (pattern-index.ts), and reads them again when the version has changed.
 */

import { Arena } from '../memory/arena.js';
import { hashBytes } from '../memory/hash.js';
import { acquireLock, releaseLock } from '../memory/lock.js';
import { DATABASES_START_BYTE, HeaderWord, ShardMemory } from '../memory/shard-memory.js';
import { copyBytes, equalBytes } from '../structures/copy.js';
import { Dictionary, TablePosition } from '../structures/dictionary.js';

/** SUBSCRIBE, SSUBSCRIBE, PSUBSCRIBE and CLIENT TRACKING have a name space each: equal names are unrelated. */
export const enum ChannelKind {
  Plain = 0,
  Shard = 1,
  Pattern = 2,
  /** A prefix of keys, for clients in CLIENT TRACKING BCAST (invalidations.ts). No message is published to it. */
  Prefix = 3,
}

const enum Control {
  PatternVersion = 0,
  Subscriptions = 1,
  /** And three more, by ChannelKind. */
  Names = 2,
  WORDS = 16,
}

export interface ChannelRegistryHandle {
  readonly control: SharedArrayBuffer;
  readonly stripes: readonly SharedArrayBuffer[];
}

/** A name as the registry has it at some moment. */
export interface RegisteredChannel {
  /** A copy. */
  readonly name: Uint8Array;
  readonly subscribers: number;
  /** By worker. */
  readonly byWorker: Int32Array;
}

const enum Channel {
  Hash = 0,
  Kind = 1,
  Subscribers = 2,
  NameLength = 3,
  ByWorker = 4,
}

const STRIPES = 16;
/** Address space of a stripe; the operating system commits what is used. */
const STRIPE_BYTES = 256 << 20;
/** The dictionary's root takes the place of a database's. */
const ROOT = DATABASES_START_BYTE >> 2;

class ChannelTable extends Dictionary {
  private readonly workerCount: number;
  /** Kind of the channel to find. */
  kind = ChannelKind.Plain;

  constructor(memory: ShardMemory, arena: Arena, workerCount: number) {
    super(memory, arena);
    this.workerCount = workerCount;
  }

  nameOffset(channel: number): number {
    return channel + (Channel.ByWorker + this.workerCount) * 4;
  }

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
      words[at + Channel.Kind] === this.kind &&
      words[at + Channel.NameLength] === lengthBytes &&
      equalBytes(memory.bytes, memory.view, this.nameOffset(record), bytes, view, offset, lengthBytes)
    );
  }

  protected override recordHash(record: number): number {
    return this.words[(record >> 2) + Channel.Hash];
  }
}

class Stripe {
  readonly memory: ShardMemory;
  readonly words: Int32Array;
  readonly arena: Arena;
  readonly table: ChannelTable;

  constructor(buffer: SharedArrayBuffer, workerCount: number) {
    this.memory = new ShardMemory(buffer);
    this.words = this.memory.words;
    this.arena = new Arena(this.memory);
    this.table = new ChannelTable(this.memory, this.arena, workerCount);
  }

  lock(): void {
    acquireLock(this.words, HeaderWord.Lock);
  }

  unlock(): void {
    releaseLock(this.words, HeaderWord.Lock);
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export class ChannelRegistry {
  private readonly control: Int32Array;
  private readonly stripes: readonly Stripe[];
  private readonly workerCount: number;
  // The channel that a message is being sent to.
  private published = 0;
  private publishedIn: Stripe | null = null;

  constructor(handle: ChannelRegistryHandle, workerCount: number) {
    this.control = new Int32Array(handle.control);
    this.stripes = handle.stripes.map((buffer) => new Stripe(buffer, workerCount));
    this.workerCount = workerCount;
  }

  static create(stripeBytes = STRIPE_BYTES): ChannelRegistryHandle {
    return {
      control: new SharedArrayBuffer(Control.WORDS * 4),
      stripes: Array.from({ length: STRIPES }, () => ShardMemory.create(stripeBytes, 1).buffer),
    };
  }

  /** Whether there are no subscriptions. A plain load, since it is checked for every event of a key. */
  get isEmpty(): boolean {
    return this.control[Control.Subscriptions] === 0;
  }

  /** Incremented by every change of the patterns and prefixes. */
  get patternVersion(): number {
    return Atomics.load(this.control, Control.PatternVersion);
  }

  /** Number of channels or patterns with subscribers. */
  count(kind: ChannelKind): number {
    return Atomics.load(this.control, Control.Names + kind);
  }

  /** Whether nobody can get a message: plain loads, as a client that subscribes just now may miss it. */
  hasNobody(kind: ChannelKind): boolean {
    const { control } = this;
    return (
      control[Control.Names + kind] === 0 &&
      (kind !== ChannelKind.Plain || control[Control.Names + ChannelKind.Pattern] === 0)
    );
  }

  private stripeOf(hash: number): Stripe {
    return this.stripes[hash & (STRIPES - 1)];
  }

  /** A worker has one more subscriber of a channel or pattern. False if there is no memory. */
  add(worker: number, kind: ChannelKind, name: Uint8Array): boolean {
    const view = viewOf(name);
    const hash = hashBytes(view, 0, name.length);
    const stripe = this.stripeOf(hash);
    const { words } = stripe;
    stripe.lock();
    const channel =
      this.find(stripe, hash, kind, name, view, 0, name.length) ||
      this.create(stripe, hash, kind, name, view);
    if (channel !== 0) {
      const at = channel >> 2;
      words[at + Channel.ByWorker + worker]++;
      if (words[at + Channel.Subscribers]++ === 0) Atomics.add(this.control, Control.Names + kind, 1);
      if (kind >= ChannelKind.Pattern) Atomics.add(this.control, Control.PatternVersion, 1);
      if (kind !== ChannelKind.Prefix) Atomics.add(this.control, Control.Subscriptions, 1);
    }
    stripe.unlock();
    return channel !== 0;
  }

  /** A worker has one subscriber of a channel or pattern less. */
  remove(worker: number, kind: ChannelKind, name: Uint8Array): void {
    const view = viewOf(name);
    const hash = hashBytes(view, 0, name.length);
    const stripe = this.stripeOf(hash);
    const { words, table, arena } = stripe;
    stripe.lock();
    const channel = this.find(stripe, hash, kind, name, view, 0, name.length);
    const at = channel >> 2;
    words[at + Channel.ByWorker + worker]--;
    if (--words[at + Channel.Subscribers] === 0) {
      table.erase(ROOT, hash, table.slotOf(ROOT, hash, channel));
      arena.free(channel, table.nameOffset(channel) - channel + name.length);
      Atomics.sub(this.control, Control.Names + kind, 1);
    }
    if (kind >= ChannelKind.Pattern) Atomics.add(this.control, Control.PatternVersion, 1);
    if (kind !== ChannelKind.Prefix) Atomics.sub(this.control, Control.Subscriptions, 1);
    stripe.unlock();
  }

  private find(
    stripe: Stripe,
    hash: number,
    kind: ChannelKind,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
  ): number {
    stripe.table.kind = kind;
    const slot = stripe.table.find(ROOT, hash, bytes, view, offset, length);
    return slot === 0 ? 0 : stripe.words[slot];
  }

  private create(stripe: Stripe, hash: number, kind: ChannelKind, name: Uint8Array, view: DataView): number {
    const { words, memory, arena, table } = stripe;
    const { length } = name;
    const headBytes = (Channel.ByWorker + this.workerCount) * 4;
    const channel = arena.allocate(headBytes + length);
    if (channel === 0) return 0;
    const at = channel >> 2;
    words.fill(0, at, at + (headBytes >> 2));
    words[at + Channel.Hash] = hash;
    words[at + Channel.Kind] = kind;
    words[at + Channel.NameLength] = length;
    copyBytes(memory.bytes, memory.view, channel + headBytes, name, view, 0, length);
    if (table.insert(ROOT, hash, channel)) return channel;
    arena.free(channel, headBytes + length);
    return 0;
  }

  /**
   * Begins to publish a message to a channel; returns how many subscribers it has. If there are some, or with `mustSend`, no other thread
   * can send to the channel until `endPublishing`, and `subscribersIn` tells how many a worker has.
   */
  beginPublishing(
    kind: ChannelKind,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
    mustSend: boolean,
  ): number {
    const hash = hashBytes(view, offset, length);
    const stripe = this.stripeOf(hash);
    // Read without the lock: a client that subscribes just now may miss the message.
    if (!mustSend && stripe.table.count(ROOT) === 0) return 0;
    stripe.lock();
    const channel = this.find(stripe, hash, kind, bytes, view, offset, length);
    this.published = channel >> 2;
    this.publishedIn = stripe;
    const subscribers = channel === 0 ? 0 : stripe.words[this.published + Channel.Subscribers];
    if (subscribers === 0 && !mustSend) this.endPublishing();
    return subscribers;
  }

  endPublishing(): void {
    this.publishedIn?.unlock();
    this.publishedIn = null;
  }

  /** How many subscribers of the channel that is being published to a worker has. */
  subscribersIn(worker: number): number {
    if (this.published === 0 || this.publishedIn === null) return 0;
    return this.publishedIn.words[this.published + Channel.ByWorker + worker];
  }

  /** How many subscribers a channel has. */
  subscribers(kind: ChannelKind, bytes: Uint8Array, view: DataView, offset: number, length: number): number {
    const subscribers = this.beginPublishing(kind, bytes, view, offset, length, false);
    this.endPublishing();
    return subscribers;
  }

  /** All channels of one kind that have subscribers. */
  list(kind: ChannelKind): RegisteredChannel[] {
    const channels: RegisteredChannel[] = [];
    const position = new TablePosition();
    for (const stripe of this.stripes) {
      const { words, table, memory } = stripe;
      stripe.lock();
      for (position.toStart(); table.readLine(ROOT, position); ) {
        for (let index = 0; index < table.scannedCount; index++) {
          const channel = table.scanned[index];
          const at = channel >> 2;
          if (words[at + Channel.Kind] !== kind) continue;
          const name = table.nameOffset(channel);
          channels.push({
            name: new Uint8Array(memory.bytes.slice(name, name + words[at + Channel.NameLength])),
            subscribers: words[at + Channel.Subscribers],
            byWorker: words.slice(at + Channel.ByWorker, at + Channel.ByWorker + this.workerCount),
          });
        }
      }
      stripe.unlock();
    }
    return channels;
  }

  /** Bytes that the channels take. */
  get usedBytes(): number {
    return this.stripes.reduce((sum, { arena }) => sum + arena.usedBytes, 0);
  }

  /** Throws if an invariant is broken. For tests. */
  verify(): void {
    for (const stripe of this.stripes) {
      stripe.lock();
      stripe.arena.verify();
      stripe.table.verify(ROOT);
      stripe.unlock();
    }
  }
}

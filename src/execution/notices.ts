/**
 * What one thread has to publish about its changes under locks: events of keys (`notify-keyspace-events`), messages of
 * transactions, and keys that clients may have cached. It is noted in order, and published when the locks are free: so
 * a client that gets a message sees the change it tells of, and nothing is formatted or sent while others wait for a
 * lock.
 */

import { classOf, EVENT_NAMES, EventClass, type KeyEvent } from '../keyspace/events.js';
import type { CacheListener, ChangeListener, Gate, KeyName } from '../keyspace/gate.js';
import type { OwnExpiries } from '../keyspace/own-expiries.js';
import { writeInteger } from '../memory/numbers.js';
import { ChannelKind } from '../pubsub/channel-registry.js';
import type { Invalidations } from '../pubsub/invalidations.js';
import type { Publisher } from '../pubsub/publisher.js';
import { copyBytes } from '../structures/copy.js';
import type { Session } from './session.js';

const KEPT_BYTES_MAX = 1 << 20;
/** Room for `__keyspace@`, a number and `__:`, or for an event's channel. */
const CHANNEL_BYTES_MAX = 64;

/** A notice is five words: its kind, a number, start and length of its bytes, and the client that has caused it. */
const NOTICE_WORDS = 5;

const enum NoticeWord {
  /** A KeyEvent, or one of those below. */
  What = 0,
  /** The database, the length of the channel's name, or the number of clients. */
  Number = 1,
  Start = 2,
  Length = 3,
  /** A row of the client table, -1 for none. */
  Origin = 4,
}

const PLAIN_MESSAGE = -1;
const SHARD_MESSAGE = -2;
/** The rows of clients that have read a key, two bytes each, and its name. */
const TRACKED_KEY = -3;
const BROADCAST_KEY = -4;
const ALL_KEYS = -5;

export class Notices implements ChangeListener, CacheListener {
  private readonly gate: Gate;
  private readonly publisher: Publisher<Session>;
  private readonly invalidations: Invalidations<Session>;
  /** EventClass bits. */
  private classes = 0;
  private ownExpiries: OwnExpiries | null = null;
  private words = new Int32Array(64 * NOTICE_WORDS);
  private count = 0;
  private bytes = new Uint8Array(4096);
  private view = new DataView(this.bytes.buffer);
  private length = 0;
  /** Channel and message of an event. */
  private message = new Uint8Array(1024);
  private messageView = new DataView(this.message.buffer);

  /** A notice of a change of all keys is there: one is enough. */
  private hasAllKeys = false;

  constructor(gate: Gate, publisher: Publisher<Session>, invalidations: Invalidations<Session>) {
    this.gate = gate;
    this.publisher = publisher;
    this.invalidations = invalidations;
    gate.cacheListener = this;
  }

  /** Follows `notify-keyspace-events`, given as EventClass bits. `ownExpiries` is null unless replicas are writable. */
  configure(classes: number, ownExpiries: OwnExpiries | null): void {
    this.classes = classes;
    this.ownExpiries = ownExpiries;
    const isOn = (classes & (EventClass.Keyspace | EventClass.Keyevent)) !== 0;
    this.gate.listener = isOn || ownExpiries !== null ? this : null;
  }

  note(key: KeyName, event: KeyEvent): void {
    this.ownExpiries?.note(key, event);
    if ((this.classes & classOf(event)) === 0 || this.publisher.registry.isEmpty) return;
    this.add(event, key.keyDatabase, key.keyLength);
    this.append(key.bytes, key.view, key.keyOffset, key.keyLength);
  }

  noteTracked(key: KeyName, clients: Uint16Array, count: number): void {
    this.add(TRACKED_KEY, count, 2 * count + key.keyLength);
    this.reserve(2 * count);
    for (let index = 0; index < count; index++) {
      this.view.setUint16(this.length + 2 * index, clients[index], true);
    }
    this.length += 2 * count;
    this.append(key.bytes, key.view, key.keyOffset, key.keyLength);
  }

  noteBroadcast(key: KeyName): boolean {
    if (this.publisher.registry.count(ChannelKind.Prefix) === 0) return false;
    this.add(BROADCAST_KEY, 0, key.keyLength);
    this.append(key.bytes, key.view, key.keyOffset, key.keyLength);
    return true;
  }

  noteAllKeys(): void {
    if (this.hasAllKeys) return;
    this.hasAllKeys = true;
    this.add(ALL_KEYS, 0, 0);
  }

  /** Notes a message that is to be published when the locks are free. */
  noteMessage(
    kind: ChannelKind,
    bytes: Uint8Array,
    view: DataView,
    channelOffset: number,
    channelLength: number,
    messageOffset: number,
    messageLength: number,
  ): void {
    const what = kind === ChannelKind.Shard ? SHARD_MESSAGE : PLAIN_MESSAGE;
    this.add(what, channelLength, channelLength + messageLength);
    this.append(bytes, view, channelOffset, channelLength);
    this.append(bytes, view, messageOffset, messageLength);
  }

  private add(what: number, number: number, length: number): void {
    const at = this.count++ * NOTICE_WORDS;
    if (at === this.words.length) {
      const larger = new Int32Array(2 * at);
      larger.set(this.words);
      this.words = larger;
    }
    this.words[at + NoticeWord.What] = what;
    this.words[at + NoticeWord.Number] = number;
    this.words[at + NoticeWord.Start] = this.length;
    this.words[at + NoticeWord.Length] = length;
    this.words[at + NoticeWord.Origin] = this.gate.originClient;
    this.gate.hasNotices = true;
  }

  private append(bytes: Uint8Array, view: DataView, offset: number, length: number): void {
    this.reserve(length);
    copyBytes(this.bytes, this.view, this.length, bytes, view, offset, length);
    this.length += length;
  }

  private reserve(lengthBytes: number): void {
    const end = this.length + lengthBytes;
    if (end <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.bytes.length, end));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }

  /** Publishes what was noted. No lock is held. */
  publish(): void {
    const { words, count, bytes, view } = this;
    if (count === 0) return;
    for (let at = 0; at < count * NOTICE_WORDS; at += NOTICE_WORDS) {
      const what = words[at + NoticeWord.What];
      const number = words[at + NoticeWord.Number];
      const start = words[at + NoticeWord.Start];
      const length = words[at + NoticeWord.Length];
      if (what >= 0) {
        this.publishEvent(what, number, start, length);
      } else if (what >= SHARD_MESSAGE) {
        const kind = what === SHARD_MESSAGE ? ChannelKind.Shard : ChannelKind.Plain;
        this.publisher.publish(kind, bytes, view, start, number, start + number, length - number);
      } else {
        this.invalidate(what, number, start, length, words[at + NoticeWord.Origin]);
      }
    }
    this.invalidations.flushBroadcast();
    this.count = 0;
    this.length = 0;
    this.hasAllKeys = false;
    if (bytes.length > KEPT_BYTES_MAX) {
      this.bytes = new Uint8Array(4096);
      this.view = new DataView(this.bytes.buffer);
    }
  }

  private invalidate(what: number, clients: number, start: number, length: number, origin: number): void {
    const { invalidations, bytes, view } = this;
    if (what === TRACKED_KEY) {
      invalidations.keyChanged(origin, bytes, view, start, clients, length - 2 * clients);
    } else if (what === BROADCAST_KEY) {
      invalidations.broadcastKey(origin, bytes, start, length);
    } else {
      invalidations.allChanged();
    }
  }

  private publishEvent(event: KeyEvent, database: number, keyStart: number, keyLength: number): void {
    const { classes, bytes, view } = this;
    const name = EVENT_NAMES[event];
    this.reserveMessage(2 * CHANNEL_BYTES_MAX + keyLength);
    if ((classes & EventClass.Keyspace) !== 0) {
      let at = this.channelHead('__keyspace@', database);
      copyBytes(this.message, this.messageView, at, bytes, view, keyStart, keyLength);
      at += keyLength;
      this.publishKept(at, this.putText(name, at));
    }
    if ((classes & EventClass.Keyevent) === 0) return;
    const channelLength = this.putText(name, this.channelHead('__keyevent@', database));
    copyBytes(this.message, this.messageView, channelLength, bytes, view, keyStart, keyLength);
    this.publishKept(channelLength, channelLength + keyLength);
  }

  private publishKept(channelLength: number, end: number): void {
    const { message, messageView } = this;
    const length = end - channelLength;
    this.publisher.publish(ChannelKind.Plain, message, messageView, 0, channelLength, channelLength, length);
  }

  private channelHead(head: string, database: number): number {
    const at = this.putText(head, 0);
    return this.putText('__:', at + writeInteger(this.message, at, database));
  }

  private putText(text: string, start: number): number {
    for (let index = 0; index < text.length; index++) this.message[start + index] = text.charCodeAt(index);
    return start + text.length;
  }

  private reserveMessage(lengthBytes: number): void {
    if (lengthBytes <= this.message.length) return;
    this.message = new Uint8Array(lengthBytes);
    this.messageView = new DataView(this.message.buffer);
  }
}

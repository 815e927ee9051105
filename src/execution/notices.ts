/**
 * What one thread has to publish of what it does under locks: events of keys (`notify-keyspace-events`), and messages of
 * transactions. It is noted in order, and published when the locks are free: so whoever gets a message sees the change
 * that it tells of, and nothing is formatted or sent while others wait.
 */

import { classOf, EVENT_NAMES, EventClass, type KeyEvent } from '../keyspace/events.js';
import type { ChangeListener, Gate, KeyName } from '../keyspace/gate.js';
import { writeInteger } from '../memory/numbers.js';
import { ChannelKind } from '../pubsub/channel-registry.js';
import type { Publisher } from '../pubsub/publisher.js';
import { copyBytes } from '../structures/copy.js';
import type { Session } from './session.js';

const KEPT_BYTES_MAX = 1 << 20;
/** Of `__keyspace@`, a number and `__:`, or of an event's channel. */
const CHANNEL_BYTES_MAX = 64;

/** A notice is four words: what it is, a number, and where its bytes lie. */
const NOTICE_WORDS = 4;

const enum NoticeWord {
  /** A KeyEvent, or one of the two below. */
  What = 0,
  /** The database, or the length of the channel's name. */
  Number = 1,
  Start = 2,
  Length = 3,
}

const PLAIN_MESSAGE = -1;
const SHARD_MESSAGE = -2;

export class Notices implements ChangeListener {
  private readonly gate: Gate;
  private readonly publisher: Publisher<Session>;
  /** EventClass bits. */
  private classes = 0;
  private words = new Int32Array(64 * NOTICE_WORDS);
  private count = 0;
  private bytes = new Uint8Array(4096);
  private view = new DataView(this.bytes.buffer);
  private length = 0;
  /** Channel and message of an event. */
  private message = new Uint8Array(1024);
  private messageView = new DataView(this.message.buffer);

  constructor(gate: Gate, publisher: Publisher<Session>) {
    this.gate = gate;
    this.publisher = publisher;
  }

  /** Follows `notify-keyspace-events`, given as EventClass bits. */
  configure(classes: number): void {
    this.classes = classes;
    const isOn = (classes & (EventClass.Keyspace | EventClass.Keyevent)) !== 0;
    this.gate.listener = isOn ? this : null;
  }

  note(key: KeyName, event: KeyEvent): void {
    if ((this.classes & classOf(event)) === 0 || this.publisher.registry.isEmpty) return;
    this.add(event, key.keyDatabase, key.keyLength);
    this.append(key.bytes, key.view, key.keyOffset, key.keyLength);
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
    this.gate.hasNotices = true;
  }

  private append(bytes: Uint8Array, view: DataView, offset: number, length: number): void {
    if (this.length + length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.bytes.length, this.length + length));
      larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    copyBytes(this.bytes, this.view, this.length, bytes, view, offset, length);
    this.length += length;
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
      } else {
        const kind = what === SHARD_MESSAGE ? ChannelKind.Shard : ChannelKind.Plain;
        this.publisher.publish(kind, bytes, view, start, number, start + number, length - number);
      }
    }
    this.count = 0;
    this.length = 0;
    if (bytes.length > KEPT_BYTES_MAX) {
      this.bytes = new Uint8Array(4096);
      this.view = new DataView(this.bytes.buffer);
    }
  }

  private publishEvent(event: KeyEvent, database: number, keyStart: number, keyLength: number): void {
    const { classes, bytes, view } = this;
    const name = EVENT_NAMES[event];
    this.reserve(2 * CHANNEL_BYTES_MAX + keyLength);
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

  private reserve(lengthBytes: number): void {
    if (lengthBytes <= this.message.length) return;
    this.message = new Uint8Array(lengthBytes);
    this.messageView = new DataView(this.message.buffer);
  }
}

/**
 * Publishes messages: to the subscribers of this worker, and once to every other worker that has some. The messages of a
 * channel are sent under the lock of its stripe, so all subscribers see them in one order. The messages of one
 * publisher keep their order over all channels, since each worker takes messages in the order in which they were sent.
 */

import type { Mail } from '../state/mail.js';
import { type Message, MessageKind } from '../state/mail.js';
import type { Outbox } from '../state/outbox.js';
import { ChannelKind, type ChannelRegistry, type RegisteredChannel } from './channel-registry.js';
import { PatternIndex } from './pattern-index.js';
import { type Subscriber, type Subscriptions, textOf } from './subscriptions.js';

/** A longer buffer is not kept for the next message. */
const KEPT_BYTES_MAX = 1 << 20;

export class Publisher<Client extends Subscriber> {
  readonly registry: ChannelRegistry;
  private readonly subscriptions: Subscriptions<Client>;
  private readonly mail: Mail;
  private readonly outbox: Outbox;
  private readonly worker: number;
  private readonly workerCount: number;
  /** The patterns of all workers, as of a version. */
  private patterns = new PatternIndex<RegisteredChannel>();
  private patternVersion = 0;

  // The message that is being published: the channel, and the message behind it.
  private bytes = new Uint8Array(1024);
  private view = new DataView(this.bytes.buffer);
  private kind = ChannelKind.Plain;
  private channelLength = 0;
  private length = 0;
  /** By worker: subscribers of patterns that match. */
  private readonly byPattern: Int32Array;
  private patternSubscribers = 0;
  private isForHere = false;

  constructor(
    registry: ChannelRegistry,
    subscriptions: Subscriptions<Client>,
    mail: Mail,
    outbox: Outbox,
    worker: number,
    workerCount: number,
  ) {
    this.registry = registry;
    this.subscriptions = subscriptions;
    this.mail = mail;
    this.outbox = outbox;
    this.worker = worker;
    this.workerCount = workerCount;
    this.byPattern = new Int32Array(workerCount);
  }

  /** Publishes a message; returns how many subscribers get it. Channel and message lie in `source`. */
  publish(
    kind: ChannelKind,
    source: Uint8Array,
    sourceView: DataView,
    channelOffset: number,
    channelLength: number,
    messageOffset: number,
    messageLength: number,
  ): number {
    const { registry } = this;
    if (registry.hasNobody(kind)) return 0;
    this.kind = kind;
    this.matchPatterns(source, channelOffset, channelLength);
    const { patternSubscribers } = this;
    const mustSend = patternSubscribers > 0;
    const subscribers = registry.beginPublishing(
      kind,
      source,
      sourceView,
      channelOffset,
      channelLength,
      mustSend,
    );
    if (subscribers === 0 && !mustSend) return 0;
    this.isForHere = false;
    this.channelLength = channelLength;
    this.keep(source, channelOffset, channelLength, messageOffset, messageLength);
    this.sendToWorkers();
    registry.endPublishing();
    if (this.isForHere) this.deliver(kind, this.bytes, this.view, 0, channelLength, this.length);
    if (this.bytes.length > KEPT_BYTES_MAX) this.grow(1024);
    return subscribers + patternSubscribers;
  }

  /** How many subscribers a message would get now. */
  count(kind: ChannelKind, bytes: Uint8Array, view: DataView, offset: number, length: number): number {
    this.kind = kind;
    this.matchPatterns(bytes, offset, length);
    return this.registry.subscribers(kind, bytes, view, offset, length) + this.patternSubscribers;
  }

  private matchPatterns(bytes: Uint8Array, offset: number, length: number): void {
    const { registry } = this;
    this.patternSubscribers = 0;
    if (this.kind !== ChannelKind.Plain || registry.count(ChannelKind.Pattern) === 0) return;
    this.byPattern.fill(0);
    if (registry.patternVersion !== this.patternVersion) this.readPatterns();
    this.patterns.match(bytes, offset, length, textOf(bytes, offset, length), this.addPattern);
  }

  private readonly addPattern = ({ subscribers, byWorker }: RegisteredChannel): void => {
    this.patternSubscribers += subscribers;
    for (let worker = 0; worker < this.workerCount; worker++) this.byPattern[worker] += byWorker[worker];
  };

  private readPatterns(): void {
    // Must come first: patterns that change while they are read are read again.
    this.patternVersion = this.registry.patternVersion;
    const patterns = new PatternIndex<RegisteredChannel>();
    for (const pattern of this.registry.list(ChannelKind.Pattern)) {
      patterns.add(textOf(pattern.name, 0, pattern.name.length), pattern);
    }
    this.patterns = patterns;
  }

  private keep(
    source: Uint8Array,
    channelOffset: number,
    channelLength: number,
    messageOffset: number,
    messageLength: number,
  ): void {
    this.length = channelLength + messageLength;
    if (this.length > this.bytes.length) this.grow(this.length);
    this.bytes.set(source.subarray(channelOffset, channelOffset + channelLength));
    this.bytes.set(source.subarray(messageOffset, messageOffset + messageLength), channelLength);
  }

  private grow(lengthBytes: number): void {
    this.bytes = new Uint8Array(lengthBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Sends the message to all workers with subscribers of it. The stripe's lock is held. */
  private sendToWorkers(): void {
    const { registry, outbox, worker: own, byPattern, patternSubscribers } = this;
    for (let worker = 0; worker < this.workerCount; worker++) {
      const wanted = registry.subscribersIn(worker) + (patternSubscribers === 0 ? 0 : byPattern[worker]);
      if (wanted === 0) continue;
      if (worker === own && this.mail.isEmpty(own)) {
        this.isForHere = true;
        continue;
      }
      // Sent to this worker itself if its mailbox has messages that must come first.
      outbox.send(
        worker,
        MessageKind.Published,
        0,
        this.kind,
        this.channelLength,
        0,
        this.bytes,
        0,
        this.length,
      );
    }
  }

  /** Takes a message of kind Published. */
  receive({ first, second, bytes, view, offset, length }: Message): void {
    this.deliver(first, bytes, view, offset, second, length);
  }

  private deliver(
    kind: ChannelKind,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    channelLength: number,
    length: number,
  ): void {
    const message = offset + channelLength;
    this.subscriptions.deliver(kind, bytes, view, offset, channelLength, message, length - channelLength);
  }
}

/** The subscribers of one worker, and the delivery of messages to them. */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import { ChannelKind, type ChannelRegistry } from './channel-registry.js';
import { PatternIndex } from './pattern-index.js';

/** What a subscription takes besides its name, if nobody else has that: a string and its places in two tables. */
const SUBSCRIPTION_BYTES = 250;

/** Memory of a subscription to a channel, a pattern or a prefix. */
export function subscriptionBytes(nameBytes: number): number {
  return SUBSCRIPTION_BYTES + nameBytes;
}

/** What a client is subscribed to, each name with one character per byte. */
export class SubscribedNames {
  /** By ChannelKind. */
  readonly names: readonly Set<string>[] = [new Set(), new Set(), new Set()];
  /** What the names take, here and in the tables of all clients. */
  memoryBytes = 0;

  count(kind: ChannelKind): number {
    return this.names[kind].size;
  }

  /** Channels and patterns, without those of SSUBSCRIBE: the count that SUBSCRIBE replies. */
  get plainCount(): number {
    return this.count(ChannelKind.Plain) + this.count(ChannelKind.Pattern);
  }

  get isEmpty(): boolean {
    return this.plainCount === 0 && this.count(ChannelKind.Shard) === 0;
  }
}

/** What subscriptions need of a client. */
export interface Subscriber {
  readonly protocol: 2 | 3;
  subscribed: SubscribedNames | null;
}

/** Where messages go: they are written once for each protocol, and all subscribers share the bytes. */
export interface MessageOutput<Client extends Subscriber> {
  /** Must be called before each message. */
  begin(): void;
  /** The writer of messages in a protocol. */
  writer(protocol: 2 | 3): ReplyWriter;
  /** Sends the bytes of a writer from `start` on to a client. */
  deliver(client: Client, writer: ReplyWriter, start: number): void;
}

interface LocalPattern<Client> {
  readonly name: Uint8Array;
  readonly clients: Set<Client>;
}

const NAMES: readonly string[] = ['message', 'smessage', 'pmessage'];

export class Subscriptions<Client extends Subscriber> {
  private readonly registry: ChannelRegistry;
  private readonly worker: number;
  private readonly output: MessageOutput<Client>;
  /** By ChannelKind, the subscribers of each name. */
  private readonly clients: readonly Map<string, Set<Client>>[] = [new Map(), new Map(), new Map()];
  /** The patterns of this worker's clients; null when they have changed. */
  private patterns: PatternIndex<LocalPattern<Client>> | null = null;

  constructor(registry: ChannelRegistry, worker: number, output: MessageOutput<Client>) {
    this.registry = registry;
    this.worker = worker;
    this.output = output;
  }

  /** Returns false, with nothing changed, if there is no memory. */
  subscribe(client: Client, kind: ChannelKind, name: Uint8Array): boolean {
    const text = textOf(name, 0, name.length);
    client.subscribed ??= new SubscribedNames();
    const names = client.subscribed.names[kind];
    if (names.has(text)) return true;
    if (!this.registry.add(this.worker, kind, name)) return false;
    names.add(text);
    client.subscribed.memoryBytes += subscriptionBytes(name.length);
    const clients = this.clients[kind].get(text);
    if (clients === undefined) this.clients[kind].set(text, new Set([client]));
    else clients.add(client);
    if (kind === ChannelKind.Pattern) this.patterns = null;
    return true;
  }

  unsubscribe(client: Client, kind: ChannelKind, name: Uint8Array): void {
    const text = textOf(name, 0, name.length);
    if (client.subscribed === null || !client.subscribed.names[kind].delete(text)) return;
    client.subscribed.memoryBytes -= subscriptionBytes(name.length);
    if (client.subscribed.isEmpty) client.subscribed = null;
    const clients = this.clients[kind].get(text);
    clients?.delete(client);
    if (clients?.size === 0) this.clients[kind].delete(text);
    this.registry.remove(this.worker, kind, name);
    if (kind === ChannelKind.Pattern) this.patterns = null;
  }

  unsubscribeAll(client: Client): void {
    for (const kind of [ChannelKind.Plain, ChannelKind.Shard, ChannelKind.Pattern]) {
      for (const text of [...(client.subscribed?.names[kind] ?? [])]) {
        this.unsubscribe(client, kind, Buffer.from(text, 'latin1'));
      }
    }
  }

  /** Delivers a message to all subscribers here. The channel and the message lie in `bytes`. */
  deliver(
    kind: ChannelKind,
    bytes: Uint8Array,
    view: DataView,
    channelOffset: number,
    channelLength: number,
    messageOffset: number,
    messageLength: number,
  ): void {
    const text = textOf(bytes, channelOffset, channelLength);
    const clients = this.clients[kind].get(text);
    const write = (writer: ReplyWriter, name: string, pattern: Uint8Array | null): void => {
      writer.push(pattern === null ? 3 : 4);
      writer.bulkString(name);
      if (pattern !== null) writer.bulkBuffer(pattern);
      writer.bulkCopy(bytes, view, channelOffset, channelLength);
      writer.bulkCopy(bytes, view, messageOffset, messageLength);
    };
    if (clients !== undefined) this.deliverTo(clients, (writer) => write(writer, NAMES[kind], null));
    if (kind !== ChannelKind.Plain || this.clients[ChannelKind.Pattern].size === 0) return;
    this.patternIndex().match(bytes, channelOffset, channelLength, text, (pattern) => {
      this.deliverTo(pattern.clients, (writer) => write(writer, NAMES[ChannelKind.Pattern], pattern.name));
    });
  }

  /** Sends the same message to some clients; `write` writes it once for each protocol. */
  deliverTo(clients: Iterable<Client>, write: (writer: ReplyWriter) => void): void {
    const { output } = this;
    output.begin();
    let start2 = -1;
    let start3 = -1;
    for (const client of clients) {
      const writer = output.writer(client.protocol);
      if (client.protocol === 2) {
        if (start2 < 0) {
          start2 = writer.length;
          write(writer);
        }
        output.deliver(client, writer, start2);
      } else {
        if (start3 < 0) {
          start3 = writer.length;
          write(writer);
        }
        output.deliver(client, writer, start3);
      }
    }
  }

  private patternIndex(): PatternIndex<LocalPattern<Client>> {
    if (this.patterns !== null) return this.patterns;
    const patterns = new PatternIndex<LocalPattern<Client>>();
    for (const [text, clients] of this.clients[ChannelKind.Pattern]) {
      patterns.add(text, { name: Buffer.from(text, 'latin1'), clients });
    }
    this.patterns = patterns;
    return patterns;
  }
}

/** Bytes as text, one character per byte. */
export function textOf(bytes: Uint8Array, offset: number, length: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + offset, length).toString('latin1');
}

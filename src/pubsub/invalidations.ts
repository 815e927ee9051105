/**
 * Tells clients that what they have cached is out of date (CLIENT TRACKING). Changes are noted under locks
 * (execution/notices.ts) and passed on here when these are released. From here they go to the workers of the clients,
 * which know how each client wants to be told; if a client has redirected them, on to the worker of the other client.
 *
 *   payload of MessageKind.Invalidated: rows of the client table, two bytes each, then the name of the key
 *   payload of MessageKind.InvalidatedPrefix: the prefix, then a key list
 *   payload of MessageKind.InvalidatedFor: a key list; nothing for all keys
 *   key list: for each key the row of the client that has changed it, -1 if there are several or none; the length of the name, both int32; the name
 */

import type { ReplyWriter } from '../protocol/reply-writer.js';
import type { ClientTable } from '../state/client-table.js';
import type { ControlBlock } from '../state/control-block.js';
import { type Mail, type Message, MessageKind } from '../state/mail.js';
import type { Outbox } from '../state/outbox.js';
import { ChannelKind, type ChannelRegistry, type RegisteredChannel } from './channel-registry.js';
import { type ClientTracking, TrackingMode } from './client-tracking.js';
import { PrefixIndex } from './prefix-index.js';
import { type Subscriber, type Subscriptions, subscriptionBytes, textOf } from './subscriptions.js';

/** When a list of keys exceeds this, it is sent and a new one begun. */
const KEY_LIST_BYTES_MAX = 64 * 1024;
const KEY_HEAD_BYTES = 8;

const CHANNEL = '__redis__:invalidate';

export interface TrackingClient extends Subscriber {
  readonly id: number;
  /** Row in the client table. */
  readonly clientSlot: number;
  tracking: ClientTracking | null;
}

/** What invalidations need of the worker. */
export interface InvalidationServices<Client extends TrackingClient> {
  readonly registry: ChannelRegistry;
  readonly subscriptions: Subscriptions<Client>;
  readonly clients: ClientTable;
  readonly control: ControlBlock;
  readonly mail: Mail;
  readonly outbox: Outbox;
  readonly worker: number;
  readonly workerCount: number;
  /** The client of this worker with an id. */
  find(id: number): Client | undefined;
}

/** A growing list of keys. */
class KeyList {
  bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  length = 0;

  /** Adds a key that a client has changed; returns where it is. */
  add(origin: number, source: Uint8Array, offset: number, lengthBytes: number): number {
    const start = this.length;
    const end = start + KEY_HEAD_BYTES + lengthBytes;
    this.reserve(end);
    this.view.setInt32(this.length, origin, true);
    this.view.setInt32(this.length + 4, lengthBytes, true);
    this.bytes.set(source.subarray(offset, offset + lengthBytes), start + KEY_HEAD_BYTES);
    this.length = end;
    return start;
  }

  /** One more client has changed a key that is in the list at `start`. */
  changedBy(origin: number, start: number): void {
    if (this.view.getInt32(start, true) !== origin) this.view.setInt32(start, -1, true);
  }

  append(source: Uint8Array): void {
    this.reserve(this.length + source.length);
    this.bytes.set(source, this.length);
    this.length += source.length;
  }

  private reserve(lengthBytes: number): void {
    if (lengthBytes <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.bytes.length, lengthBytes));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
    this.view = new DataView(larger.buffer);
  }
}

/** A prefix, the workers with listeners to it, and the list of changed keys, which begins with the prefix itself. */
interface KnownPrefix {
  readonly channel: RegisteredChannel;
  readonly list: KeyList;
  /** Offsets in the list of its keys, by name, one character per byte. */
  readonly names: Map<string, number>;
}

export class Invalidations<Client extends TrackingClient> {
  private readonly services: InvalidationServices<Client>;
  /** The prefixes of all workers, as of a version. */
  private prefixes = new PrefixIndex<KnownPrefix>();
  private prefixVersion = 0;
  /** Prefixes with changed keys to be sent. */
  private readonly touched: KnownPrefix[] = [];
  /** The clients of this worker in Broadcast, by prefix. */
  private readonly broadcastClients = new Map<string, Set<Client>>();
  /** All clients of this worker that track. */
  private readonly trackingClients = new Set<Client>();
  private readonly rows: number[][];
  private payload = new KeyList();

  constructor(services: InvalidationServices<Client>) {
    this.services = services;
    this.rows = Array.from({ length: services.workerCount }, () => []);
  }

  // Clients begin and end.

  /** A client tracks from now on; it did not before. */
  begin(client: Client, tracking: ClientTracking): void {
    client.tracking = tracking;
    this.trackingClients.add(client);
    this.services.control.addTrackingClients(1);
  }

  /** A client in Broadcast listens to one more prefix. False if there is no memory. */
  addPrefix(client: Client, prefix: Uint8Array): boolean {
    const { registry, worker } = this.services;
    if (!registry.add(worker, ChannelKind.Prefix, prefix)) return false;
    if (client.tracking !== null) {
      client.tracking.prefixes.push(prefix);
      client.tracking.prefixBytes += subscriptionBytes(prefix.length);
    }
    const text = textOf(prefix, 0, prefix.length);
    const clients = this.broadcastClients.get(text);
    if (clients === undefined) this.broadcastClients.set(text, new Set([client]));
    else clients.add(client);
    return true;
  }

  /** A client stops tracking, if it did. Keys that it has read stay in the tables until they change. */
  end(client: Client): void {
    const { tracking } = client;
    if (tracking === null) return;
    const { registry, worker, control } = this.services;
    for (const prefix of tracking.prefixes) {
      const text = textOf(prefix, 0, prefix.length);
      const clients = this.broadcastClients.get(text);
      clients?.delete(client);
      if (clients?.size === 0) this.broadcastClients.delete(text);
      registry.remove(worker, ChannelKind.Prefix, prefix);
    }
    client.tracking = null;
    this.trackingClients.delete(client);
    control.addTrackingClients(-1);
  }

  // Changes are sent to the workers of the clients.

  /**
   * A key has changed that clients have read. `rows` is where their rows in the client table begin, two bytes each;
   * the name follows them.
   */
  keyChanged(
    origin: number,
    bytes: Uint8Array,
    view: DataView,
    rows: number,
    rowCount: number,
    lengthBytes: number,
  ): void {
    const { clients, workerCount } = this.services;
    for (let index = 0; index < rowCount; index++) {
      const row = view.getUint16(rows + 2 * index, true);
      this.rows[clients.worker(row)].push(row);
    }
    const name = rows + 2 * rowCount;
    for (let worker = 0; worker < workerCount; worker++) {
      const wanted = this.rows[worker];
      if (wanted.length === 0) continue;
      this.sendKey(worker, origin, wanted, bytes.subarray(name, name + lengthBytes));
      wanted.length = 0;
    }
  }

  private sendKey(worker: number, origin: number, rows: readonly number[], name: Uint8Array): void {
    const { payload } = this;
    if (worker === this.services.worker && this.services.mail.isEmpty(worker)) {
      for (const row of rows) this.tellReader(row, origin, name);
      return;
    }
    payload.length = 0;
    payload.append(new Uint8Array(Uint16Array.from(rows).buffer));
    payload.append(name);
    this.send(worker, MessageKind.Invalidated, 0, origin, rows.length, payload);
  }

  /** A key has changed, and some clients listen to prefixes. `flushBroadcast` sends it. */
  broadcastKey(origin: number, bytes: Uint8Array, offset: number, lengthBytes: number): void {
    if (this.services.registry.patternVersion !== this.prefixVersion) this.readPrefixes();
    const text = textOf(bytes, offset, lengthBytes);
    this.prefixes.match(text, (prefix) => {
      const { channel, list, names } = prefix;
      const known = names.get(text);
      if (known !== undefined) {
        list.changedBy(origin, known);
        return;
      }
      if (list.length === channel.name.length) this.touched.push(prefix);
      names.set(text, list.add(origin, bytes, offset, lengthBytes));
      if (list.length > KEY_LIST_BYTES_MAX) this.flushPrefix(prefix);
    });
  }

  private readPrefixes(): void {
    this.flushBroadcast();
    const { registry } = this.services;
    // Must come first: prefixes that change while they are read are read again.
    this.prefixVersion = registry.patternVersion;
    this.prefixes = new PrefixIndex();
    for (const channel of registry.list(ChannelKind.Prefix)) {
      const list = new KeyList();
      list.append(channel.name);
      this.prefixes.add(textOf(channel.name, 0, channel.name.length), { channel, list, names: new Map() });
    }
  }

  /** Sends what `broadcastKey` has gathered. */
  flushBroadcast(): void {
    for (const prefix of this.touched) this.flushPrefix(prefix);
    this.touched.length = 0;
  }

  private flushPrefix({ channel, list, names }: KnownPrefix): void {
    const { name, byWorker } = channel;
    names.clear();
    if (list.length === name.length) return;
    for (let worker = 0; worker < byWorker.length; worker++) {
      if (byWorker[worker] === 0) continue;
      if (worker === this.services.worker && this.services.mail.isEmpty(worker)) {
        this.tellListeners(list.bytes, name.length, list.length);
      } else {
        this.send(worker, MessageKind.InvalidatedPrefix, 0, name.length, 0, list);
      }
    }
    list.length = name.length;
  }

  /** Whole databases have changed. */
  allChanged(): void {
    const { control, workerCount, worker: own } = this.services;
    if (control.trackingClients === 0) return;
    this.payload.length = 0;
    for (let worker = 0; worker < workerCount; worker++) {
      if (worker === own) this.tellAll();
      else this.send(worker, MessageKind.InvalidatedAll, 0, 0, 0, this.payload);
    }
  }

  private send(
    worker: number,
    kind: MessageKind,
    id: number,
    first: number,
    second: number,
    list: KeyList,
  ): void {
    this.services.outbox.send(worker, kind, id, first, second, 0, list.bytes, 0, list.length);
  }

  // Messages from other workers.

  receive(message: Message): void {
    const { kind, bytes, view, offset, length } = message;
    if (kind === MessageKind.Invalidated) {
      const { first: origin, second: rowCount } = message;
      const name = bytes.subarray(offset + 2 * rowCount, offset + length);
      for (let index = 0; index < rowCount; index++) {
        this.tellReader(view.getUint16(offset + 2 * index, true), origin, name);
      }
    } else if (kind === MessageKind.InvalidatedPrefix) {
      this.tellListeners(bytes.subarray(offset, offset + length), message.first, length);
    } else if (kind === MessageKind.InvalidatedAll) {
      this.tellAll();
    } else {
      this.receiveRedirected(message);
    }
  }

  /** Tells a client that a key that it has read has changed. */
  private tellReader(row: number, origin: number, name: Uint8Array): void {
    const client = this.services.find(this.services.clients.id(row));
    const tracking = client?.tracking;
    if (client === undefined || tracking == null || tracking.mode === TrackingMode.Broadcast) return;
    if (tracking.noLoop && origin === row) return;
    this.tell(client, tracking, keyListOf(origin, name), 1);
  }

  /** Tells the clients that listen to a prefix. It lies before the list of keys, which ends at `end`. */
  private tellListeners(bytes: Uint8Array, prefixLength: number, end: number): void {
    const clients = this.broadcastClients.get(textOf(bytes, 0, prefixLength));
    for (const client of clients ?? []) {
      const { tracking } = client;
      if (tracking === null) continue;
      const list = new KeyList();
      let count = 0;
      forEachKey(bytes, prefixLength, end, (origin, offset, lengthBytes) => {
        if (tracking.noLoop && origin === client.clientSlot) return;
        list.add(origin, bytes, offset, lengthBytes);
        count++;
      });
      if (count > 0) this.tell(client, tracking, list, count);
    }
  }

  private tellAll(): void {
    const everything = new KeyList();
    for (const client of [...this.trackingClients]) {
      if (client.tracking !== null) this.tell(client, client.tracking, everything, 0);
    }
  }

  /** Tells a client, or the one to which it has redirected, of `count` keys; of all keys if that is 0. */
  private tell(client: Client, tracking: ClientTracking, list: KeyList, count: number): void {
    const { clients } = this.services;
    const { redirectId, redirectSlot } = tracking;
    if (redirectId === 0) {
      this.write(client, false, list.bytes, 0, list.length, count);
    } else if (clients.isOpen(redirectSlot, redirectId)) {
      const target = this.services.find(redirectId);
      if (target !== undefined) this.write(target, true, list.bytes, 0, list.length, count);
      else
        this.send(
          clients.worker(redirectSlot),
          MessageKind.InvalidatedFor,
          redirectId,
          redirectSlot,
          count,
          list,
        );
    } else {
      tracking.isRedirectBroken = true;
      if (client.protocol !== 3) return;
      this.services.subscriptions.deliverTo([client], (writer) => {
        writer.push(2);
        writer.bulkString('tracking-redir-broken');
        writer.integer(redirectId);
      });
    }
  }

  private receiveRedirected(message: Message): void {
    const { id, first: slot, second: count, bytes, offset, length } = message;
    const { clients, outbox } = this.services;
    const target = this.services.find(id);
    if (target !== undefined) {
      this.write(target, true, bytes, offset, offset + length, count);
      return;
    }
    // The client has moved to another worker, or is being moved to this one.
    if (!clients.isOpen(slot, id)) return;
    outbox.send(clients.worker(slot), message.kind, id, slot, count, 0, bytes, offset, offset + length);
  }

  private write(
    client: Client,
    isRedirected: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
    count: number,
  ): void {
    const isPush = client.protocol === 3;
    if (!isPush && (!isRedirected || client.subscribed === null)) return;
    this.services.subscriptions.deliverTo([client], (writer) => {
      writer.push(isPush ? 2 : 3);
      if (isPush) {
        writer.bulkString('invalidate');
      } else {
        writer.bulkString('message');
        writer.bulkString(CHANNEL);
      }
      writeKeys(writer, bytes, start, end, count);
    });
  }
}

function keyListOf(origin: number, name: Uint8Array): KeyList {
  const list = new KeyList();
  list.add(origin, name, 0, name.length);
  return list;
}

/** Calls `take` for every key of the list bytes[start, end). */
function forEachKey(
  bytes: Uint8Array,
  start: number,
  end: number,
  take: (origin: number, offset: number, lengthBytes: number) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = start; at < end; ) {
    const lengthBytes = view.getInt32(at + 4, true);
    take(view.getInt32(at, true), at + KEY_HEAD_BYTES, lengthBytes);
    at += KEY_HEAD_BYTES + lengthBytes;
  }
}

function writeKeys(writer: ReplyWriter, bytes: Uint8Array, start: number, end: number, count: number): void {
  if (count === 0) {
    writer.nullBulk();
    return;
  }
  writer.array(count);
  forEachKey(bytes, start, end, (_, offset, lengthBytes) => {
    writer.bulkBuffer(bytes.subarray(offset, offset + lengthBytes));
  });
}

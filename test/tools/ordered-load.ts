/**
 * Load whose traces tell, after a crash, exactly which commands have survived: clients write in ways that number what
 * they do, and remember when they sent each command and when it was acknowledged.
 *
 * A quarter of the clients runs transactions. Number n of client c counts itself in two counters that all share, and writes
 * n to two strings and a list of its own, all of them on different shards; the first counter's reply is the
 * transaction's place in the order of all. Another quarter SETs n to key n mod KEYS of its own. The third one adds
 * elements to a collection of each type, and removes every third one again; the fourth adds entries to a stream, reads
 * them as a group, and acknowledges, claims and deletes some. So the state after n commands is known for each client,
 * and whatever is found must be such a state.
 */

import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Random } from './random.js';
import { encodeCommand, RawClient, type RawClientAddress } from './raw-client.js';
import { type Command, differenceOf, mixedNames, VALUE_TYPES } from './value-types.js';

const KEYS = 16;
const PIPELINE_MAX = 24;
const PADDING_MAX = 200;

/** One numbered command or transaction. Times are of performance.now(). */
interface Operation {
  sentAt: number;
  /** Infinity while it is not acknowledged. */
  acknowledgedAt: number;
  /** Place among all transactions, 0 if it is not known. */
  place: number;
}

interface Found {
  /** So many of the client's operations are there: 1 to `count`. */
  count: number;
  /** How many keys these have made. */
  keys: number;
  /** What contradicts that. */
  problems: string[];
}

abstract class LoadClient {
  /** Operation number n is at n - 1. */
  operations: Operation[] = [];
  /** How many operations were acknowledged. */
  acknowledged = 0;
  isStopped = false;
  /** Operations that are sent first, all at once. */
  firstOperations = 0;
  protected readonly name: string;
  protected readonly random: Random;

  constructor(name: string, random: Random) {
    this.name = name;
    this.random = random;
  }

  /** Sends pipelines, one after another, until it is stopped or the connection ends. */
  async run(client: RawClient): Promise<void> {
    try {
      while (!this.isStopped) {
        const first = this.operations.length + 1;
        const count = Math.max(this.firstOperations, this.random.between(1, PIPELINE_MAX));
        this.firstOperations = 0;
        const commands: Command[] = [];
        const sentAt = performance.now();
        for (let number = first; number < first + count; number++) {
          commands.push(...this.commandsOf(number));
          this.operations.push({ sentAt, acknowledgedAt: Number.POSITIVE_INFINITY, place: 0 });
        }
        client.write(Buffer.concat(commands.map(encoded)));
        for (let number = first; number < first + count; number++) {
          const place = await this.readReplies(client);
          const operation = this.operations[number - 1]!;
          operation.acknowledgedAt = performance.now();
          operation.place = place;
          this.acknowledged++;
        }
      }
    } catch (error) {
      if (!/connection closed|ECONNRESET|EPIPE/.test((error as Error).message)) throw error;
    }
  }

  /** What was not there after a crash has never been. */
  resume(count: number): void {
    this.operations.length = count;
    for (const operation of this.operations) operation.acknowledgedAt = Number.NEGATIVE_INFINITY;
  }

  protected padding(): string {
    return 'x'.repeat(this.random.below(PADDING_MAX));
  }

  protected abstract commandsOf(number: number): Command[];
  /** Returns the operation's place in the order of all, or 0. */
  protected abstract readReplies(client: RawClient): Promise<number>;
  abstract find(client: Redis): Promise<Found>;
}

/** Text of commands is latin1. */
function encoded(command: Command): Buffer {
  return encodeCommand(command.map((arg) => (typeof arg === 'string' ? Buffer.from(arg, 'latin1') : arg)));
}

async function expectReply(client: RawClient, pattern: RegExp): Promise<RegExpExecArray> {
  const text = (await client.read()).toString('latin1');
  const match = pattern.exec(text);
  if (match === null) throw new Error(`a write was answered with ${text}`);
  return match;
}

class TransactionClient extends LoadClient {
  protected commandsOf(number: number): Command[] {
    const { name } = this;
    return [
      ['MULTI'],
      ['INCR', 'places'],
      ['SET', `${name}:first`, String(number)],
      ['RPUSH', `${name}:list`, `${number} ${this.padding()}`],
      ['SET', `${name}:last`, String(number)],
      ['INCR', 'again'],
      ['EXEC'],
    ];
  }

  protected async readReplies(client: RawClient): Promise<number> {
    await expectReply(client, /^\+OK/);
    for (let command = 0; command < 5; command++) await expectReply(client, /^\+QUEUED/);
    const [, place] = await expectReply(client, /^\*5\r\n:(\d+)\r\n\+OK\r\n:\d+\r\n\+OK\r\n:\1\r\n$/);
    return Number(place);
  }

  async find(client: Redis): Promise<Found> {
    const { name } = this;
    const [first, list, last] = await Promise.all([
      client.get(`${name}:first`),
      client.lrange(`${name}:list`, 0, -1),
      client.get(`${name}:last`),
    ]);
    const problems: string[] = [];
    const count = Number(first ?? 0);
    if (Number(last ?? 0) !== count || list.length !== count) {
      problems.push(`${name} has a torn transaction: ${first}, ${last}, ${list.length} in its list`);
    }
    const wrong = list.findIndex((element, index) => Number.parseInt(element, 10) !== index + 1);
    if (wrong >= 0) problems.push(`${name} has ${list[wrong]} in its list at ${wrong}`);
    return { count, keys: count === 0 ? 0 : 3, problems };
  }
}

class SetClient extends LoadClient {
  protected commandsOf(number: number): Command[] {
    return [['SET', this.key(number % KEYS), `${number} ${this.padding()}`]];
  }

  private key(index: number): string {
    return `${this.name}:${index}`;
  }

  protected async readReplies(client: RawClient): Promise<number> {
    await expectReply(client, /^\+OK\r\n$/);
    return 0;
  }

  async find(client: Redis): Promise<Found> {
    const values = await client.mget(Array.from({ length: KEYS }, (_, index) => this.key(index)));
    const numbers = values.map((value) => (value === null ? 0 : Number.parseInt(value, 10)));
    const count = Math.max(...numbers);
    const problems: string[] = [];
    for (const [index, number] of numbers.entries()) {
      const expected = Math.max(0, count - ((((count - index) % KEYS) + KEYS) % KEYS));
      if (number !== expected) {
        problems.push(`${this.name} has a hole: ${count} is there, but ${expected} is not (${number} is)`);
      }
    }
    return { count, keys: Math.min(count, KEYS), problems };
  }
}

/** All types but strings; those tell how far it is. */
const COLLECTIONS = VALUE_TYPES.filter(({ name }) => name !== 'string');
/** Operations of one turn: one of each type, and one that writes its number. */
const TURN = COLLECTIONS.length + 1;

class CollectionClient extends LoadClient {
  protected commandsOf(number: number): Command[] {
    const place = number % TURN;
    if (place === 0) return [['SET', `${this.name}:number`, number]];
    const type = COLLECTIONS[place - 1]!;
    const key = this.key(type.name);
    const [from, to] = this.rangeAfter(number - 1, place);
    const [nextFrom, nextTo] = this.rangeAfter(number, place);
    return nextFrom > from
      ? [type.drop(key, from, nextFrom, mixedNames)!]
      : [type.add(key, to, nextTo, mixedNames)];
  }

  private key(typeName: string): string {
    return `${this.name}:${typeName}`;
  }

  /** The elements that a type's collection has after `count` operations. */
  private rangeAfter(count: number, place: number): [from: number, to: number] {
    const ordinal = count < place ? 0 : Math.floor((count - place) / TURN) + 1;
    const removed = Math.floor(ordinal / 3);
    return [removed, ordinal - removed];
  }

  protected async readReplies(client: RawClient): Promise<number> {
    await expectReply(client, /^[^-]/);
    return 0;
  }

  async find(client: Redis): Promise<Found> {
    const last = Number((await client.get(`${this.name}:number`)) ?? 0);
    const replies = await Promise.all(
      COLLECTIONS.map(async (type) => {
        const [command, ...args] = type.read(this.key(type.name)).map(String) as [string, ...string[]];
        const reply = (await client.callBuffer(command, ...args)) as (Buffer | Buffer[])[];
        // Elements of two parts may come as pairs.
        return reply.flat().map((item) => item.toString('latin1'));
      }),
    );
    let problems: string[] = [];
    for (let count = last; count < last + TURN; count++) {
      const wrong = COLLECTIONS.flatMap((type, index) => {
        const [from, to] = this.rangeAfter(count, index + 1);
        const difference = differenceOf(type, replies[index]!, from, to, mixedNames);
        return difference === '' ? [] : [`${this.key(type.name)} ${difference} after ${count} operations`];
      });
      if (wrong.length === 0) {
        const keys = Math.min(count, COLLECTIONS.length) + (last > 0 ? 1 : 0);
        return { count, keys, problems: [] };
      }
      if (count === last || wrong.length < problems.length) problems = wrong;
    }
    return { count: last, keys: 0, problems };
  }
}

const GROUP = 'workers';
const READER = 'reader';
const CLAIMER = 'claimer';
/** Operations of one turn: two entries are added, one is read, and one of those that were read changes. */
const STREAM_TURN = 4;

/** A stream as it must be: entries by their place, and the consumers of those that are pending. */
interface StreamState {
  readonly entries: ReadonlySet<number>;
  readonly pending: ReadonlyMap<number, string>;
  /** How many entries the group has read. */
  readonly read: number;
}

class StreamClient extends LoadClient {
  private get key(): string {
    return `${this.name}:stream`;
  }

  private idOf(entry: number): string {
    return entry < 0 ? '0-0' : `${(entry >> 1) + 1}-${(entry & 1) + 1}`;
  }

  protected commandsOf(number: number): Command[] {
    const { key } = this;
    // The first operation makes the group.
    if (number === 1) return [['XGROUP', 'CREATE', key, GROUP, 0, 'MKSTREAM']];
    const turn = Math.floor((number - 2) / STREAM_TURN);
    const place = (number - 2) % STREAM_TURN;
    if (place < 2) {
      const entry = 2 * turn + place;
      return [['XADD', key, this.idOf(entry), 'number', entry, 'padding', this.padding()]];
    }
    if (place === 2) return [['XREADGROUP', 'GROUP', GROUP, READER, 'COUNT', 1, 'STREAMS', key, '>']];
    switch (turn % 3) {
      case 0:
        return [['XACK', key, GROUP, this.idOf(turn)]];
      case 1:
        return [['XCLAIM', key, GROUP, CLAIMER, 0, this.idOf(turn)]];
      default:
        return [['XDEL', key, this.idOf(turn - 2)]];
    }
  }

  private stateAfter(count: number): StreamState {
    const entries = new Set<number>();
    const pending = new Map<number, string>();
    let read = 0;
    for (let number = 2; number <= count; number++) {
      const turn = Math.floor((number - 2) / STREAM_TURN);
      const place = (number - 2) % STREAM_TURN;
      if (place < 2) entries.add(2 * turn + place);
      else if (place === 2) pending.set(read++, READER);
      else if (turn % 3 === 0) pending.delete(turn);
      else if (turn % 3 === 1) pending.set(turn, CLAIMER);
      else entries.delete(turn - 2);
    }
    return { entries, pending, read };
  }

  protected async readReplies(client: RawClient): Promise<number> {
    // Nothing is refused, and no read comes back empty.
    await expectReply(client, /^(?!-|\*-1)/);
    return 0;
  }

  async find(client: Redis): Promise<Found> {
    const { key } = this;
    if ((await client.exists(key)) === 0) return { count: 0, keys: 0, problems: [] };
    const all = ['-', '+', Number.MAX_SAFE_INTEGER] as const;
    const [entries, pending, [group], stream] = (await Promise.all([
      client.xrange(key, '-', '+'),
      client.xpending(key, GROUP, ...all),
      client.call('XINFO', 'GROUPS', key),
      client.call('XINFO', 'STREAM', key),
    ])) as [[string, string[]][], [string, string][], [unknown[]], unknown[]];
    const fieldOf = (record: unknown[], name: string) => record[record.indexOf(name) + 1];
    const found = {
      entries: entries.map(([id, fields]) => `${id} ${fields[1]}`).join(),
      pending: pending.map(([id, consumer]) => `${id} ${consumer}`).join(),
      last: fieldOf(group, 'last-delivered-id'),
    };
    const added = Number(fieldOf(stream, 'entries-added'));
    const least = added === 0 ? 1 : 2 + Math.floor((added - 1) / 2) * STREAM_TURN + ((added - 1) % 2);
    const most = added > 0 && added % 2 === 0 ? least + 2 : least;
    const problems: string[] = [];
    for (let count = least; count <= most; count++) {
      const state = this.stateAfter(count);
      const expected = {
        entries: [...state.entries].map((entry) => `${this.idOf(entry)} ${entry}`).join(),
        pending: [...state.pending].map(([entry, consumer]) => `${this.idOf(entry)} ${consumer}`).join(),
        last: this.idOf(state.read - 1),
      };
      const wrong = (Object.keys(found) as (keyof typeof found)[]).filter(
        (part) => found[part] !== expected[part],
      );
      if (wrong.length === 0) return { count, keys: 1, problems: [] };
      problems.push(`${key} has other ${wrong.join(', ')} after ${count} operations`);
    }
    return { count: least, keys: 1, problems };
  }
}

export interface Survival {
  acknowledged: number;
  /** Acknowledged operations that are not there, and how long before the crash the first of them was acknowledged. */
  lost: number;
  lostMs: number;
  /** Operations that are there although nobody was told. */
  unacknowledged: number;
  /** When the latest operation was sent that is there. */
  latestSentAt: number;
  /** How many keys there are of the load. */
  keys: number;
  problems: string[];
}

export class OrderedLoad {
  private readonly clients: LoadClient[] = [];
  private connections: RawClient[] = [];
  private running: Promise<void>[] = [];

  /** @param firstElements about so many elements the collections have before anything else is done */
  constructor(random: Random, clientCount: number, firstElements = 0) {
    const kinds = [TransactionClient, SetClient, CollectionClient, StreamClient];
    for (let index = 0; index < clientCount; index++) {
      const client = new kinds[index % kinds.length]!(`client${index}`, random);
      if (client instanceof CollectionClient) client.firstOperations = firstElements * 3 * TURN;
      this.clients.push(client);
    }
  }

  async start(address: RawClientAddress): Promise<void> {
    this.connections = await Promise.all(this.clients.map(() => RawClient.connect(address)));
    for (const client of this.clients) client.isStopped = false;
    this.running = this.clients.map((client, index) => client.run(this.connections[index]!));
  }

  /** Ends it in good order: whatever was sent is acknowledged. */
  async stop(): Promise<void> {
    for (const client of this.clients) client.isStopped = true;
    await this.ended();
    await Promise.all(this.connections.map((connection) => connection.close()));
  }

  /** Settles when all connections have ended; rejects if a write was refused. */
  async ended(): Promise<void> {
    await Promise.all(this.running);
  }

  /** Settles when each client has had `count` more acknowledgements. */
  async progressed(count: number): Promise<void> {
    const goals = this.clients.map((client) => client.acknowledged + count);
    while (this.clients.some((client, index) => client.acknowledged < goals[index]!)) await delay(5);
  }

  /** Holds what a server has against what was sent to the one that crashed at `crashedAt`. */
  async examine(client: Redis, crashedAt: number): Promise<Survival> {
    const found = await Promise.all(this.clients.map((load) => load.find(client)));
    const result: Survival = {
      acknowledged: 0,
      lost: 0,
      lostMs: 0,
      unacknowledged: 0,
      latestSentAt: Number.NEGATIVE_INFINITY,
      keys: 0,
      problems: [],
    };
    result.problems.push(...found.flatMap(({ problems }) => problems));
    const [places, again] = (await client.mget('places', 'again')).map(Number) as [number, number];
    let transactions = 0;
    for (const [index, { operations }] of this.clients.entries()) {
      const { count } = found[index]!;
      if (this.clients[index] instanceof TransactionClient) transactions += count;
      if (count > operations.length) result.problems.push(`client${index} has more than it sent`);
      else if (count > 0) {
        result.latestSentAt = Math.max(result.latestSentAt, operations[count - 1]!.sentAt);
      }
      result.keys += found[index]!.keys;
    }
    if (transactions > 0) result.keys += 2;
    if (places !== again || places !== transactions) {
      result.problems.push(`${places} and ${again} transactions are counted, ${transactions} are there`);
    }
    for (const [index, { operations }] of this.clients.entries()) {
      const { count } = found[index]!;
      for (const [at, { acknowledgedAt, place }] of operations.entries()) {
        const isThere = at < count;
        const isAcknowledged = acknowledgedAt < Number.POSITIVE_INFINITY;
        if (isAcknowledged) result.acknowledged++;
        else if (isThere) result.unacknowledged++;
        if (isAcknowledged && !isThere) {
          result.lost++;
          result.lostMs = Math.max(result.lostMs, crashedAt - acknowledgedAt);
          if (acknowledgedAt < result.latestSentAt) {
            result.problems.push(`client${index} lost ${at + 1}, but something sent later is there`);
          }
        }
        if (place > 0 && place <= places !== isThere) {
          result.problems.push(`transaction ${place} of ${places} is ${isThere ? '' : 'not '}there`);
        }
      }
    }
    result.problems.length = Math.min(result.problems.length, 10);
    return result;
  }

  /** Goes on from what a server has. */
  async resume(client: Redis): Promise<void> {
    for (const load of this.clients) load.resume((await load.find(client)).count);
  }
}

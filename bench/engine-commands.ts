/**
 * Micro-benchmarks of whole commands without the network: parse, execute and reply to batches as a connection with
 * pipelining brings them.
 */

import { createCommandTable } from '../src/commands/commands.js';
import { Config } from '../src/config/config.js';
import { defaultSettings } from '../src/config/keyspace-settings.js';
import { CommandContext } from '../src/execution/context.js';
import { Dispatcher } from '../src/execution/dispatcher.js';
import { Executor } from '../src/execution/executor.js';
import type { ServerServices } from '../src/execution/services.js';
import { type ClientConnection, Session } from '../src/execution/session.js';
import { KeyspaceCounter } from '../src/keyspace/counters.js';
import { createKeyspace, Keyspace } from '../src/keyspace/keyspace.js';
import { Attention } from '../src/memory/attention.js';
import { ReplyWriter } from '../src/protocol/reply-writer.js';
import { createProcessState, ProcessState } from '../src/state/process-state.js';
import { type EngineRow, measure } from './engine-protocol.js';

const SHARDS = 8;
const SHARD_BYTES = 256 << 20;
/** Commands in what is read at once. */
const PIPELINE = 16;
const REQUESTS = 4096;
const RANGE = 100_000;

type Request = readonly string[];

class Engine {
  private readonly dispatcher: Dispatcher;
  private readonly reply = new ReplyWriter();
  private readonly session = new Session(1, { peerAddress: () => '' } as unknown as ClientConnection, 0);
  private readonly context: CommandContext;

  constructor() {
    const config = new Config();
    const settings = defaultSettings();
    config.copyTo(settings);
    const counters = new Float64Array(KeyspaceCounter.COUNT);
    const keyspace = new Keyspace(
      createKeyspace(SHARDS, SHARD_BYTES, config.databases, Attention.create(1)),
      settings,
      counters,
    );
    const table = createCommandTable();
    const state = new ProcessState(createProcessState(Attention.create(2), 1, table.size), 0, () => {});
    const services = { state, config, maxBulkLengthBytes: 512 << 20, flush: () => this.reply.reset() };
    this.context = new CommandContext(
      keyspace,
      table,
      this.reply,
      services as unknown as ServerServices,
      counters,
    );
    this.context.nowMs = Date.now();
    this.dispatcher = new Dispatcher(new Executor(this.context), this.reply);
  }

  run(batches: readonly Buffer[], views: readonly DataView[]): void {
    const connection = { session: this.session, parseState: null, closeAfterReply() {} };
    for (let index = 0; index < batches.length; index++) {
      const batch = batches[index]!;
      this.dispatcher.dispatch(connection, this.session, batch, views[index]!, 0, batch.length);
      this.reply.reset();
    }
  }
}

function encode(words: Request): string {
  return `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`;
}

function batchesOf(request: () => Request, count: number): Buffer[] {
  return Array.from({ length: Math.ceil(count / PIPELINE) }, () =>
    Buffer.from(Array.from({ length: PIPELINE }, () => encode(request())).join('')),
  );
}

function viewsOf(batches: readonly Buffer[]): DataView[] {
  return batches.map((batch) => new DataView(batch.buffer, batch.byteOffset, batch.length));
}

function number(): string {
  return String(Math.floor(Math.random() * RANGE)).padStart(12, '0');
}

const FIELD = () => `field:${number()}`;
const MEMBER = () => `member:${number()}`;

interface Case {
  name: string;
  request: () => Request;
  fill?: () => Request;
  fillCount?: number;
  /** How many requests make a round, and how many operations each counts for. */
  requests?: number;
  perRequest?: number;
}

/** A function that hands out the requests of a list in turn, over and over. */
function inTurn(requests: readonly Request[]): () => Request {
  let next = 0;
  return () => requests[next++ % requests.length]!;
}

/** Entries of the streams that are read, and how many are read at once. */
const ENTRIES = 100_000;
const ENTRIES_PER_READ = 100;

function ids(first: number): string[] {
  return Array.from({ length: ENTRIES_PER_READ }, (_, index) => `1700000000000-${first + index}`);
}

/** A group reads all of a stream and acknowledges it. */
const CONSUMING: readonly Request[] = [
  ['XGROUP', 'SETID', 'jobs', 'workers', '0'],
  ...Array.from({ length: ENTRIES / ENTRIES_PER_READ }, (_, read): Request[] => [
    ['XREADGROUP', 'GROUP', 'workers', 'one', 'COUNT', String(ENTRIES_PER_READ), 'STREAMS', 'jobs', '>'],
    ['XACK', 'jobs', 'workers', ...ids(1 + read * ENTRIES_PER_READ)],
  ]).flat(),
];

/** Makes that stream. */
const PRODUCING: readonly Request[] = [
  ['XGROUP', 'CREATE', 'jobs', 'workers', '0', 'MKSTREAM'],
  ...Array.from({ length: ENTRIES }, (_, index): Request => {
    return [
      'XADD',
      'jobs',
      `1700000000000-${index + 1}`,
      'task',
      `task:${index}`,
      'user',
      String(index % 1000),
    ];
  }),
];

const CASES: readonly Case[] = [
  { name: 'SET', request: () => ['SET', `key:${number()}`, 'xxx'] },
  { name: 'GET', request: () => ['GET', `key:${number()}`], fill: () => ['SET', `key:${number()}`, 'xxx'] },
  { name: 'LPUSH one list', request: () => ['LPUSH', 'mylist', 'xxx'] },
  {
    name: 'LPOP one list',
    request: () => ['LPOP', 'mylist'],
    fill: () => ['RPUSH', 'mylist', 'xxx'],
    fillCount: 2_000_000,
  },
  { name: 'SADD many sets', request: () => ['SADD', `set:${number()}`, MEMBER()] },
  { name: 'HSET many hashes', request: () => ['HSET', `hash:${number()}`, FIELD(), 'value'] },
  {
    name: 'HGET one hash',
    request: () => ['HGET', 'profiles', FIELD()],
    fill: () => ['HSET', 'profiles', FIELD(), 'value'],
  },
  { name: 'ZADD one sorted set', request: () => ['ZADD', 'board', number(), MEMBER()] },
  {
    name: 'ZSCORE one sorted set',
    request: () => ['ZSCORE', 'board', MEMBER()],
    fill: () => ['ZADD', 'board', number(), MEMBER()],
  },
  {
    name: 'ZRANK one sorted set',
    request: () => ['ZRANK', 'board', MEMBER()],
    fill: () => ['ZADD', 'board', number(), MEMBER()],
  },
  {
    name: 'ZPOPMIN one sorted set',
    request: () => ['ZPOPMIN', 'queue'],
    fill: () => ['ZADD', 'queue', number(), MEMBER()],
    fillCount: 400_000,
  },
  { name: 'XADD one stream', request: () => ['XADD', 'events', '*', 'sensor', MEMBER(), 'value', number()] },
  {
    name: 'XADD one stream MAXLEN',
    request: () => ['XADD', 'events', 'MAXLEN', '~', '1000', '*', 'sensor', MEMBER(), 'value', number()],
  },
  {
    name: 'XRANGE, per entry of 100',
    request: () => ['XRANGE', 'log', '-', '+', 'COUNT', '100'],
    fill: () => ['XADD', 'log', '*', 'sensor', MEMBER(), 'value', number()],
    fillCount: 1,
    requests: 1000,
    perRequest: ENTRIES_PER_READ,
  },
  {
    name: 'XREADGROUP and XACK, per entry of 100',
    request: inTurn(CONSUMING),
    fill: inTurn(PRODUCING),
    fillCount: 1,
    requests: CONSUMING.length,
    perRequest: ENTRIES / CONSUMING.length,
  },
];

/** Runs all, or those whose names contain `wanted`. */
export function commandRows(wanted = ''): EngineRow[] {
  return CASES.filter(({ name }) => name.includes(wanted)).map((row) => {
    const { name, request, fill, fillCount, requests = REQUESTS * 4, perRequest = 1 } = row;
    const engine = new Engine();
    const count = fillCount ?? 200_000;
    if (fill !== undefined) {
      const batches = batchesOf(fill, REQUESTS * 32);
      const views = viewsOf(batches);
      for (let done = 0; done < count; done += REQUESTS * 32) engine.run(batches, views);
    }
    const batches = batchesOf(request, requests);
    const views = viewsOf(batches);
    const operations = batches.length * PIPELINE * perRequest;
    return measure(`command ${name}`, operations, () => engine.run(batches, views));
  });
}

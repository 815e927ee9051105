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
  private readonly session = new Session(1, {} as ClientConnection, 0);
  private readonly context: CommandContext;

  constructor() {
    const config = new Config();
    const settings = defaultSettings();
    config.copyTo(settings);
    const counters = new Float64Array(KeyspaceCounter.COUNT);
    const keyspace = new Keyspace(createKeyspace(SHARDS, SHARD_BYTES, config.databases), settings, counters);
    const table = createCommandTable();
    const state = new ProcessState(createProcessState(1, table.size), 0, () => {});
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
}

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
];

/** Runs all, or those whose names contain `wanted`. */
export function commandRows(wanted = ''): EngineRow[] {
  return CASES.filter(({ name }) => name.includes(wanted)).map(({ name, request, fill, fillCount }) => {
    const engine = new Engine();
    const count = fillCount ?? 200_000;
    if (fill !== undefined) {
      const batches = batchesOf(fill, REQUESTS * 16);
      const views = viewsOf(batches);
      for (let done = 0; done < count; done += REQUESTS * 16) engine.run(batches, views);
    }
    const batches = batchesOf(request, REQUESTS * 4);
    const views = viewsOf(batches);
    return measure(`command ${name}`, batches.length * PIPELINE, () => engine.run(batches, views));
  });
}

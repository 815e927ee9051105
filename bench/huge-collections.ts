/** Collections of any size, and the commands that a client sends on them while something is done with the whole. */

import { Random } from '../test/tools/random.js';
import { type Argument, encodeCommand, type RawClient } from '../test/tools/raw-client.js';

export const TYPES = ['hash', 'set', 'zset', 'list', 'stream'] as const;
export type CollectionType = (typeof TYPES)[number];

const ELEMENTS_PER_COMMAND = 100;
const ELEMENTS_PER_WRITE = 2000;
const WRITES_IN_FLIGHT = 3;

/** A tenth of a stream's entries is pending, and a consumer has a thousand of them. */
const ENTRIES_PER_PENDING = 10;
const PENDING_PER_CONSUMER = 1000;
const ENTRIES_PER_READ = 100;
const GROUP = 'workers';
/** An entry that a consumer has got. */
const PENDING_ID = '500-0';

const COMMANDS: Record<CollectionType, string> = {
  hash: 'HSET',
  set: 'SADD',
  zset: 'ZADD',
  list: 'RPUSH',
  stream: 'XADD',
};

function element(index: number): string {
  return `element:${String(index).padStart(8, '0')}`;
}

/** One command that adds elements from `start` on, before `end`; XADD takes one. */
function addCommand(
  type: CollectionType,
  key: string,
  start: number,
  end: number,
  random: Random,
): Argument[] {
  const args: Argument[] = [COMMANDS[type], key];
  if (type === 'stream') args.push(`${start + 1}-0`, 'number', start, 'name', element(start));
  for (let index = start; index < end && type !== 'stream'; index++) {
    if (type === 'zset') args.push(random.below(1_000_000_000));
    args.push(element(index));
    if (type === 'hash') args.push(element(index));
  }
  return args;
}

/** Sends commands in pipelines. Throws if one fails. */
class Pipeline {
  private readonly client: RawClient;
  private readonly commandsPerWrite: number;
  private parts: Buffer[] = [];
  private readonly pending: Promise<Buffer[]>[] = [];

  constructor(client: RawClient, commandsPerWrite: number) {
    this.client = client;
    this.commandsPerWrite = commandsPerWrite;
  }

  async send(args: readonly Argument[]): Promise<void> {
    this.parts.push(encodeCommand(args));
    if (this.parts.length < this.commandsPerWrite) return;
    this.flush();
    if (this.pending.length >= WRITES_IN_FLIGHT) await this.readOne();
  }

  async end(): Promise<void> {
    this.flush();
    while (this.pending.length > 0) await this.readOne();
  }

  private flush(): void {
    if (this.parts.length === 0) return;
    this.client.write(Buffer.concat(this.parts));
    this.pending.push(this.client.readMany(this.parts.length));
    this.parts = [];
  }

  private async readOne(): Promise<void> {
    for (const reply of (await this.pending.shift())!) {
      if (reply[0] === 0x2d) throw new Error(`the server answered ${reply.toString('latin1')}`);
    }
  }
}

/** Makes a collection of `count` elements; a stream without groups. */
export async function build(
  client: RawClient,
  key: string,
  type: CollectionType,
  count: number,
): Promise<void> {
  const random = new Random(1);
  const step = type === 'stream' ? 1 : ELEMENTS_PER_COMMAND;
  const pipeline = new Pipeline(client, ELEMENTS_PER_WRITE / step);
  for (let index = 0; index < count; index += step) {
    await pipeline.send(addCommand(type, key, index, Math.min(count, index + step), random));
  }
  await pipeline.end();
}

/** Has the consumers of a new group read a tenth of a stream of `count` entries. */
export async function readByGroup(client: RawClient, key: string, count: number): Promise<void> {
  const pipeline = new Pipeline(client, 10);
  await pipeline.send(['XGROUP', 'CREATE', key, GROUP, '0']);
  for (let read = 0; read < count / ENTRIES_PER_PENDING; read += ENTRIES_PER_READ) {
    const consumer = `consumer:${Math.floor(read / PENDING_PER_CONSUMER)}`;
    const words = ['XREADGROUP', 'GROUP', GROUP, consumer, 'COUNT', ENTRIES_PER_READ, 'STREAMS', key, '>'];
    await pipeline.send(words);
  }
  await pipeline.end();
}

/** Writes to a huge collection: new elements, other values, elements that go. */
export function ownWrites(type: CollectionType, key: string): readonly (readonly Argument[])[] {
  switch (type) {
    case 'hash':
      return [
        ['HSET', key, element(77), 'another'],
        ['HDEL', key, element(78)],
        ['HINCRBY', key, 'counter', 1],
      ];
    case 'set':
      return [
        ['SADD', key, 'new'],
        ['SREM', key, 'new'],
        ['SPOP', key],
      ];
    case 'zset':
      return [
        ['ZINCRBY', key, 1, element(77)],
        ['ZPOPMIN', key],
        ['ZADD', key, 5, 'new'],
      ];
    case 'list':
      return [
        ['LPUSH', key, 'new'],
        ['RPOP', key],
        ['RPUSH', key, 'new'],
        ['LPOP', key],
        ['LSET', key, 1000, 'another'],
      ];
    case 'stream':
      return [
        ['XADD', key, '*', 'number', 1, 'name', 'new'],
        ['XREADGROUP', 'GROUP', GROUP, 'consumer:0', 'COUNT', 10, 'STREAMS', key, '>'],
        ['XAUTOCLAIM', key, GROUP, 'consumer:1', 0, '0', 'COUNT', 10],
        ['XADD', key, 'MAXLEN', '~', 100, 'LIMIT', 200, '*', 'number', 1, 'name', 'new'],
      ];
  }
}

export function destroyGroup(key: string): readonly Argument[] {
  return ['XGROUP', 'DESTROY', key, GROUP];
}

/** Commands on a stream that ask for a part of it, one of each kind. */
export function streamCommands(key: string): readonly (readonly Argument[])[] {
  const reader = ['XREADGROUP', 'GROUP', GROUP, 'consumer:7', 'COUNT', 100, 'STREAMS', key];
  return [
    ...ownWrites('stream', key),
    ['XLEN', key],
    ['XRANGE', key, '-', '+', 'COUNT', 100],
    ['XREVRANGE', key, '+', '-', 'COUNT', 100],
    ['XREAD', 'COUNT', 100, 'STREAMS', key, '0'],
    ['XREAD', 'STREAMS', key, '$'],
    [...reader, '>'],
    [...reader, '0'],
    ['XACK', key, GROUP, PENDING_ID],
    ['XCLAIM', key, GROUP, 'consumer:2', 0, PENDING_ID],
    ['XPENDING', key, GROUP, '-', '+', 100],
    ['XPENDING', key, GROUP, 'IDLE', 1, '-', '+', 100, 'consumer:5'],
    ['XAUTOCLAIM', key, GROUP, 'consumer:3', 1_000_000_000, '0', 'COUNT', 100],
    ['XINFO', 'STREAM', key],
    ['XINFO', 'GROUPS', key],
    ['XGROUP', 'CREATECONSUMER', key, GROUP, 'another'],
    ['XGROUP', 'DELCONSUMER', key, GROUP, 'another'],
    ['XGROUP', 'CREATE', key, 'others', '0'],
    ['XGROUP', 'SETID', key, 'others', '$'],
    ['XGROUP', 'DESTROY', key, 'others'],
    ['XDEL', key, PENDING_ID],
    ['XTRIM', key, 'MAXLEN', '~', 1, 'LIMIT', 200],
    ['MEMORY', 'USAGE', key],
    ['OBJECT', 'ENCODING', key],
    ['TYPE', key],
    ['EXPIRE', key, 100_000],
    ['PERSIST', key],
  ];
}

/** Commands on a stream that tell something of all its consumers. */
export function consumerCommands(key: string): readonly (readonly Argument[])[] {
  return [
    ['XPENDING', key, GROUP],
    ['XINFO', 'CONSUMERS', key, GROUP],
    ['XINFO', 'STREAM', key, 'FULL'],
  ];
}

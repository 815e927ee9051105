/**
 * Cached readers: writers give their keys values that count up, and delete them; readers keep what they have read until
 * they are told that it is out of date (CLIENT TRACKING). A reader that has made a round trip to the server after a
 * write was acknowledged has been told, so what it finds in its cache may not be older.
 */

import { createClient } from 'redis';
import { RawClient } from '../tools/raw-client.js';
import { again, type Load, openIoredis, PATIENCE_MS, pause } from './part.js';

const WRITERS = 3;
const KEYS_PER_WRITER = 12;
const READERS = 9;
const PREFIX = 'cached:';

/** What a key has been: value `n` at step n, or nothing. */
class History {
  readonly name: string;
  /** Steps whose reply has come. */
  committed = 0;
  /** Steps that may have been done. */
  begun = 0;
  private absences: number[] = [0];

  constructor(name: string) {
    this.name = name;
  }

  begin(isPresent: boolean): number {
    const step = ++this.begun;
    if (!isPresent) this.absences.push(step);
    // Nobody asks for those before the one that is committed.
    if (this.absences.length > 1000) this.absences = this.absences.slice(-500);
    return step;
  }

  /** Whether a reader may see this if step `since` had been done when it began. */
  allows(value: string | null, since: number): boolean {
    if (value !== null) return Number(value) >= since && Number(value) <= this.begun;
    return this.absences.some((step) => step >= since);
  }
}

interface Reader {
  /** From the cache if it is there. */
  read(key: string): Promise<string | null>;
  /** After that, whatever was told before has come. */
  roundTrip(): Promise<unknown>;
  leave(): unknown;
}

/** A cache that is told of keys. What it is told while it reads counts as told after the reply. */
class LocalCache {
  hits = 0;
  private readonly values = new Map<string, string | null>();
  private readonly reading = new Map<string, { isStale: boolean; count: number }>();

  invalidate(key: string): void {
    this.values.delete(key);
    const reading = this.reading.get(key);
    if (reading !== undefined) reading.isStale = true;
  }

  clear(): void {
    for (const key of [...this.values.keys(), ...this.reading.keys()]) this.invalidate(key);
  }

  async read(key: string, fetch: () => Promise<string | null>): Promise<string | null> {
    const known = this.values.get(key);
    if (known !== undefined) {
      this.hits++;
      return known;
    }
    const reading = { isStale: false, count: 1 };
    this.reading.set(key, reading);
    const value = await fetch();
    this.reading.delete(key);
    if (!reading.isStale) this.values.set(key, value);
    return value;
  }
}

/** node-redis with the cache that it has. */
async function openNodeRedisReader({ port }: Load): Promise<Reader> {
  const client = createClient({
    socket: { host: '127.0.0.1', port, connectTimeout: PATIENCE_MS },
    commandOptions: { timeout: PATIENCE_MS },
    RESP: 3,
    clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: 'LRU' },
  });
  client.on('error', () => {});
  await client.connect();
  return {
    read: (key) => client.get(key),
    roundTrip: () => client.ping(),
    leave: () => client.destroy(),
  };
}

/** ioredis, RESP2: a second connection is told. */
async function openIoredisReader(load: Load, count: (hits: number) => void): Promise<Reader> {
  const { port, random } = load;
  const cache = new LocalCache();
  const told = openIoredis(port, { protocol: 2 });
  const id = await told.client('ID');
  await told.subscribe('__redis__:invalidate');
  told.on('messageBuffer', (_channel: unknown, keys: unknown) => {
    if (Array.isArray(keys)) for (const key of keys) cache.invalidate(String(key));
    else cache.clear();
  });
  const client = openIoredis(port, { protocol: 2 });
  const isNarrow = random.chance(0.3);
  const mode = isNarrow ? ['BCAST', 'PREFIX', PREFIX] : [];
  await client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', String(id), ...mode);
  return {
    read: (key) => cache.read(key, () => client.get(key)),
    // What is redirected passes through both.
    roundTrip: async () => {
      await client.ping();
      await told.ping();
    },
    leave: () => {
      count(cache.hits);
      client.disconnect();
      told.disconnect();
    },
  };
}

/** RESP3 by hand, with the options that drivers do not offer. */
async function openRawReader({ port, random }: Load, count: (hits: number) => void): Promise<Reader> {
  const cache = new LocalCache();
  const client = await RawClient.connect({ port });
  client.socket.on('error', () => {});
  await client.command('HELLO', 3);
  const mode = random.pick([[], ['NOLOOP'], ['OPTIN'], ['BCAST', 'PREFIX', PREFIX]]);
  await client.command('CLIENT', 'TRACKING', 'ON', ...mode);
  const takePushes = () => {
    for (const push of client.pushes.splice(0)) {
      const text = push.toString('latin1');
      const keys = text.split('\r\n').filter((line) => line.startsWith(PREFIX));
      for (const key of keys) cache.invalidate(key);
      if (keys.length === 0 && text.includes('invalidate')) cache.clear();
    }
  };
  const get = async (key: string) => {
    const commands =
      mode[0] === 'OPTIN'
        ? [
            ['CLIENT', 'CACHING', 'YES'],
            ['GET', key],
          ]
        : [['GET', key]];
    const reply = (await client.pipeline(commands)).at(-1)!.toString('latin1');
    takePushes();
    return reply.startsWith('_') ? null : reply.split('\r\n')[1]!;
  };
  return {
    read: (key) => cache.read(key, () => get(key)),
    roundTrip: async () => {
      await client.command('PING');
      takePushes();
    },
    leave: () => {
      count(cache.hits);
      return client.close();
    },
  };
}

export class CachedReading {
  private readonly load: Load;
  private readonly keys = Array.from({ length: WRITERS }, (_, writer) =>
    Array.from({ length: KEYS_PER_WRITER }, (_, index) => new History(`${PREFIX}${writer}:${index}`)),
  );
  private writes = 0;
  private reads = 0;
  private readers = 0;
  private hits = 0;

  constructor(load: Load) {
    this.load = load;
  }

  async run(): Promise<void> {
    const { load } = this;
    await Promise.all([
      ...this.keys.map((keys) => this.write(keys)),
      ...Array.from({ length: READERS }, (_, index) => again(load, () => this.readForAWhile(index % 3))),
    ]);
  }

  report(): string {
    return `cache: ${this.writes} writes, ${this.reads} checked reads of ${this.readers} readers, ${this.hits} hits in caches of our own`;
  }

  private async write(keys: History[]): Promise<void> {
    const { load } = this;
    const { random } = load;
    await again(load, async () => {
      const client = openIoredis(load.port);
      for (let rounds = random.between(1, 200); rounds > 0 && !load.isOver(); rounds--) {
        await this.change(client, random.shuffle([...keys]));
        this.writes++;
        await pause(load, 12);
      }
      await client.quit();
    });
  }

  private async change(client: ReturnType<typeof openIoredis>, [one, two]: History[]): Promise<void> {
    const { random } = this.load;
    const [first, second] = [one!, two!];
    const choice = random.below(8);
    const isPresent = choice !== 5;
    const step = first.begin(isPresent);
    if (choice === 0 || choice === 1) await client.set(first.name, step);
    else if (choice === 2) await client.multi().set(first.name, step).get(first.name).exec();
    else if (choice === 3) {
      const other = second.begin(true);
      await client.mset(first.name, step, second.name, other);
      second.committed = other;
    } else if (choice === 4) await client.eval("redis.call('SET', KEYS[1], ARGV[1])", 1, first.name, step);
    else if (choice === 5) await client.del(first.name);
    else if (choice === 6) {
      // The next step is done by the clock.
      const gone = first.begin(false);
      await client.set(first.name, step, 'PX', random.between(1, 60));
      while ((await client.get(first.name)) !== null) await pause(this.load, 10);
      first.committed = gone;
      return;
    } else await client.getset(first.name, step);
    first.committed = step;
  }

  private async readForAWhile(kind: number): Promise<void> {
    const { load } = this;
    const { random } = load;
    const count = (hits: number) => {
      this.hits += hits;
    };
    const name = ['node-redis', 'redirected', 'raw'][kind]!;
    const open = [openNodeRedisReader, openIoredisReader, openRawReader][kind]!;
    const reader = await open(load, count);
    this.readers++;
    const favourites = random.shuffle(this.keys.flat()).slice(0, random.between(2, 20));
    for (let rounds = random.between(20, 500); rounds > 0 && !load.isOver(); rounds--) {
      const history = random.pick(favourites);
      if (random.chance(0.5)) {
        const { committed } = history;
        await reader.roundTrip();
        const value = await reader.read(history.name);
        this.reads++;
        if (!history.allows(value, committed))
          load.found(`cache: ${name}: ${history.name} is ${value}, step ${committed} was done before`);
      } else await reader.read(history.name);
      await pause(load, 4);
    }
    await reader.leave();
  }
}

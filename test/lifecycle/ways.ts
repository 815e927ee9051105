/**
 * Every way in which a server saves what it has, stops, or hands its keys on. Each tells which files are left and of which
 * moment they are; life.ts does what is the same for all.
 *
 * The snapshots that a test asks for are taken before clients write on, so that it shows whether what must not be in them is.
 */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { BulkClient, type Reply } from '../tools/bulk-client.js';
import type { TestServer } from '../tools/server.js';
import { EVERYTHING, type Life, type Moment } from './life.js';

export type Directives = Readonly<Record<string, string | number | readonly string[]>>;

export interface Way {
  readonly name: string;
  /** Which files the next server loads. */
  readonly files: 'snapshot' | 'append-only' | 'none';
  readonly directives: Directives;
  /** What is configured otherwise when it starts again. */
  readonly restart?: Directives;
  /** Does it; returns of which moment the files are. */
  readonly act: (life: Life) => Promise<Moment>;
  /** It stands for others of its kind where not all can be tried. */
  readonly isSample?: boolean;
}

/** Save points that are not reached; but whoever stops saves. */
const SAVE_POINTS: Directives = { save: '3600 1000000000' };
const NO_SAVE_POINTS: Directives = { save: '' };
const APPEND_ONLY: Directives = { save: '', appendonly: 'yes' };
const AS_COMMANDS: Directives = { 'aof-use-rdb-preamble': 'no' };
const IDLE = ['rdb_bgsave_in_progress:0', 'aof_rewrite_in_progress:0', 'aof_rewrite_scheduled:0'];
const KEYS_PER_MIGRATE = 200;
const MIGRATE_TIMEOUT_MS = 60_000;

async function everything(stop: Promise<void>): Promise<Moment> {
  await stop;
  return EVERYTHING;
}

/** Saves, writes on, and stops in a way that does not save again. */
async function forgetful(life: Life, stop: () => Promise<void>): Promise<Moment> {
  const moment = await life.moment(() => life.expect(/^\+OK/, 'SAVE'));
  await life.writeMore();
  await stop();
  return moment;
}

async function bgsave(life: Life): Promise<Moment> {
  const moment = await life.moment(() => life.expect(/started/, 'BGSAVE'));
  await life.untilInfo(...IDLE, 'rdb_last_bgsave_status:ok');
  return moment;
}

async function rewrite(life: Life): Promise<Moment> {
  const moment = await life.moment(() => life.expect(/started/, 'BGREWRITEAOF'));
  await life.untilInfo(...IDLE, 'aof_last_bgrewrite_status:ok');
  return moment;
}

/** Turns the append-only file on; returns once its first base is there. */
async function turnOn(life: Life): Promise<void> {
  await life.expect(/^\+OK/, 'CONFIG', 'SET', 'appendonly', 'yes');
  await life.untilInfo(...IDLE, 'aof_enabled:1', 'aof_last_bgrewrite_status:ok');
}

/** By signal, with the words of shutdown-on-sigterm and shutdown-on-sigint. */
const SIGNALS: readonly Way[] = [
  {
    name: 'SIGTERM',
    files: 'snapshot',
    directives: SAVE_POINTS,
    act: (life) => everything(life.signal('SIGTERM')),
    isSample: true,
  },
  {
    name: 'SIGINT',
    files: 'snapshot',
    directives: SAVE_POINTS,
    act: (life) => everything(life.signal('SIGINT')),
  },
  {
    name: 'SIGTERM, no save points',
    files: 'snapshot',
    directives: NO_SAVE_POINTS,
    act: (life) => forgetful(life, () => life.signal('SIGTERM')),
  },
  ...(['save', 'save now', 'save force'] as const).map(
    (words): Way => ({
      name: `SIGTERM: ${words}`,
      files: 'snapshot',
      directives: { ...NO_SAVE_POINTS, 'shutdown-on-sigterm': words.split(' ') },
      act: (life) => everything(life.signal('SIGTERM')),
    }),
  ),
  ...(['nosave', 'nosave now force'] as const).map(
    (words): Way => ({
      name: `SIGINT: ${words}`,
      files: 'snapshot',
      directives: { ...SAVE_POINTS, 'shutdown-on-sigint': words.split(' ') },
      act: (life) => forgetful(life, () => life.signal('SIGINT')),
    }),
  ),
  {
    name: 'SIGINT: save',
    files: 'snapshot',
    directives: { ...NO_SAVE_POINTS, 'shutdown-on-sigint': 'save' },
    act: (life) => everything(life.signal('SIGINT')),
  },
  {
    name: 'SIGTERM in the midst of BGSAVE',
    files: 'snapshot',
    directives: SAVE_POINTS,
    act: async (life) => {
      await life.expect(/started/, 'BGSAVE');
      return everything(life.signal('SIGTERM'));
    },
    isSample: true,
  },
];

const SHUTDOWNS: readonly Way[] = [
  ...['', 'NOW', 'FORCE', 'NOW FORCE'].map(
    (options): Way => ({
      name: `SHUTDOWN ${options}`.trim(),
      files: 'snapshot',
      directives: SAVE_POINTS,
      act: (life) => everything(life.shutdown(...words(options))),
      isSample: options === '',
    }),
  ),
  ...['SAVE', 'SAVE NOW FORCE'].map(
    (options): Way => ({
      name: `SHUTDOWN ${options}`,
      files: 'snapshot',
      directives: NO_SAVE_POINTS,
      act: (life) => everything(life.shutdown(...words(options))),
    }),
  ),
  ...['NOSAVE', 'NOSAVE NOW FORCE'].map(
    (options): Way => ({
      name: `SHUTDOWN ${options}`,
      files: 'snapshot',
      directives: SAVE_POINTS,
      act: (life) => forgetful(life, () => life.shutdown(...words(options))),
    }),
  ),
  {
    name: 'SHUTDOWN, no save points',
    files: 'snapshot',
    directives: NO_SAVE_POINTS,
    act: (life) => forgetful(life, () => life.shutdown()),
    isSample: true,
  },
  {
    name: 'SHUTDOWN ABORT, then SIGTERM',
    files: 'snapshot',
    directives: SAVE_POINTS,
    act: async (life) => {
      await life.expect(/^-ERR No shutdown in progress/, 'SHUTDOWN', 'ABORT');
      await life.writeMore();
      return everything(life.signal('SIGTERM'));
    },
  },
];

/** Snapshots of a server that goes on, until it's killed. */
const SAVES: readonly Way[] = [
  {
    name: 'SAVE',
    files: 'snapshot',
    directives: NO_SAVE_POINTS,
    act: async (life) => {
      const moment = await life.moment(() => life.expect(/^\+OK/, 'SAVE'));
      await life.writeMore();
      return moment;
    },
  },
  {
    name: 'BGSAVE',
    files: 'snapshot',
    directives: NO_SAVE_POINTS,
    act: async (life) => {
      const moment = await bgsave(life);
      await life.writeMore();
      return moment;
    },
    isSample: true,
  },
  {
    name: 'BGSAVE twice',
    files: 'snapshot',
    directives: NO_SAVE_POINTS,
    act: async (life) => {
      await bgsave(life);
      await life.writeMore();
      return bgsave(life);
    },
  },
  {
    name: 'save points',
    files: 'snapshot',
    directives: NO_SAVE_POINTS,
    act: (life) =>
      life.moment(async () => {
        await life.expect(/^\+OK/, 'CONFIG', 'SET', 'save', '1 1');
        await life.until('a snapshot', () => existsSync(path.join(life.directory, 'dump.rdb')));
      }),
  },
  {
    name: 'DEBUG RELOAD',
    files: 'snapshot',
    directives: NO_SAVE_POINTS,
    act: async (life) => {
      const moment = await life.moment(() => life.expect(/^\+OK/, 'DEBUG', 'RELOAD'));
      await life.writeMore();
      await life.stopWriting();
      await life.examineLive();
      return moment;
    },
    isSample: true,
  },
];

/** The append-only file: brought to the disk by each way to stop, rewritten in each form, turned on and off. */
const APPEND_ONLY_FILES: readonly Way[] = [
  {
    name: 'append-only file, SIGTERM',
    files: 'append-only',
    directives: APPEND_ONLY,
    act: (life) => everything(life.signal('SIGTERM')),
  },
  {
    name: 'append-only file, SHUTDOWN NOSAVE',
    files: 'append-only',
    directives: { ...APPEND_ONLY, appendfsync: 'no' },
    act: (life) => everything(life.shutdown('NOSAVE')),
    isSample: true,
  },
  {
    name: 'append-only file and save points, SHUTDOWN',
    files: 'append-only',
    directives: { ...APPEND_ONLY, ...SAVE_POINTS },
    act: (life) => everything(life.shutdown()),
  },
  {
    name: 'append-only file, fsync always, killed',
    files: 'append-only',
    directives: { ...APPEND_ONLY, appendfsync: 'always' },
    act: async () => EVERYTHING,
  },
  {
    name: 'the first base, SIGINT',
    files: 'append-only',
    directives: NO_SAVE_POINTS,
    restart: APPEND_ONLY,
    act: async (life) => {
      await turnOn(life);
      await life.writeMore();
      return everything(life.signal('SIGINT'));
    },
    isSample: true,
  },
  {
    name: 'the first base as commands, SHUTDOWN',
    files: 'append-only',
    directives: { ...NO_SAVE_POINTS, ...AS_COMMANDS },
    restart: APPEND_ONLY,
    act: async (life) => {
      await turnOn(life);
      await life.writeMore();
      return everything(life.shutdown());
    },
  },
  {
    name: 'BGREWRITEAOF, SHUTDOWN NOSAVE',
    files: 'append-only',
    directives: APPEND_ONLY,
    act: async (life) => {
      await rewrite(life);
      await life.writeMore();
      return everything(life.shutdown('NOSAVE'));
    },
  },
  {
    name: 'BGREWRITEAOF as commands, SIGTERM',
    files: 'append-only',
    directives: { ...APPEND_ONLY, ...AS_COMMANDS },
    act: async (life) => {
      await rewrite(life);
      await life.writeMore();
      return everything(life.signal('SIGTERM'));
    },
    isSample: true,
  },
  {
    name: 'SHUTDOWN in the midst of BGREWRITEAOF',
    files: 'append-only',
    directives: { ...APPEND_ONLY, ...SAVE_POINTS },
    act: async (life) => {
      await life.expect(/started/, 'BGREWRITEAOF');
      return everything(life.shutdown());
    },
  },
  {
    name: 'BGREWRITEAOF, append-only file off',
    files: 'append-only',
    directives: NO_SAVE_POINTS,
    restart: APPEND_ONLY,
    act: async (life) => {
      const moment = await rewrite(life);
      await life.writeMore();
      return moment;
    },
  },
  {
    name: 'append-only file off and on again',
    files: 'append-only',
    directives: APPEND_ONLY,
    act: async (life) => {
      await life.expect(/^\+OK/, 'CONFIG', 'SET', 'appendonly', 'no');
      await life.writeMore();
      await turnOn(life);
      await life.writeMore();
      return everything(life.shutdown('NOSAVE'));
    },
  },
  {
    name: 'DEBUG LOADAOF',
    files: 'append-only',
    directives: APPEND_ONLY,
    act: async (life) => {
      await life.expect(/^\+OK/, 'DEBUG', 'LOADAOF');
      await life.writeMore();
      await life.stopWriting();
      await life.examineLive();
      return everything(life.shutdown('NOSAVE'));
    },
    isSample: true,
  },
  {
    name: 'DEBUG LOADAOF in the midst of BGSAVE',
    files: 'append-only',
    directives: APPEND_ONLY,
    act: async (life) => {
      await life.expect(/started/, 'BGSAVE');
      await life.expect(/^\+OK/, 'DEBUG', 'LOADAOF');
      await life.untilInfo(...IDLE);
      await life.writeMore();
      await life.stopWriting();
      await life.examineLive();
      return everything(life.shutdown('NOSAVE'));
    },
  },
];

/** Keys as payloads in another server. */
const PAYLOADS: readonly Way[] = [
  {
    name: 'DUMP and RESTORE',
    files: 'none',
    directives: NO_SAVE_POINTS,
    act: (life) => handOn(life, false, restoreAll),
    isSample: true,
  },
  {
    name: 'MIGRATE COPY',
    files: 'none',
    directives: NO_SAVE_POINTS,
    act: (life) => handOn(life, true, (from, to, keys) => migrate(from, to, keys, ['COPY'])),
  },
  {
    name: 'MIGRATE to and fro',
    files: 'none',
    directives: NO_SAVE_POINTS,
    act: async (life) => {
      await handOn(life, true, async (from, to, keys) => {
        await migrate(from, to, keys, []);
        await migrate(to, from, keys, []);
        await migrate(from, to, keys, ['COPY']);
      });
      await life.stopWriting();
      await life.examineLive();
      return EVERYTHING;
    },
    isSample: true,
  },
];

export const WAYS: readonly Way[] = [...SIGNALS, ...SHUTDOWNS, ...SAVES, ...APPEND_ONLY_FILES, ...PAYLOADS];

function words(text: string): string[] {
  return text === '' ? [] : text.split(' ');
}

type HandOn = (from: TestServer, to: TestServer, keys: ReadonlyMap<number, string[]>) => Promise<void>;

/**
 * Hands all keys on to a Damselfly and, if it can have them, a redis-server, which must have them then. `isDelayed`: with
 * the time that they had left, so that they expire a little later.
 */
async function handOn(life: Life, isDelayed: boolean, action: HandOn): Promise<Moment> {
  life.delayMsMax = isDelayed ? MIGRATE_TIMEOUT_MS : 0;
  for (const kind of life.suitsRedis ? (['damselfly', 'redis'] as const) : (['damselfly'] as const)) {
    const target = await life.start(kind, life.directory, NO_SAVE_POINTS);
    await action(life.server, target, life.dataset.keysByDatabase());
    for (const problem of await life.compareDataset(target, 0)) life.problems.push(`${kind}: ${problem}`);
    await target.stop('SIGKILL');
  }
  return EVERYTHING;
}

async function restoreAll(
  from: TestServer,
  to: TestServer,
  all: ReadonlyMap<number, string[]>,
): Promise<void> {
  const source = await BulkClient.connect(from.address());
  const target = await BulkClient.connect(to.address());
  for (const [database, keys] of all) {
    for (const client of [source, target]) await client.call('SELECT', database);
    for (const key of keys) {
      let expiresAtMs = 0;
      source.send(['PEXPIRETIME', key], (reply) => {
        expiresAtMs = Math.max(0, reply as number);
      });
      source.send(['DUMP', key], (payload) => {
        target.send(['RESTORE', key, expiresAtMs, payload as string, 'ABSTTL']);
      });
      await source.room();
      await target.room();
    }
    await source.done();
    await target.done();
  }
  source.close();
  target.close();
}

async function migrate(
  from: TestServer,
  to: TestServer,
  all: ReadonlyMap<number, string[]>,
  options: readonly string[],
): Promise<void> {
  const client = await BulkClient.connect(from.address());
  for (const [database, keys] of all) {
    await client.call('SELECT', database);
    for (let first = 0; first < keys.length; first += KEYS_PER_MIGRATE) {
      const some = keys.slice(first, first + KEYS_PER_MIGRATE);
      const target = ['127.0.0.1', to.port, '', database, MIGRATE_TIMEOUT_MS];
      const reply: Reply = await client.call('MIGRATE', ...target, ...options, 'KEYS', ...some);
      if (reply !== 'OK') throw new Error(`MIGRATE was answered with ${reply}`);
    }
  }
  client.close();
}

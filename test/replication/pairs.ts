/** What tests of replication share: who follows whom, waiting until they agree, random writes. */

import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { differences, readDataset } from '../tools/dataset.js';
import type { Random } from '../tools/random.js';
import { type ServerKind, type ServerOptions, TestServer } from '../tools/server.js';

const WAIT_MS_MAX = 240_000;

/** A server whose replicas sync at once and hear of it every second. */
export function start(kind: ServerKind, directives: ServerOptions['directives'] = {}): Promise<TestServer> {
  return TestServer.start({
    kind,
    threads: 3,
    directives: { 'repl-diskless-sync-delay': 0, 'repl-ping-replica-period': 1, ...directives },
  });
}

/** Settles once something is so. */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + WAIT_MS_MAX; !(await isSo()); await delay(20)) {
    if (Date.now() > end) throw new Error(`not after ${WAIT_MS_MAX} ms: ${what}`);
  }
}

export async function info(client: Redis, section = 'replication'): Promise<Map<string, string>> {
  const lines = (await client.info(section)).split('\r\n').filter((line) => line.includes(':'));
  return new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)] as const),
  );
}

export async function follow(replica: Redis, primary: TestServer): Promise<void> {
  await replica.call('REPLICAOF', '127.0.0.1', String(primary.port));
}

export async function untilLinked(replica: Redis): Promise<void> {
  await until('the link is up', async () => (await info(replica)).get('master_link_status') === 'up');
}

/** Settles once a replica has all that its primary has written. */
export async function untilCaughtUp(primary: Redis, replica: Redis): Promise<void> {
  await untilLinked(replica);
  await until('the replica has caught up', async () => {
    const [there, here] = await Promise.all([info(primary), info(replica)]);
    return there.get('master_repl_offset') === here.get('slave_repl_offset');
  });
}

/**
 * Settles once a replica has all that its primary has written, after which the primary adds nothing by itself: no PING,
 * no DEL of a key that has expired. What it had and the replica had not would need a full sync after a failover.
 */
export async function endHistory(primary: Redis, replica: Redis): Promise<void> {
  await primary.config('SET', 'repl-ping-replica-period', '3600');
  await primary.call('DEBUG', 'SET-ACTIVE-EXPIRE', '0');
  await untilCaughtUp(primary, replica);
}

const COMPARE_MS_MAX = 60_000;

/** What differs between two servers once the second has caught up, and keys that were about to expire have gone. */
export async function compare(primary: Redis, replica: Redis): Promise<string[]> {
  await untilCaughtUp(primary, replica);
  for (const end = Date.now() + COMPARE_MS_MAX; ; await delay(100)) {
    try {
      const found = differences(await readDataset(replica), await readDataset(primary));
      if (found.length === 0 || Date.now() > end) return found;
    } catch (error) {
      // A key has expired while it was read.
      if (Date.now() > end) throw error;
    }
  }
}

/** Random writes of all kinds from one connection, until `isOver`; returns how many. */
export async function writeRandomly(client: Redis, random: Random, isOver: () => boolean): Promise<number> {
  const key = (): string => `${random.pick(['s', 'l', 'h', 'z', 't', 'x'])}${random.below(50)}`;
  let count = 0;
  const one = (kind: string): string => `${kind}${random.below(50)}`;
  const text = (): string => 'v'.repeat(random.below(30)) + random.below(1000);
  const commands: (() => (string | number)[])[] = [
    () => ['SET', one('s'), text()],
    () => ['SET', one('s'), text(), 'PX', 1 + random.below(300)],
    () => ['APPEND', one('s'), text()],
    () => ['SETRANGE', one('s'), random.below(20), text()],
    () => ['INCR', one('n')],
    () => ['INCRBYFLOAT', one('f'), random.below(100) / 7],
    () => ['GETDEL', one('s')],
    () => ['GETEX', one('s'), 'PX', 1 + random.below(2000)],
    () => ['RPUSH', one('l'), text(), text()],
    () => ['LPUSH', one('l'), text()],
    () => ['LPOP', one('l'), random.below(4)],
    () => ['LMOVE', one('l'), one('l'), 'LEFT', 'RIGHT'],
    () => ['LTRIM', one('l'), 0, 20],
    () => ['HSET', one('h'), text(), text(), 'f', text()],
    () => ['HINCRBYFLOAT', one('h'), `n${random.below(5)}`, 0.1],
    () => ['HDEL', one('h'), 'f'],
    () => ['SADD', one('t'), text(), text(), text()],
    () => ['SPOP', one('t'), 1 + random.below(3)],
    () => ['SMOVE', one('t'), one('t'), text()],
    () => ['SUNIONSTORE', one('t'), one('t'), one('t')],
    () => ['ZADD', one('z'), random.below(1000), text(), random.below(1000), text()],
    () => ['ZINCRBY', one('z'), 0.5, text()],
    () => ['ZPOPMIN', one('z')],
    () => ['ZRANGESTORE', one('z'), one('z'), 0, 10],
    () => ['XADD', one('x'), 'MAXLEN', '~', 100, '*', 'f', text()],
    () => ['XTRIM', one('x'), 'MAXLEN', 50],
    () => ['EXPIRE', key(), random.below(3)],
    () => ['PEXPIRE', key(), 1 + random.below(500)],
    () => ['PERSIST', key()],
    () => ['DEL', key(), key()],
    () => ['UNLINK', key()],
    () => ['RENAME', one('s'), one('s')],
    () => ['COPY', key(), one('c'), 'REPLACE'],
    () => ['SORT', one('l'), 'ALPHA', 'STORE', one('l')],
    () => ['PFADD', one('p'), text()],
    () => ['SETBIT', one('b'), random.below(500), 1],
    () => ['GEOADD', one('g'), 13.36, 38.11, text()],
    () => ['PUBLISH', 'channel', text()],
    () => ['MSET', one('s'), text(), one('s'), text()],
  ];
  while (!isOver()) {
    const pipeline = random.chance(0.3) ? client.multi() : client.pipeline();
    if (random.chance(0.1)) pipeline.select(random.below(3));
    for (let left = 1 + random.below(20); left > 0; left--, count++) {
      const [name, ...args] = random.pick(commands)();
      pipeline.call(String(name), ...args.map(String));
    }
    if (random.chance(0.01)) pipeline.call('SWAPDB', '0', '1');
    if (random.chance(0.005)) pipeline.flushdb();
    // A connection that is closed fails at once, and would leave no time for anything else.
    await pipeline.exec().catch(() => delay(5));
  }
  return count;
}

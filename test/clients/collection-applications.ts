/**
 * Applications on collections as one would write them with ioredis, each run by several processes at once:
 *
 *   node collection-applications.js PORT NAME NUMBER
 *
 * does one process's share of the work and prints, as JSON, what it has added to the common state.
 */

import { Redis } from 'ioredis';
import { Random } from '../tools/random.js';

/** What a process reports: amounts by name, added up over all processes by who checks the end state. */
export type Report = Record<string, number>;

export const PLAYERS = 200;
const GAMES = 300;
export const WEEKS = 3;

/** Points in boards by week, and in a hash of totals, together in one transaction. */
async function leaderboard(client: Redis, random: Random): Promise<Report> {
  const report: Report = {};
  for (let game = 0; game < GAMES; game++) {
    const player = `player:${random.below(PLAYERS)}`;
    const points = 1 + random.below(50);
    const week = random.below(WEEKS);
    const results = await client
      .multi()
      .zincrby(`board:${week}`, points, player)
      .hincrby('board:totals', player, points)
      .zrevrank(`board:${week}`, player)
      .exec();
    if (results!.some(([error]) => error)) throw new Error('a transaction failed');
    report[player] = (report[player] ?? 0) + points;
    report.games = (report.games ?? 0) + 1;
    if (game % 10 !== 0) continue;
    const top = await client.zrevrange(`board:${week}`, 0, 9, 'WITHSCORES');
    for (let index = 3; index < top.length; index += 2) {
      if (Number(top[index - 2]) < Number(top[index])) throw new Error(`not in order: ${top}`);
    }
  }
  return report;
}

export const JOBS_PER_PROCESS = 200;

/** Each process produces jobs, some of them for later, and works on whatever is in the queue until all are done. */
async function jobQueue(client: Redis, _random: Random, number: number): Promise<Report> {
  const processing = `jobs:processing:${number}`;
  const report: Report = {};
  const produce = async () => {
    for (let job = 0; job < JOBS_PER_PROCESS; job++) {
      const id = `${number}:${job}`;
      await client.hset(`job:${id}`, { state: 'new', payload: `payload of ${id}` });
      if (job % 4 === 0) await client.zadd('jobs:delayed', Date.now() + (job % 20), id);
      else await client.lpush('jobs:waiting', id);
      await client.incr('jobs:produced');
    }
    await client.incr('jobs:producers:done');
  };
  const moveDue = async () => {
    for (const id of await client.zrangebyscore('jobs:delayed', '-inf', Date.now(), 'LIMIT', 0, 5)) {
      // Only who removes it may queue it.
      if ((await client.zrem('jobs:delayed', id)) === 1) await client.lpush('jobs:waiting', id);
    }
  };
  const work = async (processes: number) => {
    for (;;) {
      await moveDue();
      const id = await client.lmove('jobs:waiting', processing, 'RIGHT', 'LEFT');
      if (id === null) {
        const done = Number(await client.get('jobs:producers:done'));
        const finished = await client.scard('jobs:finished');
        if (done === processes && finished === processes * JOBS_PER_PROCESS) return;
        continue;
      }
      const payload = await client.hget(`job:${id}`, 'payload');
      if (payload !== `payload of ${id}`) throw new Error(`job ${id} has ${payload}`);
      const results = await client
        .multi()
        .lrem(processing, 1, id)
        .sadd('jobs:finished', id)
        .hset(`job:${id}`, 'state', 'finished')
        .hincrby('jobs:statistics', `worker:${number}`, 1)
        .exec();
      if (results![0]![1] !== 1 || results![1]![1] !== 1) throw new Error(`job ${id} was done twice`);
      report.finished = (report.finished ?? 0) + 1;
    }
  };
  const [, processes] = await Promise.all([produce(), client.get('jobs:processes')]);
  await work(Number(processes));
  return report;
}

export const ITEMS = 150;
export const TAGS = 12;

/** Items with tags, in both directions; tags are given, taken and looked up. */
async function tagIndex(client: Redis, random: Random): Promise<Report> {
  const report: Report = {};
  for (let round = 0; round < 300; round++) {
    const item = `item:${random.below(ITEMS)}`;
    const added = `tag:${random.below(TAGS)}`;
    const removed = `tag:${random.below(TAGS)}`;
    if (added === removed) continue;
    await client
      .multi()
      .sadd(added, item)
      .sadd(`${item}:tags`, added)
      .srem(removed, item)
      .srem(`${item}:tags`, removed)
      .exec();
    report.changes = (report.changes ?? 0) + 1;
    if (round % 10 !== 0) continue;
    const [both, either, count] = (await client
      .multi()
      .sinter(added, removed)
      .sunion(added, removed)
      .sintercard(2, added, removed)
      .exec())!.map(([, reply]) => reply) as [string[], string[], number];
    if (both.length !== count) throw new Error(`${both.length} in both, ${count} counted`);
    const all = new Set(either);
    if (both.some((name) => !all.has(name))) throw new Error('in both but not in either');
  }
  return report;
}

export const USERS = 60;

/** Profiles with counters and a unique address, which an index leads back from. */
async function userProfiles(client: Redis, random: Random, number: number): Promise<Report> {
  const report: Report = {};
  for (let round = 0; round < 240; round++) {
    const user = `user:${random.below(USERS)}`;
    await client.hincrby(user, 'visits', 1);
    await client.hincrbyfloat(user, 'balance', 0.25);
    report.visits = (report.visits ?? 0) + 1;
    if (round % 2 !== 0) continue;
    await client.watch(user);
    const [old, version] = await client.hmget(user, 'email', 'version');
    const email = `${user}@${number}.${round}`;
    const change = client
      .multi()
      .hset(user, { email, version: Number(version ?? 0) + 1, name: `Name ${round}` });
    if (old) change.hdel('users:by-email', old);
    change.hset('users:by-email', email, user);
    if ((await change.exec()) === null) report.conflicts = (report.conflicts ?? 0) + 1;
    else report.updates = (report.updates ?? 0) + 1;
  }
  return report;
}

export const APPLICATIONS = { leaderboard, jobQueue, tagIndex, userProfiles } as const;
export type ApplicationName = keyof typeof APPLICATIONS;

if (process.argv[1]?.endsWith('collection-applications.js')) {
  const [port, name, number] = process.argv.slice(2);
  const client = new Redis({ port: Number(port), host: '127.0.0.1' });
  const run = APPLICATIONS[name as ApplicationName];
  console.log(JSON.stringify(await run(client, new Random(Number(number) + 1), Number(number))));
  await client.quit();
}

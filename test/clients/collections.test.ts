/** A leaderboard, a job queue, a tag index and a store of user profiles, each used by several processes at once. */

import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { distDirectory, withServers } from '../tools/server.js';
import {
  APPLICATIONS,
  type ApplicationName,
  ITEMS,
  JOBS_PER_PROCESS,
  PLAYERS,
  type Report,
  TAGS,
  USERS,
  WEEKS,
} from './collection-applications.js';

const PROCESSES = 3;
const PROGRAM = path.join(distDirectory, 'test', 'clients', 'collection-applications.js');

/** Runs an application in several processes; returns the sum of their reports. */
async function runProcesses(port: number, name: ApplicationName): Promise<Report> {
  const run = promisify(execFile);
  const outputs = await Promise.all(
    Array.from({ length: PROCESSES }, (_, number) =>
      run(process.execPath, [PROGRAM, String(port), name, String(number)]),
    ),
  );
  const sum: Report = {};
  for (const { stdout } of outputs) {
    for (const [key, amount] of Object.entries(JSON.parse(stdout) as Report))
      sum[key] = (sum[key] ?? 0) + amount;
  }
  return sum;
}

const checks: Record<ApplicationName, (t: Test, client: Redis, report: Report) => Promise<void>> = {
  async leaderboard(t, client, report) {
    const { games, ...points } = report;
    t.ok(games! > 0);
    t.strictSame(
      await client.hgetall('board:totals'),
      Object.fromEntries(Object.entries(points).map(([player, sum]) => [player, String(sum)])),
      'no point was lost',
    );
    const boards = Array.from({ length: WEEKS }, (_, week) => `board:${week}`);
    const players = await client.zunionstore('board:all', WEEKS, ...boards);
    t.equal(players, Object.keys(points).length);
    t.ok(players <= PLAYERS);
    const ranking = await client.zrevrange('board:all', 0, -1, 'WITHSCORES');
    const expected = Object.entries(points).sort(([a, x], [b, y]) => y - x || (a < b ? 1 : -1));
    t.strictSame(
      ranking,
      expected.flatMap(([player, sum]) => [player, String(sum)]),
      'the ranking',
    );
    for (const rank of [0, 1, Math.floor(players / 2), players - 1]) {
      t.equal(await client.zrevrank('board:all', ranking[2 * rank]!), rank);
    }
  },

  async jobQueue(t, client, report) {
    const jobs = PROCESSES * JOBS_PER_PROCESS;
    t.equal(report.finished, jobs, 'each job done once');
    t.equal(await client.scard('jobs:finished'), jobs);
    t.equal(await client.get('jobs:produced'), String(jobs));
    t.strictSame(await client.keys('jobs:processing:*'), [], 'nothing is left in work');
    t.equal(await client.exists('jobs:waiting', 'jobs:delayed'), 0);
    const done = Object.values(await client.hgetall('jobs:statistics')).map(Number);
    t.equal(
      done.reduce((sum, count) => sum + count, 0),
      jobs,
    );
    for (const id of await client.smembers('jobs:finished')) {
      if ((await client.hget(`job:${id}`, 'state')) !== 'finished') t.fail(`job ${id} is not finished`);
    }
  },

  async tagIndex(t, client, report) {
    t.ok(report.changes! > 0);
    const tags = Array.from({ length: TAGS }, (_, tag) => `tag:${tag}`);
    const byTag = await Promise.all(tags.map((tag) => client.smembers(tag)));
    const byItem = await Promise.all(
      Array.from({ length: ITEMS }, (_, item) => client.smembers(`item:${item}:tags`)),
    );
    const links = byTag.flatMap((items, tag) => items.map((item) => `${item} tag:${tag}`)).sort();
    const linksBack = byItem.flatMap((names, item) => names.map((tag) => `item:${item} ${tag}`)).sort();
    t.ok(links.length > 0);
    t.strictSame(links, linksBack, 'both directions agree');
    const all = new Set(byTag.flat());
    t.equal(await client.sunionstore('tagged', ...tags), all.size);
  },

  async userProfiles(t, client, report) {
    let visits = 0;
    let balance = 0;
    let updates = 0;
    const addresses: Record<string, string> = {};
    for (let number = 0; number < USERS; number++) {
      const user = await client.hgetall(`user:${number}`);
      visits += Number(user.visits ?? 0);
      balance += Number(user.balance ?? 0);
      updates += Number(user.version ?? 0);
      if (user.email) addresses[user.email] = `user:${number}`;
    }
    t.equal(visits, report.visits, 'no visit was lost');
    t.equal(balance, report.visits! / 4);
    t.equal(updates, report.updates, 'no update was lost');
    t.strictSame(await client.hgetall('users:by-email'), addresses, 'the index leads back to each user');
  },
};

withServers(t, 'several processes', {}, async (t, server) => {
  const client = server.client();
  await client.set('jobs:processes', PROCESSES);
  const names = Object.keys(APPLICATIONS) as ApplicationName[];
  const reports = await Promise.all(names.map((name) => runProcesses(server.port, name)));
  for (const [index, name] of names.entries()) {
    await t.test(name, (t) => checks[name](t, client, reports[index]!));
  }
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
});

/** `oom-score-adj` in a server. What redis-server does too can be tried with DAMSELFLY_TEST_SERVER=redis. */

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type ServerKind, TestServer } from '../tools/server.js';

const kind: ServerKind = process.env.DAMSELFLY_TEST_SERVER === 'redis' ? 'redis' : 'damselfly';
const REFUSED = 'Failed to set current oom_score_adj. Check server logs.';
const DEADLINE_MS = 20_000;

function scoreOf(pid: number | 'self'): number {
  return Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'latin1'));
}

async function untilScore(server: TestServer, wanted: number): Promise<number> {
  const deadline = performance.now() + DEADLINE_MS;
  while (scoreOf(server.pid) !== wanted && performance.now() < deadline) await delay(10);
  return scoreOf(server.pid);
}

function failed(name: string, reason: string): string {
  return `-ERR CONFIG SET failed (possibly related to argument '${name}') - ${reason}\r\n`;
}

async function start(t: Test, directives: Record<string, string | readonly string[]>): Promise<TestServer> {
  const server = await TestServer.start({
    kind,
    threads: 2,
    directives: { ...directives, loglevel: 'notice' },
  });
  t.teardown(() => server.stop());
  return server;
}

// What this process has is what the servers start with. Whether it may be lowered depends on the privileges.
const before = scoreOf('self');
const mayLower =
  spawnSync('sh', ['-c', `echo ${Math.max(-1000, before - 1)} > /proc/self/oom_score_adj`]).status === 0;

t.test('the score follows the configuration and the role', async (t) => {
  const server = await start(t, {});
  const client = await server.rawClient();
  const set = (...args: string[]) => client.text('CONFIG', 'SET', ...args);
  t.equal(scoreOf(server.pid), before);
  t.equal(await set('oom-score-adj-values', '100 200 300'), '+OK\r\n');
  t.equal(scoreOf(server.pid), before, 'not wanted');
  t.equal(await set('oom-score-adj', 'relative'), '+OK\r\n');
  t.equal(scoreOf(server.pid), Math.min(1000, before + 100));
  t.equal(await set('oom-score-adj', 'absolute', 'oom-score-adj-values', '900 950 960'), '+OK\r\n');
  t.equal(scoreOf(server.pid), 900);
  t.equal(await client.text('REPLICAOF', '127.0.0.1', '1'), '+OK\r\n');
  t.equal(await untilScore(server, 950), 950);
  t.equal(await set('oom-score-adj-values', '900 970 980'), '+OK\r\n');
  t.equal(scoreOf(server.pid), 970);
  t.equal(await client.text('REPLICAOF', 'NO', 'ONE'), '+OK\r\n');
  t.equal(await untilScore(server, 900), 900);
  t.equal(await set('oom-score-adj-values', '2000 2000 2000'), '+OK\r\n');
  t.equal(scoreOf(server.pid), 1000);
  t.equal(await set('oom-score-adj', 'no'), '+OK\r\n');
  t.equal(scoreOf(server.pid), before);
});

t.test('it is set at start', async (t) => {
  const server = await start(t, {
    'oom-score-adj': 'absolute',
    'oom-score-adj-values': ['910', '920', '930'],
  });
  t.equal(scoreOf(server.pid), 910);
  const replica = await start(t, {
    'oom-score-adj': 'absolute',
    'oom-score-adj-values': ['910', '920', '930'],
    replicaof: ['127.0.0.1', '1'],
  });
  t.equal(await untilScore(replica, 920), 920);
});

t.test('a change that fails leaves the score as it was', async (t) => {
  const other = await start(t, {});
  const server = await start(t, {
    'oom-score-adj': 'absolute',
    'oom-score-adj-values': ['800', '810', '820'],
  });
  const client = await server.rawClient();
  const reply = await client.text(
    'CONFIG',
    'SET',
    'oom-score-adj-values',
    '900 910 920',
    'port',
    String(other.port),
  );
  t.match(reply, /possibly related to argument 'port'/);
  t.equal(scoreOf(server.pid), 800);
  t.match(await client.text('CONFIG', 'GET', 'oom-score-adj-values'), /800 810 820/);
  t.equal(
    await client.text('CONFIG', 'SET', 'oom-score-adj-values', '900 910 2001'),
    failed('oom-score-adj-values', 'Invalid oom-score-adj-values, elements must be between -2000 and 2000.'),
  );
  t.equal(scoreOf(server.pid), 800);
});

t.test(
  'a score that the kernel refuses',
  { skip: mayLower && 'this process may lower its score' },
  async (t) => {
    const lower = String(before - 1);
    const server = await start(t, {});
    const client = await server.rawClient();
    t.equal(
      await client.text('CONFIG', 'SET', 'oom-score-adj', 'absolute', 'oom-score-adj-values', '900 910 920'),
      '+OK\r\n',
    );
    t.equal(
      await client.text('CONFIG', 'SET', 'oom-score-adj-values', `${lower} 910 920`, 'timeout', '77'),
      failed('oom-score-adj-values', REFUSED),
    );
    t.equal(scoreOf(server.pid), 900);
    t.match(await client.text('CONFIG', 'GET', 'oom-score-adj-values'), /900 910 920/);
    t.match(await client.text('CONFIG', 'GET', 'timeout'), /\r\n0\r\n/);
    await server.untilLogged(/Unable to write oom_score_adj: permission denied/i);
    t.equal(await client.text('CONFIG', 'SET', 'oom-score-adj', 'no'), '+OK\r\n');
    t.equal(
      await client.text('CONFIG', 'SET', 'oom-score-adj-values', `910 ${lower} 920`),
      '+OK\r\n',
      'nothing is written while it is off',
    );
    await server.untilLogged(
      'The oom-score-adj-values configuration may not work for non-privileged processes!',
    );
    // At start, the server goes on without.
    const refused = await start(t, {
      'oom-score-adj': 'absolute',
      'oom-score-adj-values': [lower, '0', '0'],
    });
    await refused.untilLogged(/Unable to write oom_score_adj: permission denied/i);
    t.equal(scoreOf(refused.pid), before);
  },
);

/** Real redis-sentinels watch a Damselfly with replicas of both kinds, and fail over. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import t from 'tap';
import { freePort } from '../tools/free-port.js';
import { hasProgram, TestServer } from '../tools/server.js';
import { follow, info, until, untilLinked } from './pairs.js';

t.setTimeout(0);

interface Sentinel {
  readonly client: Redis;
  stop(): void;
}

async function startSentinel(primary: TestServer): Promise<Sentinel> {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-sentinel-'));
  const port = await freePort();
  const file = path.join(directory, 'sentinel.conf');
  writeFileSync(
    file,
    `port ${port}\nbind 127.0.0.1\ndir ${directory}\nsentinel monitor group 127.0.0.1 ${primary.port} 2\n` +
      'sentinel down-after-milliseconds group 2000\nsentinel failover-timeout group 20000\nsentinel parallel-syncs group 2\n',
  );
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' });
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: () => 100 });
  client.on('error', () => {});
  await until('the sentinel answers', async () => (await client.ping().catch(() => '')) === 'PONG');
  return {
    client,
    stop: () => {
      client.disconnect();
      child.kill('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Sentinel closes connections of servers whose role it changes: tries again, with another connection. */
async function again<T>(action: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (!/Connection is closed|UNBLOCKED/.test((error as Error).message)) throw error;
    }
  }
}

async function untilCaughtUp(primary: TestServer, replica: TestServer): Promise<void> {
  await until('the replica has caught up', () =>
    again(async () => {
      const [there, here] = await Promise.all([info(primary.client()), info(replica.client())]);
      const isUp = here.get('master_link_status') === 'up';
      return isUp && there.get('master_repl_offset') === here.get('slave_repl_offset');
    }),
  );
}

async function primaryPort(sentinel: Sentinel): Promise<number> {
  const [, port] = (await sentinel.client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'group')) as string[];
  return Number(port);
}

t.test(
  'three sentinels, a Damselfly, a replica of either kind',
  { skip: hasProgram('redis-server') ? false : 'redis-server is not installed' },
  async (t) => {
    const directives = { 'repl-diskless-sync-delay': 0, 'repl-ping-replica-period': 1 };
    const servers = [
      await TestServer.start({ kind: 'damselfly', directives }),
      await TestServer.start({ kind: 'damselfly', directives }),
      await TestServer.start({ kind: 'redis', directives }),
    ];
    const [primary, one, two] = servers as [TestServer, TestServer, TestServer];
    await follow(one.client(), primary);
    await follow(two.client(), primary);
    await untilLinked(one.client());
    await untilLinked(two.client());
    const sentinels = await Promise.all([1, 2, 3].map(() => startSentinel(primary)));
    t.teardown(async () => {
      for (const sentinel of sentinels) sentinel.stop();
      await Promise.all(servers.map((server) => server.stop('SIGKILL')));
    });
    const [sentinel] = sentinels as [Sentinel];
    await until('the sentinels know the replicas and each other', async () => {
      const reply = (await sentinel.client.call('SENTINEL', 'MASTER', 'group')) as string[];
      const value = (name: string): string | undefined => reply[reply.indexOf(name) + 1];
      return value('num-slaves') === '2' && value('num-other-sentinels') === '2';
    });
    const promoted = async (before: number): Promise<TestServer> => {
      await until('another is the primary', async () => {
        const ports = await Promise.all(sentinels.map(primaryPort));
        return ports.every((port) => port === ports[0] && port !== before);
      });
      const port = await primaryPort(sentinel);
      return servers.find((server) => server.port === port)!;
    };
    await again(() => primary.client().set('k', '1'));
    await untilCaughtUp(primary, one);
    await untilCaughtUp(primary, two);
    // The Damselfly is to be preferred.
    await again(() => two.client().config('SET', 'replica-priority', '200'));
    await until('the sentinel knows it', async () => {
      const rows = (await sentinel.client.call('SENTINEL', 'REPLICAS', 'group')) as string[][];
      return rows.some((row) => row[row.indexOf('slave-priority') + 1] === '200');
    });
    t.equal(await sentinel.client.call('SENTINEL', 'FAILOVER', 'group'), 'OK');
    t.equal(await promoted(primary.port), one);
    t.equal(await again(() => one.client().set('k', '2')), 'OK');
    await until('the old primary follows', async () => {
      const fields = await again(() => info(primary.client()));
      return fields.get('role') === 'slave' && fields.get('master_port') === String(one.port);
    });
    await untilCaughtUp(one, primary);
    t.equal(await again(() => primary.client().get('k')), '2');
    await untilCaughtUp(one, two);
    // The redis-server takes over now, from a primary that is gone.
    await again(() => two.client().config('SET', 'replica-priority', '1'));
    await until('the sentinels know it', async () => {
      const known = await Promise.all(
        sentinels.map(async ({ client }) => {
          const rows = (await client.call('SENTINEL', 'REPLICAS', 'group')) as string[][];
          return rows.some((row) => row[row.indexOf('slave-priority') + 1] === '1');
        }),
      );
      return known.every(Boolean);
    });
    one.process.kill('SIGKILL');
    t.equal(await promoted(one.port), two);
    t.equal(await again(() => two.client().set('k', '3')), 'OK');
    await untilCaughtUp(two, primary);
    t.equal(await again(() => primary.client().get('k')), '3', 'a Damselfly follows the redis-server');
  },
);

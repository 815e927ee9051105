/** A process may not have all the descriptors that it would like, and may have none left for a while. */

import { spawnSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePort } from '../tools/free-port.js';
import type { RawClient } from '../tools/raw-client.js';
import { hasProgram, numberOf, type ServerOptions, TestServer } from '../tools/server.js';

const TRANSPORTS = ['io_uring', 'epoll', 'node'];

async function start(t: Test, options: ServerOptions): Promise<TestServer> {
  const server = await TestServer.start({ kind: 'damselfly', threads: 2, ...options });
  t.teardown(() => server.stop('SIGKILL'));
  return server;
}

/** Waits until a field of INFO has a value. */
async function until(client: RawClient, section: string, field: string, value: string): Promise<void> {
  while (!(await client.text('INFO', section)).includes(`\n${field}:${value}\r`)) await delay(10);
}

async function connectedClients(client: RawClient): Promise<number> {
  return numberOf(await client.text('INFO', 'clients'), 'connected_clients');
}

t.test('a limit that is too low is one line', async (t) => {
  const server = await TestServer.launch({ kind: 'damselfly', threads: 2, descriptorsMax: 60 });
  const { code } = await server.exited;
  t.equal(code, 1);
  t.match(
    server.stderr,
    /^damselfly: Your current 'ulimit -n' of 60 is not enough for the server to start\. Please increase your open file limit to at least \d+\. Exiting\.\n$/,
  );
  await server.stop();
});

for (const transport of TRANSPORTS) {
  t.test(
    `maxclients follows the limit, and the rest of the process has its share: ${transport}`,
    async (t) => {
      const server = await start(t, { descriptorsMax: 140, directives: { transport } });
      t.match(
        server.stdout,
        /# You requested maxclients of 10000 requiring at least \d+ max file descriptors\./,
      );
      t.match(server.stdout, /# Server can't set maximum open files to \d+ because of OS error: /);
      const reduced =
        /# Current maximum open files is 140\. maxclients has been reduced to (\d+) to compensate for low ulimit\./;
      const most = Number(reduced.exec(server.stdout)?.[1]);
      const client = await server.rawClient();
      t.equal(
        await client.text('CONFIG', 'GET', 'maxclients'),
        `*2\r\n$10\r\nmaxclients\r\n$2\r\n${most}\r\n`,
      );
      t.equal(
        await client.text('CONFIG', 'SET', 'maxclients', most + 1),
        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating system is not able to " +
          `handle the specified number of clients, try with ${most}\r\n`,
      );
      t.equal(await client.text('CONFIG', 'SET', 'maxclients', most - 1), '+OK\r\n');
      t.equal(await client.text('CONFIG', 'SET', 'maxclients', most), '+OK\r\n');
      // The connection that found the server started may still be counted.
      while ((await connectedClients(client)) > 1) await delay(5);
      const clients = [client];
      while (clients.length < most) clients.push(await server.rawClient());
      t.equal(await clients[most - 1].text('PING'), '+PONG\r\n');
      const refused = await server.rawClient();
      t.equal((await refused.read()).toString(), '-ERR max number of clients reached\r\n');

      t.equal(await client.text('SET', 'key', 'value'), '+OK\r\n');
      t.equal(await client.text('BGSAVE'), '+Background saving started\r\n');
      await until(client, 'persistence', 'rdb_bgsave_in_progress', '0');
      await until(client, 'persistence', 'rdb_last_bgsave_status', 'ok');
      t.equal(await client.text('CONFIG', 'SET', 'appendonly', 'yes'), '+OK\r\n');
      await until(client, 'persistence', 'aof_rewrite_in_progress', '0');
      await until(client, 'persistence', 'aof_last_bgrewrite_status', 'ok');
      t.equal(
        await client.text('MIGRATE', '127.0.0.1', await freePort(), 'key', 0, 5000),
        '-IOERR error or timeout writing to target instance\r\n',
      );
      t.equal(await client.text('SAVE'), '+OK\r\n');
      for (const each of clients) t.equal(await each.text('PING'), '+PONG\r\n');
      t.notMatch(server.output(), /EMFILE|Too many open files|BUG REPORT/i);
    },
  );
}

/** All descriptors of the process have higher numbers. */
const NO_MORE = 8;

function setLimit(server: TestServer, soft: number): void {
  spawnSync('prlimit', ['--pid', String(server.pid), `--nofile=${soft}:`]);
}

const skip = hasProgram('prlimit') ? false : 'prlimit is not installed';
for (const transport of TRANSPORTS) {
  t.test(`no descriptor at all is survived: ${transport}`, { skip }, async (t) => {
    // Workers that nobody needs have not been started: those that have, are there when they answer.
    const server = await start(t, { activeWorkers: 1, directives: { transport } });
    const client = await server.rawClient();
    t.equal(await client.text('SET', 'key', 'value'), '+OK\r\n');
    setLimit(server, NO_MORE);
    const unserved = await server.rawClient();
    unserved.send('PING');
    t.match(await client.text('INFO', 'everything'), /used_memory_rss:[1-9]/);
    t.match(await client.text('MEMORY', 'STATS'), /^\*/);
    t.equal(await client.text('SAVE'), '-ERR\r\n');
    t.equal(await client.text('BGSAVE'), '+Background saving started\r\n');
    t.match(await client.text('CONFIG', 'SET', 'port', await freePort()), /^-ERR/);
    t.match(await client.text('MIGRATE', '127.0.0.1', 1, 'key', 0, 5000), /^-IOERR/);
    await client.text('MULTI');
    await client.text('MIGRATE', '127.0.0.1', 1, 'key', 0, 5000);
    t.match(await client.text('EXEC'), /^\*1\r\n-IOERR/);
    t.match(server.stdout, /Can't start the persistence thread, trying again each second: .*EMFILE/);
    t.equal(await client.text('CONFIG', 'SET', 'appendonly', 'yes'), '+OK\r\n');
    t.equal(await client.text('GET', 'key'), '$5\r\nvalue\r\n');

    setLimit(server, 1024);
    t.equal((await unserved.read()).toString(), '+PONG\r\n', 'who came meanwhile is served');
    await until(client, 'persistence', 'aof_rewrites', '1');
    await until(client, 'persistence', 'aof_last_write_status', 'ok');
    t.equal(await client.text('SET', 'key', 'other'), '+OK\r\n');
    await client.text('DEBUG', 'LOADAOF');
    t.equal(await client.text('GET', 'key'), '$5\r\nother\r\n');
    t.notMatch(server.stderr, /BUG REPORT/);
  });
}

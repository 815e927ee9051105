/** What the log says; and a log that can't be written any more: the server goes on without it, and ends as it should. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

/** Has the threads of the server write to its log, then the main thread, which ends it. */
async function useAndEnd(t: Test, server: TestServer): Promise<void> {
  const client = await server.rawClient();
  t.equal(await client.text('SET', 'key', 'value'), '+OK\r\n');
  t.equal(await client.text('BGSAVE'), '+Background saving started\r\n');
  while (!(await client.text('INFO', 'persistence')).includes('rdb_bgsave_in_progress:0'));
  t.match(await client.text('INFO', 'persistence'), 'rdb_last_bgsave_status:ok');
  t.equal(await client.text('GET', 'key'), '$5\r\nvalue\r\n');
  t.same(await server.stop(), { code: 0, signal: null });
}

for (const threads of [1, 3]) {
  t.test(`nobody reads the output, ${threads} threads`, async (t) => {
    const server = await TestServer.start({ kind: 'damselfly', threads });
    server.process.stdout!.destroy();
    await useAndEnd(t, server);
  });

  t.test(`the directory of the log file has gone, ${threads} threads`, async (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-log-'));
    const logfile = path.join(directory, 'log');
    const server = await TestServer.start({ kind: 'damselfly', threads, directives: { logfile } });
    rmSync(directory, { recursive: true });
    await useAndEnd(t, server);
  });
}

/** The lines of a log without process and time. Redis has another form for its signal handler's. */
function messages(log: string): string[] {
  const lines = log.split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const plain = line.replace(/:signal-handler \(\d+\) /, ':M 01 Jan 2000 00:00:00.000 # ');
    const match = /^(\d+):[MC] \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d{3} ([.\-*#] .*)$/.exec(plain);
    return match === null ? `not a line of the log: ${line}` : match[2];
  });
}

t.test('the words, and the order, of Redis', { skip: skipWithoutRedis() }, async (t) => {
  /** What only one of the two has to say, or says at another time. */
  const own =
    /monotonic clock|WARNING Memory|Transport:|Fork CoW|Creating AOF|Successfully (created|renamed)|Removing the history|Opening AOF|SHUTDOWN was sent|DB loaded from incr|turned o[nf]|Calling fsync|no config file/;
  const logs: string[][] = [];
  for (const kind of ['redis', 'damselfly'] as const) {
    const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-log-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const logfile = path.join(directory, 'log');
    const configFile = path.join(directory, 'redis.conf');
    writeFileSync(configFile, `pidfile ${directory}/pid\nappendonly no\n`);
    const start = (appendonly: string): Promise<TestServer> =>
      TestServer.start({
        kind,
        threads: 2,
        configFile,
        directives: { logfile, dir: directory, save: ['900', '1'], appendonly },
      });
    const until = async (client: Redis, field: string): Promise<void> => {
      while (!(await client.info('persistence')).includes(`${field}\r\n`)) await delay(10);
    };
    const first = await start('no');
    const client = first.client();
    await client.set('key', 'value');
    await client.bgsave();
    await until(client, 'rdb_bgsave_in_progress:0');
    await client.save();
    await client.call('DEBUG', 'RELOAD');
    await client.call('CONFIG', 'REWRITE');
    await client.config('SET', 'appendonly', 'yes');
    await until(client, 'aof_rewrite_in_progress:0');
    await client.config('SET', 'appendonly', 'no');
    await client.call('SHUTDOWN').catch(() => {});
    await first.exited;
    if (kind === 'damselfly') {
      t.match(
        readFileSync(logfile, 'utf8'),
        /# SHUTDOWN was sent by id=\d+ addr=127\.0\.0\.1:\d+ .* user=default/,
      );
    }
    const second = await start('no');
    await second.client().set('key', 'other');
    second.process.kill('SIGTERM');
    await second.exited;
    const third = await start('yes');
    third.process.kill('SIGINT');
    await third.exited;
    logs.push(
      messages(readFileSync(logfile, 'utf8'))
        .filter((line) => !own.test(line))
        .map((line) =>
          line
            .replace(/\d+\.\d{3} seconds/, 'N seconds')
            .replace(/version[= ][\d.]+.*|RDB age \d+|created [\d.]+ Mb|started by pid \d+/, '')
            .replace(/port=\d+.*/, '')
            .replace(/Damselfly|Redis/g, 'Server'),
        ),
    );
    for (const server of [first, second, third]) await server.stop('SIGKILL');
  }
  const [theirs, ours] = logs;
  t.same(ours, theirs);
});

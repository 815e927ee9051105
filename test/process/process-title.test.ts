/** What ps shows of a server. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { Config } from '../../src/config/config.js';
import { formatTitle } from '../../src/process/process-title.js';
import { TestServer } from '../tools/server.js';

t.test('templates', async (t) => {
  for (const [directives, title] of [
    ['', 'damselfly *:6379'],
    ['bind 127.0.0.1 ::1\nport 7000', 'damselfly 127.0.0.1:7000'],
    ['port 0\nunixsocket /tmp/socket', 'damselfly /tmp/socket'],
    ['proc-title-template "{title}|{port}|{tls-port}|{unixsocket}|{server-mode}|"', 'damselfly|6379|0|||'],
    ['proc-title-template "  {listen-addr} {config-file} "', '*:6379'],
  ]) {
    const config = new Config();
    config.loadText(directives, 'redis.conf');
    t.equal(formatTitle(config), title, directives);
  }
});

const skip = process.platform !== 'linux' && 'needs /proc';
const titleOf = (server: TestServer): string =>
  readFileSync(`/proc/${server.pid}/cmdline`, 'latin1').replace(/\0+/g, ' ').trim();

t.test('a server', { skip }, async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 1 });
  t.teardown(() => server.stop('SIGKILL'));
  t.equal(titleOf(server), `damselfly 127.0.0.1:${server.port}`);
  t.equal(await server.client().config('SET', 'proc-title-template', 'my {port}'), 'OK');
  while (titleOf(server) !== `my ${server.port}`) await delay(10);
  await t.rejects(
    server.client().config('SET', 'proc-title-template', '{nosuch}'),
    /template format is invalid/,
  );
});

t.test('a server that leaves its title alone', { skip }, async (t) => {
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 1,
    directives: { 'set-proc-title': 'no' },
  });
  t.teardown(() => server.stop('SIGKILL'));
  t.match(titleOf(server), path.join('process', 'cli.js'));
});

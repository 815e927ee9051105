import { existsSync } from 'node:fs';
import t from 'tap';
import { skipWithoutRedis, TestServer } from './server.js';

t.test('a server is started, talked to and stopped', { skip: skipWithoutRedis() }, async (t) => {
  const server = await TestServer.start({ kind: 'redis', directives: { maxmemory: '100mb' } });
  const client = server.client();
  t.equal(await client.set('k', 'v'), 'OK');
  const raw = await server.rawClient();
  t.equal(await raw.text('GET', 'k'), '$1\r\nv\r\n');
  t.same(await client.config('GET', 'maxmemory'), ['maxmemory', '104857600']);
  t.ok(existsSync(server.directory));
  t.same(await server.stop(), { code: 0, signal: null });
  t.notOk(existsSync(server.directory));
});

t.test('a failed start shows why', { skip: skipWithoutRedis() }, async (t) => {
  await t.rejects(TestServer.start({ kind: 'redis', directives: { 'no-such-directive': '1' } }), {
    message: /ended during start \(1\)[\s\S]*no-such-directive/,
  });
});

import { networkInterfaces } from 'node:os';
import t from 'tap';
import { RawClient } from '../tools/raw-client.js';
import { skipWithoutRedis, TestServer, withServers } from '../tools/server.js';

const ownAddress = Object.values(networkInterfaces())
  .flat()
  .find((entry) => entry !== undefined && entry.family === 'IPv4' && !entry.internal)?.address;

const skip = ownAddress === undefined ? 'no address besides loopback' : skipWithoutRedis();
t.test('protected mode refuses other machines', { skip }, async (t) => {
  const replies: string[] = [];
  for (const kind of ['redis', 'damselfly'] as const) {
    const server = await TestServer.start({ kind, threads: 1, directives: { bind: '*' } });
    t.teardown(() => server.stop());
    const refused = await RawClient.connect({ host: ownAddress, port: server.port });
    replies.push((await refused.read()).toString());
    await refused.closed;
    const local = await server.rawClient();
    t.equal(await local.text('CONFIG', 'SET', 'requirepass', 'x'), '+OK\r\n');
    const withPassword = await RawClient.connect({ host: ownAddress, port: server.port });
    t.equal((await withPassword.command('AUTH', 'x')).toString(), '+OK\r\n');
    await withPassword.close();
    t.equal(await local.text('CONFIG', 'SET', 'requirepass', '', 'protected-mode', 'no'), '+OK\r\n');
    const open = await RawClient.connect({ host: ownAddress, port: server.port });
    t.equal((await open.command('PING')).toString(), '+PONG\r\n');
    await open.close();
  }
  t.equal(replies[1], replies[0]);
});

await withServers(t, 'idle connections are closed', { directives: { timeout: 1 } }, async (t, server) => {
  const client = await server.rawClient();
  t.equal(await client.text('PING'), '+PONG\r\n');
  await client.closed;
});

await withServers(t, 'output limits', {}, async (t, server) => {
  const client = await server.rawClient();
  t.equal(await client.text('SET', 'large', 'x'.repeat(60 << 20)), '+OK\r\n');
  t.equal(await client.text('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 20mb 0 0'), '+OK\r\n');
  const hard = await server.rawClient();
  hard.socket.pause();
  hard.send('GET', 'large');
  const closedWithout = async (reader: RawClient) => {
    for (;;) {
      const list = await client.text('CLIENT', 'LIST');
      if (!list.includes(`:${reader.socket.localPort} `)) return true;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  t.ok(await closedWithout(hard));
  await client.text('CONFIG', 'SET', 'client-output-buffer-limit', 'normal 0 1mb 1');
  const soft = await server.rawClient();
  soft.socket.pause();
  soft.send('GET', 'large');
  t.ok(await closedWithout(soft));
  await server.untilLogged(
    /( # Client id=\d+ addr=.* (?:scheduled to be closed ASAP|closed) for overcoming of output buffer limits\.\n[\s\S]*){2}/,
  );
  await hard.close();
  await soft.close();
});

await withServers(
  t,
  'query buffer limit',
  { directives: { 'client-query-buffer-limit': '1mb' } },
  async (t, server) => {
    const client = await server.rawClient();
    const { localPort } = client.socket;
    client.write(`*2\r\n$3\r\nGET\r\n$${4 << 20}\r\n${'x'.repeat(3 << 20)}`);
    await client.closed;
    const line = ` # Closing client that reached max query buffer length: id=\\d+ addr=\\S+:${localPort} `;
    await server.untilLogged(new RegExp(line));
    t.pass('closed, and the log says so');
  },
);

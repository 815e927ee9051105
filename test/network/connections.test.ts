/** Connections to a whole server: cut bytes, deep pipelines, slow readers, many clients, refused ones. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePort } from '../tools/free-port.js';
import { encodeCommand, RawClient } from '../tools/raw-client.js';
import { run, serverCommandLine, TestServer } from '../tools/server.js';

const start = async (t: Test, directives: Record<string, string | number> = {}, threads = 2) => {
  const server = await TestServer.start({ kind: 'damselfly', threads, directives });
  t.teardown(() => server.stop());
  return server;
};

const descriptors = (server: TestServer): number => readdirSync(`/proc/${server.pid}/fd`).length;

const until = async (condition: () => boolean | Promise<boolean>): Promise<boolean> => {
  for (let tries = 0; tries < 500; tries++) {
    if (await condition()) return true;
    await delay(20);
  }
  return false;
};

t.test('a pipeline cut at any byte', async (t) => {
  const server = await start(t);
  const commands = Buffer.concat([
    encodeCommand(['SET', 'key', 'some value']),
    Buffer.from('PING\r\n'),
    encodeCommand(['GET', 'key']),
  ]);
  const client = await server.rawClient();
  for (let cut = 1; cut < commands.length; cut++) {
    client.write(commands.subarray(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    client.write(commands.subarray(cut));
    const replies = await client.readMany(3);
    t.equal(Buffer.concat(replies).toString(), '+OK\r\n+PONG\r\n$10\r\nsome value\r\n', `cut at ${cut}`);
  }
});

t.test('a large value and a deep pipeline', async (t) => {
  const server = await start(t);
  const client = await server.rawClient();
  const value = Buffer.alloc(20 * 1024 * 1024, 'abcdefghijklmnopq');
  t.equal(await client.text('SET', 'large', value), '+OK\r\n');
  t.equal(await client.text('STRLEN', 'large'), `:${value.length}\r\n`);
  const got = await client.command('GET', 'large');
  t.ok(got.subarray(got.indexOf('\n') + 1, -2).equals(value));
  const count = 50_000;
  client.write(Buffer.concat(new Array(count).fill(encodeCommand(['INCR', 'counter']))));
  const replies = await client.readMany(count);
  t.equal(replies[count - 1].toString(), `:${count}\r\n`);
});

t.test('a slow reader holds back only itself and gets everything in order', async (t) => {
  const server = await start(t, {}, 1);
  const other = await server.rawClient();
  await other.command('SET', 'value', 'v'.repeat(10_000));
  const count = 3000;
  const slow = net.connect(server.port, '127.0.0.1').pause();
  await new Promise((resolve) => slow.once('connect', resolve));
  for (let index = 0; index < count; index++)
    slow.write(Buffer.concat([encodeCommand(['GET', 'value']), encodeCommand(['ECHO', `${index}`])]));
  t.ok(
    await until(async () => / omem=[1-9]/.test(await other.text('CLIENT', 'LIST')) || slow.bytesWritten > 0),
  );
  t.equal(await other.text('PING'), '+PONG\r\n');
  const expected = Array.from(
    { length: count },
    (_, index) => `$10000\r\n${'v'.repeat(10_000)}\r\n$${`${index}`.length}\r\n${index}\r\n`,
  ).join('');
  let received = '';
  slow.resume().on('data', (chunk) => {
    received += chunk.toString('latin1');
  });
  t.ok(await until(() => received.length >= expected.length));
  t.ok(received === expected);
  slow.destroy();
});

t.test('closed connections leave no descriptor behind', async (t) => {
  const server = await start(t, {}, 3);
  // All workers have answered: none of them opens anything more for its start.
  for (let index = 0; index < 6; index++) await (await server.rawClient()).command('PING');
  const before = descriptors(server);
  for (let round = 0; round < 3; round++) {
    const clients = await Promise.all(Array.from({ length: 300 }, () => server.rawClient()));
    const replies = await Promise.all(clients.map((client) => client.text('PING')));
    t.ok(replies.every((reply) => reply === '+PONG\r\n'));
    for (const [index, client] of clients.entries()) {
      // Some leave in the middle of a command.
      if (index % 3 === 0) client.write('*2\r\n$4\r\nECHO\r\n$100\r\nabc');
      void client.close();
    }
    t.ok(
      await until(() => descriptors(server) <= before),
      `round ${round}: ${descriptors(server)} of ${before}`,
    );
  }
});

t.test('maxclients', async (t) => {
  const server = await start(t, { maxclients: 3 });
  const first = await server.rawClient();
  // The connection that found the server started may still be counted.
  t.ok(await until(async () => /^[^\n]+\n[^\n]+\n\r\n$/.test(await first.text('CLIENT', 'LIST'))));
  const clients = [first, await server.rawClient(), await server.rawClient()];
  for (const client of clients) t.equal(await client.text('PING'), '+PONG\r\n');
  const refused = await RawClient.connect({ host: '127.0.0.1', port: server.port });
  t.equal((await refused.read()).toString(), '-ERR max number of clients reached\r\n');
});

const outside = Object.values(networkInterfaces())
  .flat()
  .find((address) => address !== undefined && address.family === 'IPv4' && !address.internal)?.address;

t.test('protected mode', { skip: outside === undefined && 'only a loopback interface' }, async (t) => {
  const server = await start(t, { bind: '*' });
  const host = outside as string;
  const refused = await RawClient.connect({ host, port: server.port });
  t.match((await refused.read()).toString(), /^-DENIED Redis is running in protected mode because /);
  const local = await server.rawClient();
  t.equal(await local.text('CONFIG', 'SET', 'protected-mode', 'no'), '+OK\r\n');
  const allowed = await RawClient.connect({ host, port: server.port });
  t.equal(await allowed.text('PING'), '+PONG\r\n');
  await allowed.close();
});

t.test('a pid file that can not be written does not prevent the start', async (t) => {
  const server = await TestServer.start({
    kind: 'damselfly',
    directives: { pidfile: '/nonexistent/damselfly.pid' },
  });
  t.teardown(() => server.stop());
  while (!server.stdout.includes('Failed to write the pid file: ENOENT')) await delay(10);
  t.equal(await (await server.rawClient()).text('PING'), '+PONG\r\n');
});

t.test('a port in use is one line on stderr', async (t) => {
  const server = await start(t);
  const again = run(serverCommandLine({ kind: 'damselfly' }, server.port, '/tmp'));
  t.equal(again.code, 1);
  t.match(again.stderr, /in use/i);
});

/** What the kernel's timer of the server's side of a connection is for: 2 is keepalive; and in how many seconds it ends. */
function timerOf(serverPort: number, clientPort: number): [kind: number, seconds: number] {
  const end = (port: number) => `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const line = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .find((text) => text.includes(`${end(serverPort)} ${end(clientPort)}`));
  const [kind, ticks] = line!.trim().split(/ +/)[5]!.split(':') as [string, string];
  return [Number.parseInt(kind, 16), Number.parseInt(ticks, 16) / 100];
}

t.test('connections have the options of tcp-keepalive', async (t) => {
  const server = await start(t, { 'tcp-keepalive': 60 });
  // Until the reply is acknowledged, there is another timer.
  const hasTimer = (isRight: (kind: number, seconds: number) => boolean): Promise<boolean> =>
    until(async () => {
      const client = await server.rawClient();
      await client.text('PING');
      await delay(50);
      const found = timerOf(server.port, client.socket.localPort!);
      await client.close();
      return isRight(...found);
    });
  t.ok(await hasTimer((kind, seconds) => kind === 2 && seconds > 0 && seconds <= 60));
  const admin = server.client();
  await admin.config('SET', 'tcp-keepalive', '3000');
  t.ok(await hasTimer((kind, seconds) => kind === 2 && seconds > 60));
  await admin.config('SET', 'tcp-keepalive', '0');
  t.ok(await hasTimer((kind) => kind === 0));
  const port = await freePort();
  await admin.config('SET', 'tcp-keepalive', '500');
  await admin.config('SET', 'port', String(port));
  const moved = await RawClient.connect({ port });
  await moved.text('PING');
  t.ok(await until(() => timerOf(port, moved.socket.localPort!)[1] > 60));
});

t.test('the socket of unixsocket goes with the server', async (t) => {
  // A short name: the path of a socket has a limit.
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-test-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const unixsocket = path.join(directory, 'socket');
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 1,
    port: 0,
    directives: { unixsocket },
  });
  t.teardown(() => server.stop('SIGKILL'));
  t.ok(existsSync(unixsocket));
  t.same(await server.stop(), { code: 0, signal: null });
  t.notOk(existsSync(unixsocket));
});

t.test('a server that would listen nowhere does not start', async (t) => {
  for (const [name, value] of [
    ['port', 0],
    ['bind', ''],
  ] as const) {
    const directives = { [name]: value };
    const server = await TestServer.launch({ kind: 'damselfly', threads: 1, directives });
    t.teardown(() => server.stop('SIGKILL'));
    t.same(await server.exited, { code: 1, signal: null });
    t.equal(server.stderr, 'damselfly: configured to not listen anywhere\n');
  }
});

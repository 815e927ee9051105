/** What all transports have to do alike: serve, listen, refuse, stop. */

import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { freePort } from '../tools/free-port.js';
import { encodeCommand, RawClient } from '../tools/raw-client.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

const start = async (t: Test, directives: Record<string, string | number | string[]>, threads = 2) => {
  const server = await TestServer.start({ kind: 'damselfly', threads, directives });
  t.teardown(() => server.stop('SIGKILL'));
  return server;
};

const SERVERS = [
  { kind: 'redis' },
  { kind: 'damselfly', transport: 'io_uring' },
  { kind: 'damselfly', transport: 'epoll' },
  { kind: 'damselfly', transport: 'node' },
] as const;

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(`${transport}: commands of several kinds`, async (t) => {
    const server = await start(t, { transport }, 3);
    t.match(
      server.stdout,
      transport === 'node' ? 'Transport: node:net (as configured)' : `Transport: ${transport}`,
    );
    const client = server.client();
    t.equal(await client.set('string', 'x'.repeat(300_000)), 'OK');
    t.equal((await client.get('string'))?.length, 300_000);
    t.equal(await client.rpush('list', 'a', 'b', 'c'), 3);
    t.same(await client.lrange('list', 0, -1), ['a', 'b', 'c']);
    t.equal(await client.sadd('set', 1, 2, 3), 3);
    t.equal(await client.zadd('sorted', 1, 'one', 2, 'two'), 2);
    t.same(await client.multi().incr('counter').get('counter').exec(), [
      [null, 1],
      [null, '1'],
    ]);
    t.match(await client.client('LIST'), /addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=\d+/);
    const other = await server.rawClient();
    t.equal(await other.text('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'), ':1\r\n');
    t.equal(await other.text('CLIENT', 'PAUSE', '50'), '+OK\r\n');
    t.equal(await other.text('GET', 'counter'), '$1\r\n1\r\n', 'after the pause');
  });

  t.test(`${transport}: IPv4, IPv6 and a unix socket`, async (t) => {
    const server = await start(t, { transport, bind: ['127.0.0.1', '-::1'], unixsocket: 'server.sock' });
    const path = `${server.directory}/server.sock`;
    t.ok(existsSync(path));
    const unix = await RawClient.connect({ path });
    t.equal(await unix.text('PING'), '+PONG\r\n');
    const six = await RawClient.connect({ host: '::1', port: server.port }).catch(() => null);
    if (six !== null) {
      t.match(await six.text('CLIENT', 'INFO'), /addr=\[::1\]:\d+ laddr=\[::1\]:\d+/);
      await six.close();
    }
    await unix.close();
  });

  t.test(`${transport}: maxclients holds under a burst, and can be changed`, async (t) => {
    const server = await start(t, { transport, maxclients: 20 }, 3);
    const clients = await Promise.all(
      Array.from({ length: 60 }, () => RawClient.connect({ host: '127.0.0.1', port: server.port })),
    );
    const replies = await Promise.all(
      clients.map((client) =>
        client
          .text('PING')
          .catch(() => '')
          .then((text) => text === '+PONG\r\n'),
      ),
    );
    const served = replies.filter((isServed) => isServed).length;
    t.ok(served >= 19 && served <= 20, `${served} served`);
    const first = clients[replies.indexOf(true)] as RawClient;
    t.match(await first.text('INFO', 'stats'), /rejected_connections:4[01]\r/);
    t.equal(await first.text('CONFIG', 'SET', 'maxclients', '100'), '+OK\r\n');
    await Promise.all(clients.map((client) => client.close()));
  });

  t.test(`${transport}: a signal ends it`, async (t) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const server = await start(t, { transport });
      await server.rawClient();
      t.same(await server.stop(signal), { code: 0, signal: null });
      t.notMatch(server.stderr, /BUG REPORT|bug/i);
    }
  });

  t.test(`${transport}: who never reads holds back only itself`, async (t) => {
    const server = await start(t, { transport, 'client-output-buffer-limit': 'normal 8mb 0 0' }, 1);
    const other = await server.rawClient();
    t.equal(await other.text('SET', 'large', 'x'.repeat(1 << 20)), '+OK\r\n');
    const slow = await server.rawClient();
    slow.socket.pause();
    for (let count = 0; count < 200; count++) slow.write(encodeCommand(['GET', 'large']));
    const suffix = `:${slow.socket.localPort} `;
    for (;;) {
      t.equal(await other.text('PING'), '+PONG\r\n');
      const list = await other.text('CLIENT', 'LIST');
      if (!list.includes(suffix)) break;
      const pending = Number(
        / omem=(\d+)/.exec(list.split('\n').find((line) => line.includes(suffix)) ?? '')?.[1],
      );
      if (pending > 10 << 20) t.fail(`${pending} bytes wait`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    t.pass('closed at the limit');
    await slow.close();
  });

  t.test(`${transport}: what comes while a client is paused is executed in order`, async (t) => {
    const server = await start(t, { transport }, 1);
    const other = await server.rawClient();
    t.equal(await other.text('CLIENT', 'PAUSE', '100000', 'WRITE'), '+OK\r\n');
    const client = await server.rawClient();
    const count = 3000;
    const padding = 'x'.repeat(300);
    const commands = Array.from({ length: count }, (_, index) =>
      encodeCommand(['RPUSH', 'list', `${index}:${padding}`]),
    );
    const replies = client.readMany(count);
    client.write(Buffer.concat(commands));
    t.equal(await other.text('LLEN', 'list'), ':0\r\n');
    t.equal(await other.text('CLIENT', 'UNPAUSE'), '+OK\r\n');
    const lengths = (await replies).map((reply) => reply.toString());
    t.same(
      lengths,
      Array.from({ length: count }, (_, index) => `:${index + 1}\r\n`),
    );
    const elements = await server.client().lrange('list', 0, -1);
    t.ok(elements.every((element, index) => element === `${index}:${padding}`));
  });

  t.test(`${transport}: more connections send at the same time than there are buffers`, async (t) => {
    const server = await start(t, { transport }, 1);
    const clients = await Promise.all(Array.from({ length: 150 }, () => server.rawClient()));
    const value = (index: number) => `${index}`.repeat(50_000);
    const replies = await Promise.all(
      clients.map((client, index) => client.text('SET', `key${index}`, value(index))),
    );
    t.ok(replies.every((reply) => reply === '+OK\r\n'));
    const values = await Promise.all(clients.map((client, index) => client.text('GET', `key${index}`)));
    values.forEach((text, index) => {
      if (text !== `$${value(index).length}\r\n${value(index)}\r\n`) t.fail(`key${index} differs`);
    });
  });

  t.test(`${transport}: connections that vanish leave nothing to those that come after them`, async (t) => {
    const server = await start(t, { transport }, 2);
    const steady = await server.rawClient();
    for (let round = 0; round < 20; round++) {
      const clients = await Promise.all(Array.from({ length: 20 }, () => server.rawClient()));
      clients.forEach((client, index) => {
        client.socket.on('error', () => {});
        for (let count = 0; count < 50; count++)
          client.write(encodeCommand(['ECHO', `${round} ${index} ${count}`]));
        // Half of them are gone before their replies can be.
        if (index % 2 === 0) client.socket.destroy();
      });
      await Promise.all(
        clients.map(async (client, index) => {
          if (index % 2 === 0) return;
          const replies = (await client.readMany(50)).map((reply) => reply.toString());
          const wanted = Array.from({ length: 50 }, (_, count) => `${round} ${index} ${count}`);
          t.same(
            replies,
            wanted.map((text) => `$${text.length}\r\n${text}\r\n`),
          );
          await client.close();
        }),
      );
      t.equal(await steady.text('ECHO', `${round}`), `$${`${round}`.length}\r\n${round}\r\n`);
    }
    while (!/connected_clients:1\r/.test(await steady.text('INFO', 'clients'))) await delay(5);
  });
}

t.test('without koffi node:net serves', async (t) => {
  const hook =
    "import m from 'node:module';const l=m._load;m._load=function(n,...r){if(n==='koffi')throw Error('gone');return l.call(this,n,...r)};";
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 2,
    nodeOptions: ['--import', `data:text/javascript,${encodeURIComponent(hook)}`],
  });
  t.teardown(() => server.stop('SIGKILL'));
  t.match(server.stdout, /Transport: node:net \(the koffi package does not load\)/);
  t.equal(await server.client().incr('key'), 1);
});

t.test('port and bind change while it runs', { skip: skipWithoutRedis() }, async (t) => {
  const outcomes: string[][] = [];
  for (const kind of ['redis', 'damselfly'] as const) {
    const server = await TestServer.start({ kind, threads: 2 });
    t.teardown(() => server.stop('SIGKILL'));
    const replies: string[] = [];
    const client = await server.rawClient();
    const elsewhere = await freePort();
    const reach = async (host: string, port: number) => {
      const probe = await RawClient.connect({ host, port }).catch(() => null);
      replies.push(probe === null ? 'refused' : await probe.text('PING'));
      await probe?.close();
    };
    replies.push(await client.text('CONFIG', 'SET', 'port', `${elsewhere}`));
    await reach('127.0.0.1', elsewhere);
    await reach('127.0.0.1', server.port);
    replies.push(await client.text('CONFIG', 'SET', 'bind', '127.0.0.2'));
    await reach('127.0.0.2', elsewhere);
    await reach('127.0.0.1', elsewhere);
    replies.push(await client.text('CONFIG', 'SET', 'bind', '203.0.113.7'));
    await reach('127.0.0.2', elsewhere);
    const taken = await TestServer.start({
      kind: 'damselfly',
      threads: 1,
      directives: { bind: ['127.0.0.1', '127.0.0.2'] },
    });
    replies.push(await client.text('CONFIG', 'SET', 'port', `${taken.port}`));
    await taken.stop('SIGKILL');
    await reach('127.0.0.2', elsewhere);
    replies.push(await client.text('CONFIG', 'SET', 'unixsocket', '/tmp/x'));
    outcomes.push(replies);
  }
  t.same(outcomes[1], outcomes[0]);
});

t.test('hostile bytes', { skip: skipWithoutRedis() }, async (t) => {
  const endings: string[] = [
    '*-1\r\n',
    '*2147483648\r\n',
    '*1\r\n$-1\r\n',
    '*1\r\n$999999999999\r\n',
    '*1\r\n$abc\r\n',
    '*1\r\n+PING\r\n',
    '*abc\r\n',
    '*1048577\r\n',
    `${'x'.repeat(70_000)}`,
    `*${'1'.repeat(70_000)}`,
    'GET "unbalanced\r\n',
    '\0\x01\xff\r\n',
    '*1\r\n$4\r\nPINGxx',
    '*2\r\n$4\r\nECHO\r\n$3\r\nab',
    '*9223372036854775808\r\n',
    '*1\r\n$536870913\r\n',
    '*0\r\nPING\r\n',
  ];
  let seed = 12_345;
  for (let index = 0; index < 30; index++) {
    let text = '';
    for (let length = 0; length < 40; length++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      text += '*$+-:012345\r\n\0"\'abPING \xff'[(seed >>> 16) % 25];
    }
    endings.push(text);
  }
  const outcomes: string[][] = [];
  for (const options of SERVERS) {
    const directives: Record<string, string> = {};
    if ('transport' in options) directives.transport = options.transport;
    const server = await TestServer.start({ kind: options.kind, threads: 2, directives });
    t.teardown(() => server.stop('SIGKILL'));
    const replies: string[] = [];
    for (const bytes of endings) {
      const client = await server.rawClient();
      let got = '';
      client.socket.on('data', (chunk) => {
        got += chunk.toString('latin1');
      });
      const ended = new Promise((resolve) => client.socket.once('close', resolve));
      client.socket.on('error', () => {});
      client.write(Buffer.from(`PING\r\n${bytes}`, 'latin1'));
      client.socket.end();
      await ended;
      replies.push(got);
    }
    t.equal(await (await server.rawClient()).text('PING'), '+PONG\r\n', 'it survives');
    outcomes.push(replies);
  }
  endings.forEach((bytes, index) => {
    const name = JSON.stringify(bytes.slice(0, 60));
    SERVERS.forEach((options, number) => {
      if ('transport' in options)
        t.equal(outcomes[number][index], outcomes[0][index], `${options.transport}: ${name}`);
    });
  });
});

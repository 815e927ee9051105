/** TLS: what clients and operators see, on all transports. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import t, { type Test } from 'tap';
import { cpuSeconds } from '../../bench/process-cost.js';
import { until } from '../replication/pairs.js';
import { Authority, skipWithoutOpenSsl } from '../tools/certificates.js';
import { freePort } from '../tools/free-port.js';
import { Random } from '../tools/random.js';
import { RawClient } from '../tools/raw-client.js';
import { hasProgram, infoNumber, type ServerOptions, skipWithoutRedis, TestServer } from '../tools/server.js';
import { TlsClient } from '../tools/tls-client.js';

const { DAMSELFLY_TEST_TRANSPORT: onlyTransport } = process.env;
const TRANSPORTS = ['io_uring', 'epoll', 'node'].filter((name) => (onlyTransport ?? name) === name);
const runFile = promisify(execFile);

if (skipWithoutOpenSsl()) {
  t.pass('the openssl command is not installed');
  process.exit(0);
}
const authority = new Authority();
const identity = authority.sign('server');
const client = authority.sign('client');
const withCertificate = authority.clientOptions(client);

interface TlsServer {
  readonly server: TestServer;
  readonly tlsPort: number;
  connect(): Promise<TlsClient>;
}

async function start(
  t: Test,
  directives: ServerOptions['directives'] = {},
  options: ServerOptions = {},
): Promise<TlsServer> {
  const tlsPort = await freePort();
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 2,
    ...options,
    directives: { ...authority.directives(identity, tlsPort), ...directives },
  });
  t.teardown(() => server.stop('SIGKILL'));
  return { server, tlsPort, connect: () => TlsClient.connect(tlsPort, withCertificate) };
}

for (const transport of TRANSPORTS) {
  let started: Promise<TlsServer> | null = null;
  /** One server for all tests that leave it as it was. */
  const shared = (): Promise<TlsServer> => {
    // Over node:tls, workers have sessions and certificates of their own.
    const threads = transport === 'node' ? 1 : 2;
    started ??= start(t, { transport }, { threads });
    return started;
  };

  t.test(`${transport}: commands, and what is told of the connection`, async (t) => {
    const { server, tlsPort, connect } = await shared();
    const one = await connect();
    t.equal(await one.command('SET', 'key', 'value'), '+OK\r\n');
    t.equal(await one.command('GET', 'key'), '$5\r\nvalue\r\n');
    t.match(await one.command('CLIENT', 'INFO'), new RegExp(` laddr=127.0.0.1:${tlsPort} .* tls=TLSv1.3\n`));
    const plain = server.client();
    t.equal(await plain.get('key'), 'value');
    t.notMatch(await plain.client('INFO'), /tls=/);
    const info = await plain.info();
    t.match(info, `name=tcp,bind=127.0.0.1,port=${server.port}`);
    t.match(info, `name=tls,bind=127.0.0.1,port=${tlsPort}`);
    t.ok((await infoNumber(plain, 'stats', 'tls_handshakes')) > 0);
    t.equal(await infoNumber(plain, 'clients', 'clients_in_tls_handshake'), 0);
    const old = await TlsClient.connect(tlsPort, { ...withCertificate, maxVersion: 'TLSv1.2' });
    t.match(await old.command('CLIENT', 'INFO'), / tls=TLSv1.2\n/);
    one.destroy();
    old.destroy();
  });

  t.test(`${transport}: values of all sizes, records and packets cut anywhere`, async (t) => {
    const { tlsPort } = await shared();
    const seed = Date.now();
    t.comment(`seed ${seed}`);
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const random = new Random(seed);
      const splitter = await TlsClient.connect(tlsPort, { ...withCertificate, maxVersion }, random);
      const values = [0, 1, 100, 16_383, 16_384, 16_385, 65_536, 300_000].map((size) =>
        Buffer.alloc(size, `${size}.`),
      );
      for (let round = 0; round < 2; round++) {
        const order = values.map((_, index) => index).sort(() => random.below(3) - 1);
        splitter.send(
          ...order.flatMap((index) => [
            ['SET', `k${index}`, values[index]!],
            ['GET', `k${index}`],
          ]),
        );
        for (const index of order) {
          const ok = await splitter.reply();
          const value = await splitter.reply();
          const { length } = values[index]!;
          if (ok?.toString() !== '+OK\r\n' || !value?.subarray(-length - 2, -2).equals(values[index]!)) {
            t.fail(`value of ${length} bytes, ${maxVersion}`);
          }
        }
      }
      t.equal(await splitter.command('PING'), '+PONG\r\n');
      splitter.destroy();
    }
  });

  t.test(`${transport}: a client that reads late gets everything`, async (t) => {
    const { server, connect } = await shared();
    const value = Buffer.alloc(2_000_000, '0123456789abcdef');
    await server.client().set('large', value);
    const reader = await connect();
    reader.socket.pause();
    reader.send(...Array.from({ length: 8 }, () => ['GET', 'large']), ['PING']);
    const watcher = server.client();
    while (!/ omem=[1-9]/.test((await watcher.client('LIST')) as string)) {}
    reader.socket.resume();
    for (let index = 0; index < 8; index++) {
      const reply = await reader.reply();
      if (!reply?.subarray(-value.length - 2, -2).equals(value)) t.fail(`reply ${index}`);
    }
    t.equal((await reader.reply())?.toString(), '+PONG\r\n');
    reader.destroy();
  });

  t.test(`${transport}: messages, transactions, waiting, and limits`, async (t) => {
    const { server, connect } = await start(t, { transport, appendonly: 'yes', appendfsync: 'always' });
    const subscriber = await connect();
    t.match(await subscriber.command('SUBSCRIBE', 'news'), /subscribe/);
    const publisher = await connect();
    const texts = Array.from({ length: 200 }, (_, index) => 'x'.repeat(index * 37));
    publisher.send(...texts.map((text) => ['PUBLISH', 'news', text]));
    for (const text of texts) {
      const message = (await subscriber.reply())?.toString();
      if (message !== `*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$${text.length}\r\n${text}\r\n`)
        t.fail(String(message));
      await publisher.reply();
    }
    const waiting = await connect();
    waiting.send(['BLPOP', 'list', '0']);
    publisher.send(['MULTI'], ['RPUSH', 'list', 'a'], ['EXEC'], ['QUIT']);
    t.equal((await waiting.reply())?.toString(), '*2\r\n$4\r\nlist\r\n$1\r\na\r\n');
    for (const expected of ['+OK\r\n', '+QUEUED\r\n', '*1\r\n:1\r\n', '+OK\r\n']) {
      t.equal((await publisher.reply())?.toString(), expected);
    }
    await publisher.untilClosed();
    const admin = server.client();
    await admin.config('SET', 'client-output-buffer-limit', 'normal 1000000 0 0');
    await admin.set('large', 'x'.repeat(3_000_000));
    const greedy = await connect();
    greedy.send(['GET', 'large']);
    t.equal(await greedy.reply(), null, 'closed without a part of it');
    for (const open of [subscriber, waiting]) open.destroy();
  });

  t.test(`${transport}: who has to show a certificate`, async (t) => {
    const { server, tlsPort } = await shared();
    const anonymous = authority.clientOptions(null);
    const stranger = new Authority().sign('stranger');
    const answers = async (options: typeof anonymous): Promise<boolean> => {
      const connected = await TlsClient.connect(tlsPort, options).catch(() => null);
      const answer = (await connected?.command('PING')) ?? '';
      connected?.destroy();
      return answer === '+PONG\r\n';
    };
    const unknown = new Authority().clientOptions(stranger);
    const strange = { ...unknown, ca: anonymous.ca! };
    t.equal(await answers(withCertificate), true);
    t.equal(await answers(anonymous), false);
    t.equal(await answers(strange), false);
    await server.untilLogged('peer did not return a certificate');
    await server.untilLogged('certificate verify failed');
    await server.client().config('SET', 'tls-auth-clients', 'optional');
    t.equal(await answers(withCertificate), true);
    t.equal(await answers(anonymous), true);
    t.equal(await answers(strange), false);
    await server.client().config('SET', 'tls-auth-clients', 'no');
    t.equal(await answers(anonymous), true);
    t.equal(await infoNumber(server.client(), 'stats', 'tls_failed_handshakes'), 3);
    await server.client().config('SET', 'tls-auth-clients', 'yes');
  });

  t.test(`${transport}: a certificate may name a user`, async (t) => {
    const { server, tlsPort, connect } = await shared();
    const admin = server.client();
    await admin.call('ACL', 'SETUSER', 'client', 'on', '>secret', '+@all', '~mine:*');
    const whoami = async (options = withCertificate): Promise<string> => {
      const connected = await TlsClient.connect(tlsPort, options);
      const reply = await connected.command('ACL', 'WHOAMI');
      connected.destroy();
      return reply;
    };
    const user = '$6\r\nclient\r\n';
    const nobody = '$7\r\ndefault\r\n';
    t.equal(await whoami(), nobody, 'off');
    await admin.config('SET', 'tls-auth-clients-user', 'CN');
    t.equal(await whoami(), user);
    t.equal(await whoami({ ...withCertificate, maxVersion: 'TLSv1.2' }), user);
    const named = await connect();
    t.equal(await named.command('SET', 'mine:1', 'v'), '+OK\r\n');
    t.match(await named.command('SET', 'other', 'v'), /^-NOPERM/);
    t.match(await named.command('CLIENT', 'INFO'), / user=client /);
    named.destroy();
    t.equal(await whoami(authority.clientOptions(identity)), nobody, 'no such user');
    await admin.call('ACL', 'SETUSER', 'client', 'off');
    t.equal(await whoami(), nobody, 'who is off');
    await admin.config('SET', 'tls-auth-clients', 'optional');
    t.equal(await whoami(authority.clientOptions(null)), nobody, 'no certificate');
    await admin.config('SET', 'tls-auth-clients', 'yes', 'tls-auth-clients-user', 'off');
    await admin.call('ACL', 'DELUSER', 'client');
  });

  t.test(`${transport}: sessions are resumed`, async (t) => {
    const { server, tlsPort } = await shared();
    const first = await TlsClient.connect(tlsPort, { ...withCertificate, maxVersion: 'TLSv1.2' });
    const session = first.socket.getSession()!;
    t.equal(await first.command('PING'), '+PONG\r\n');
    const second = await TlsClient.connect(tlsPort, { ...withCertificate, maxVersion: 'TLSv1.2', session });
    t.equal(await second.command('PING'), '+PONG\r\n');
    t.equal(second.socket.isSessionReused(), true);
    t.ok((await infoNumber(server.client(), 'stats', 'tls_resumed_sessions')) > 0);
    for (const open of [first, second]) open.destroy();
  });

  t.test(`${transport}: new certificates are for new connections, broken ones for none`, async (t) => {
    const { server, tlsPort, connect } = await shared();
    const admin = server.client();
    const before = await connect();
    const next = authority.sign('next', { type: 'rsa', password: 'secret' });
    const shown = async (): Promise<string> => {
      const connected = await connect();
      const { CN } = connected.socket.getPeerCertificate().subject;
      connected.destroy();
      return String(CN);
    };
    t.equal(await shown(), 'server');
    const refused = /related to argument 'tls-.*'\) - Unable to update TLS configuration. Check server logs./;
    for (const [name, value] of [
      ['tls-cert-file', '/no/such/file'],
      ['tls-cert-file', next.cert],
      ['tls-key-file', next.key],
      ['tls-ca-cert-file', ''],
      ['tls-protocols', 'SSLv2'],
      ['tls-ciphers', 'none-of-these'],
      ['tls-dh-params-file', '/no/such/file'],
    ] as const) {
      await t.rejects(admin.config('SET', name, value), { message: refused }, `${name} ${value}`);
    }
    t.equal(((await admin.config('GET', 'tls-cert-file')) as string[])[1], identity.cert);
    t.equal(await shown(), 'server');
    await admin.call(
      ...['CONFIG', 'SET', 'tls-cert-file', next.cert, 'tls-key-file', next.key],
      ...['tls-key-file-pass', 'secret'],
    );
    t.equal(await shown(), 'next');
    t.equal(await before.command('PING'), '+PONG\r\n');
    // The same name, another file.
    const third = authority.sign('third');
    await admin.config('SET', 'tls-key-file-pass', 'secret');
    copyFileSync(third.cert, next.cert);
    copyFileSync(third.key, next.key);
    t.equal(await shown(), 'next');
    await admin.call('CONFIG', 'SET', 'tls-cert-file', next.cert);
    t.equal(await shown(), 'third');
    await admin.config('SET', 'tls-protocols', 'TLSv1.2');
    const restricted = await connect();
    t.equal(restricted.socket.getProtocol(), 'TLSv1.2');
    t.equal(await before.command('PING'), '+PONG\r\n');
    await t.rejects(TlsClient.connect(tlsPort, { ...withCertificate, minVersion: 'TLSv1.3' }));
    for (const open of [before, restricted]) open.destroy();
  });
}

for (const transport of TRANSPORTS.filter((name) => name !== 'node')) {
  t.test(`${transport}: tls-port moves, comes and goes`, async (t) => {
    const { server, tlsPort } = await start(t, { transport });
    const admin = server.client();
    const before = await TlsClient.connect(tlsPort, withCertificate);
    const other = await freePort();
    await admin.config('SET', 'tls-port', String(other));
    await t.rejects(TlsClient.connect(tlsPort, withCertificate));
    const after = await TlsClient.connect(other, withCertificate);
    t.equal(await after.command('PING'), '+PONG\r\n');
    t.equal(await before.command('PING'), '+PONG\r\n');
    await t.rejects(admin.config('SET', 'tls-port', String(server.port)), {
      message:
        "ERR CONFIG SET failed (possibly related to argument 'tls-port') - Unable to listen on this port. Check server logs.",
    });
    await admin.config('SET', 'tls-port', '0');
    await t.rejects(TlsClient.connect(other, withCertificate));
    await admin.config('SET', 'tls-port', String(other));
    await admin.config('SET', 'port', '0');
    const only = await TlsClient.connect(other, withCertificate);
    t.match(await only.command('INFO', 'server'), `tcp_port:${other}\r\n`);
    for (const open of [before, after, only]) open.destroy();
  });

  t.test(`${transport}: clients that say nothing after their handshake, or have gone`, async (t) => {
    const { server, connect } = await start(t, { transport });
    const admin = server.client();
    const silent = await connect();
    const address = `127.0.0.1:${silent.raw.localPort}`;
    await until('it is a client', async () =>
      String(await admin.client('LIST')).includes(` addr=${address} `),
    );
    t.equal(await silent.command('PING'), '+PONG\r\n');
    silent.destroy();
    await Promise.all(Array.from({ length: 20 }, async () => (await connect()).raw.destroy()));
    const hasty = await connect();
    hasty.send(['SET', 'hasty', transport]);
    hasty.socket.end();
    await until('it is set', async () => (await admin.get('hasty')) === transport);
    await until('all have gone', async () => (await infoNumber(admin, 'clients', 'connected_clients')) === 1);
    t.equal(await infoNumber(admin, 'clients', 'clients_in_tls_handshake'), 0);
  });

  t.test(`${transport}: a server that was started without TLS gets it`, async (t) => {
    const tlsPort = await freePort();
    const server = await TestServer.start({ kind: 'damselfly', threads: 2, directives: { transport } });
    t.teardown(() => server.stop('SIGKILL'));
    const admin = server.client();
    await t.rejects(admin.config('SET', 'tls-port', String(tlsPort)), {
      message: /Unable to update TLS configuration/,
    });
    await server.untilLogged('No tls-cert-file configured!');
    const pairs = Object.entries(authority.directives(identity, tlsPort)).flat().map(String);
    t.equal(await admin.call('CONFIG', 'SET', ...pairs), 'OK');
    const connected = await TlsClient.connect(tlsPort, withCertificate);
    t.equal(await connected.command('PING'), '+PONG\r\n');
    connected.destroy();
  });

  t.test(`${transport}: connections move with their TLS`, async (t) => {
    const { server, tlsPort } = await start(t, { transport }, { threads: 3, activeWorkers: 3 });
    const admin = server.client();
    const clients = await Promise.all(
      Array.from({ length: 12 }, () => TlsClient.connect(tlsPort, withCertificate)),
    );
    const splitters = await Promise.all(
      Array.from({ length: 4 }, (_, seed) => TlsClient.connect(tlsPort, withCertificate, new Random(seed))),
    );
    let isOver = false;
    const value = 'v'.repeat(20_000);
    const work = [...clients, ...splitters].map(async (connected, index) => {
      for (let count = 1; !isOver; count++) {
        if ((await connected.command('INCR', `counter ${index}`)) !== `:${count}\r\n`)
          throw new Error('lost');
        const echoed = await connected.command('ECHO', value);
        if (echoed !== `$20000\r\n${value}\r\n`) throw new Error('damaged');
      }
    });
    for (let change = 0; (await infoNumber(admin, 'stats', 'moved_connections')) < 60; change++) {
      await admin.config('SET', 'active-workers', String(1 + (change % 3)));
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    isOver = true;
    await Promise.all(work);
    t.pass();
    for (const open of [...clients, ...splitters]) open.destroy();
  });
}

t.test('clients of others: ioredis, node-redis, redis-cli, redis-benchmark', async (t) => {
  const { tlsPort } = await start(t);
  const io = new Redis({ port: tlsPort, tls: withCertificate });
  t.equal(await io.set('a', 'b'), 'OK');
  t.same(await io.pipeline().get('a').incr('n').exec(), [
    [null, 'b'],
    [null, 1],
  ]);
  io.disconnect();
  const { ca, cert, key } = withCertificate;
  const checkServerIdentity = () => undefined;
  const node = createClient({
    socket: { host: '127.0.0.1', port: tlsPort, tls: true, ca, cert, key, checkServerIdentity } as never,
  });
  await node.connect();
  t.equal(await node.get('a'), 'b');
  await node.close();
  const options = ['--tls', '--cacert', authority.ca.cert, '--cert', client.cert, '--key', client.key];
  if (hasProgram('redis-cli')) {
    const { stdout } = await runFile('redis-cli', ['-p', String(tlsPort), ...options, 'GET', 'a']);
    t.equal(stdout, 'b\n');
  }
  if (hasProgram('redis-benchmark')) {
    const load = ['-t', 'set,get', '-n', '5000', '-P', '16', '-q'];
    const { stdout } = await runFile('redis-benchmark', ['-p', String(tlsPort), ...options, ...load]);
    t.match(stdout, /GET: [\d.]+ requests per second/);
  }
});

t.test('new keys during a connection, asked for by the client', async (t) => {
  const { server, tlsPort } = await start(t);
  const files = ['-CAfile', authority.ca.cert, '-cert', client.cert, '-key', client.key];
  const s = spawn('openssl', ['s_client', '-connect', `127.0.0.1:${tlsPort}`, '-tls1_3', ...files]);
  let output = '';
  s.stdout.on('data', (data) => {
    output += data;
  });
  s.stderr.on('data', (data) => {
    output += data;
  });
  const until = async (pattern: RegExp): Promise<void> => {
    while (!pattern.test(output)) await once(s.stdout, 'data');
  };
  s.stdin.write('PING\n');
  await until(/\+PONG/);
  const idBefore = (await server.client().client('LIST')) as string;
  for (let update = 0; update < 3; update++) {
    s.stdin.write('K\n');
    await new Promise((resolve) => setTimeout(resolve, 100));
    s.stdin.write(`ECHO update${update}\n`);
    await until(new RegExp(`update${update}`));
  }
  t.match(output, /KEYUPDATE/);
  t.match(idBefore, /tls=TLSv1.3/);
  s.kill();
});

t.test('MIGRATE over TLS', { skip: skipWithoutRedis() }, async (t) => {
  const { server } = await start(t, { 'tls-cluster': 'yes' });
  const targetPort = await freePort();
  const target = await TestServer.start({
    kind: 'redis',
    directives: authority.directives(identity, targetPort),
  });
  t.teardown(() => target.stop('SIGKILL'));
  const source = server.client();
  await source.set('key', 'value');
  t.equal(await source.call('MIGRATE', '127.0.0.1', targetPort, 'key', '0', '5000'), 'OK');
  t.equal(await target.client().get('key'), 'value');
  await source.set('key', 'again');
  await t.rejects(source.call('MIGRATE', '127.0.0.1', target.port, 'key', '0', '500'), { message: /^IOERR/ });
  t.equal(await source.get('key'), 'again');
  await source.config('SET', 'tls-cluster', 'no');
  t.equal(await source.call('MIGRATE', '127.0.0.1', target.port, 'key', '0', '5000', 'REPLACE'), 'OK');
});

t.test('a replica of a primary with TLS', { skip: skipWithoutRedis() }, async (t) => {
  const primaryPort = await freePort();
  const primary = await TestServer.start({
    kind: 'redis',
    directives: { ...authority.directives(identity, primaryPort), 'repl-diskless-sync-delay': 0 },
  });
  t.teardown(() => primary.stop('SIGKILL'));
  const { server } = await start(t, { 'tls-replication': 'yes' });
  const client = server.client();
  await primary.client().set('before', '1');
  await client.replicaof('127.0.0.1', primaryPort);
  const isUp = async () => (await client.info('replication')).includes('master_link_status:up');
  while (!(await isUp())) await delay(10);
  t.equal(await client.get('before'), '1');
  await primary.client().set('after', '2');
  while ((await client.get('after')) !== '2') await delay(10);
  // A primary without TLS is not spoken to without it.
  await client.config('SET', 'repl-timeout', '1');
  await client.replicaof('127.0.0.1', primary.port);
  await server.untilLogged('Timeout connecting to the MASTER');
  t.notOk(await isUp());
});

for (const transport of TRANSPORTS.filter((name) => name !== 'node')) {
  t.test(`${transport}: replicas over TLS that end in all ways`, async (t) => {
    const { server, tlsPort } = await start(t, { transport, 'repl-diskless-sync-delay': 0 });
    const admin = server.client();
    const random = new Random(1);
    const replicas = () => infoNumber(admin, 'replication', 'connected_slaves');
    const ends: readonly ((replica: TlsClient) => void)[] = [
      (replica) => replica.socket.end(),
      (replica) => replica.raw.destroy(),
      (replica) => replica.raw.write('no record at all'),
      (replica) => replica.raw.write(Buffer.from('17030300050102030405', 'hex')),
      () => admin.call('CLIENT', 'KILL', 'TYPE', 'replica'),
    ];
    for (const end of ends) {
      for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
        const replica = await TlsClient.connect(tlsPort, { ...withCertificate, maxVersion }, random);
        const answered = new Promise<void>((resolve) => {
          replica.socket.on('data', (data: Buffer) => {
            if (data.includes('+FULLRESYNC ')) resolve();
          });
        });
        // What follows comes in pieces, while the connection goes to another thread.
        replica.send(['PSYNC', '?', '-1'], ...Array.from({ length: 50 }, () => ['REPLCONF', 'ACK', '0']));
        await answered;
        t.equal(await replicas(), 1);
        const closed = once(replica.raw, 'close');
        end(replica);
        await closed;
        replica.destroy();
        while ((await replicas()) > 0) await delay(1);
      }
    }
    t.equal(await admin.ping(), 'PONG');
  });
}

t.test('what is wrong ends the start', async (t) => {
  const wrong = async (directives: Record<string, string | number>, text: string): Promise<void> => {
    const server = await TestServer.launch({
      kind: 'damselfly',
      threads: 1,
      directives: { ...authority.directives(identity, await freePort()), ...directives },
    });
    const { code } = await server.exited;
    t.equal(code, 1);
    t.match(server.output(), text);
    t.match(server.output(), 'Failed to configure TLS. Check logs for more info.');
    await server.stop();
  };
  await wrong({ 'tls-cert-file': '' }, 'No tls-cert-file configured!');
  await wrong({ 'tls-key-file': authority.sign('other').key }, 'key values mismatch');
  await wrong({ 'tls-ca-cert-file': '' }, 'Either tls-ca-cert-file or tls-ca-cert-dir must be specified');
  await wrong(
    { 'tls-ca-cert-file': path.join(authority.directory, 'none') },
    'Failed to configure CA certificate(s)',
  );
});

t.test('a client that speaks TLS to the port without it is closed', async (t) => {
  const { server } = await start(t);
  for (let count = 0; count < 3; count++) await t.rejects(TlsClient.connect(server.port, withCertificate));
  await server.untilLogged('Protocol error (TLS handshake on a port without TLS) from client: id=');
  const plain = await RawClient.connect({ port: server.port });
  t.equal(await plain.text('PING'), '+PONG\r\n');
  await plain.close();
});

/** What a client says first. */
async function clientHello(): Promise<Buffer> {
  const said: Buffer[] = [];
  const wire = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      said.push(chunk);
      done();
    },
  });
  const socket = tls.connect({ socket: wire });
  while (said.length === 0) await delay(1);
  socket.on('error', () => {}).destroy();
  return Buffer.concat(said);
}

t.test('clients that have given up are passed over', async (t) => {
  const CLIENTS = 300;
  const rsa = new Authority('rsa');
  const tlsPort = await freePort();
  const { server } = await start(t, {
    ...rsa.directives(rsa.sign('server', { type: 'rsa' }), tlsPort),
    'tls-auth-clients': 'no',
  });
  const hello = await clientHello();
  const speak = async (gaveUp: boolean): Promise<number> => {
    const sockets = Array.from({ length: CLIENTS }, () => net.connect(tlsPort, '127.0.0.1'));
    await Promise.all(
      sockets.map((socket) =>
        once(
          socket.on('error', () => {}),
          'connect',
        ),
      ),
    );
    const before = cpuSeconds(server.pid);
    const answered = sockets.map((socket) => once(socket, gaveUp ? 'close' : 'data'));
    // As in a queue: the server comes to it when all of them have spoken, and have gone.
    process.kill(server.pid, 'SIGSTOP');
    for (const socket of sockets) {
      socket.write(hello);
      if (gaveUp) socket.destroy();
    }
    await delay(100);
    process.kill(server.pid, 'SIGCONT');
    await Promise.all(answered);
    for (const socket of sockets) socket.destroy();
    // Behind all of them: when it is served, they have been.
    (await TlsClient.connect(tlsPort, { rejectUnauthorized: false })).socket.destroy();
    return cpuSeconds(server.pid) - before;
  };
  // Code that runs for the first time costs more than what is measured.
  await speak(true);
  await speak(false);
  const [served, passedOver] = [await speak(false), await speak(true)];
  t.ok(passedOver < served / 2, `${passedOver} s of a processor, ${served} s if they wait for the answer`);
});

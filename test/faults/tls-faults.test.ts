/**
 * Clients that break TLS: half of a handshake, nothing at all, no TLS, records that are no records, ends in the midst of one.
 * Each is closed, with a line in the log, and leaves nothing behind.
 *
 * DAMSELFLY_TEST_TLS_FAULTS sets how many of them there are for each transport.
 */

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import t from 'tap';
import { Authority, skipWithoutOpenSsl } from '../tools/certificates.js';
import { freePort } from '../tools/free-port.js';
import { Random } from '../tools/random.js';
import { infoNumber, TestServer } from '../tools/server.js';
import { TlsClient } from '../tools/tls-client.js';

const FAULTS = Number(process.env.DAMSELFLY_TEST_TLS_FAULTS ?? 150);
const AT_ONCE = 8;
/** What the process may grow by, once it has met the first faults: the allocators' own. */
const GROWTH_BYTES_MAX = 48 * 1024 * 1024;

if (skipWithoutOpenSsl()) {
  t.pass('the openssl command is not installed');
  process.exit(0);
}
const authority = new Authority();
const identity = authority.sign('server');
const options = authority.clientOptions(authority.sign('client'));

async function rawSocket(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.resume();
  return socket;
}

/** What a client of TLS says first. */
function clientHello(): Promise<Buffer> {
  return new Promise((resolve) => {
    const write = (data: Buffer, _encoding: unknown, done: () => void): void => {
      resolve(data);
      done();
    };
    tls.connect({ ...options, socket: new Duplex({ read: () => {}, write }) }).on('error', () => {});
  });
}

/** Settles once a socket is closed, in whatever way. */
function untilClosed(socket: net.Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once('close', resolve));
}

/** Sends bytes and waits until the server has closed, or with `ends` closes at once. */
async function sendRaw(port: number, bytes: Buffer, ends: boolean): Promise<void> {
  const socket = await rawSocket(port);
  const closed = untilClosed(socket);
  if (bytes.length > 0) socket.write(bytes);
  if (ends) socket.end();
  await closed;
}

/** A client that has done its handshake then breaks the stream under TLS. */
async function breakStream(
  port: number,
  random: Random,
  version: tls.SecureVersion,
  bytes: Buffer,
): Promise<void> {
  const client = await TlsClient.connect(port, { ...options, maxVersion: version }, random);
  if ((await client.command('PING')) !== '+PONG\r\n') throw new Error('no reply');
  const closed = untilClosed(client.raw);
  if (bytes.length > 0) client.raw.write(bytes);
  else client.raw.destroy();
  await closed;
  client.destroy();
}

/** A command of which the last record arrives only in part. */
async function truncate(port: number, random: Random): Promise<void> {
  const { socket, raw } = await TlsClient.connect(port, options, random);
  socket.write(Buffer.alloc(1 + random.below(100_000), 'x'));
  if (random.chance(0.5)) await new Promise(setImmediate);
  raw.destroy();
  socket.destroy();
}

/** Asks for another handshake, which nobody may. */
async function renegotiate(port: number, random: Random): Promise<void> {
  const client = await TlsClient.connect(port, { ...options, maxVersion: 'TLSv1.2' }, random);
  client.socket.renegotiate({}, () => {});
  // The client's TLS may wait for the rest of its handshake.
  await Promise.race([client.untilClosed(), untilClosed(client.raw)]);
  client.destroy();
}

const GARBAGE = Buffer.from('17030300050102030405', 'hex');
const OVERSIZED = Buffer.concat([Buffer.from('170303ffff', 'hex'), Buffer.alloc(70_000)]);
const HELLO_OVERSIZED = Buffer.concat([Buffer.from('160301ffff', 'hex'), Buffer.alloc(10_000)]);

const HELLO = await clientHello();
const SILENT = 20;

const FAULT_KINDS: readonly ((port: number, random: Random, plainPort: number) => Promise<void>)[] = [
  (port, random) => sendRaw(port, HELLO.subarray(0, 1 + random.below(HELLO.length)), true),
  (port) => sendRaw(port, HELLO, true),
  // Another one in the midst of the handshake.
  (port) => sendRaw(port, Buffer.concat([HELLO, HELLO]), false),
  (_port, random, plainPort) =>
    sendRaw(plainPort, HELLO.subarray(0, random.between(8, HELLO.length)), random.chance(0.5)),
  (port) => sendRaw(port, Buffer.alloc(0), true),
  (port) => sendRaw(port, Buffer.from('PING\r\n'), false),
  (port) => sendRaw(port, Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), false),
  (port) => sendRaw(port, HELLO_OVERSIZED, false),
  (port, random) =>
    sendRaw(port, Buffer.from('16030100f8010000f40303aabbcc', 'hex').subarray(0, 1 + random.below(13)), true),
  (port, random) => sendRaw(port, Buffer.from(Array.from({ length: 300 }, () => random.below(256))), true),
  (port, random) => breakStream(port, random, 'TLSv1.3', GARBAGE),
  (port, random) => breakStream(port, random, 'TLSv1.2', GARBAGE),
  (port, random) => breakStream(port, random, 'TLSv1.3', OVERSIZED),
  (port, random) => breakStream(port, random, 'TLSv1.3', Buffer.from('no record at all')),
  (port, random) => breakStream(port, random, 'TLSv1.3', Buffer.alloc(0)),
  truncate,
  renegotiate,
];

function rssBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024;
}

for (const transport of ['io_uring', 'epoll', 'node']) {
  t.test(`${transport}: connections that break TLS`, async (t) => {
    const tlsPort = await freePort();
    const server = await TestServer.start({
      kind: 'damselfly',
      threads: 2,
      directives: { ...authority.directives(identity, tlsPort), transport, loglevel: 'verbose' },
    });
    t.teardown(() => server.stop('SIGKILL'));
    const seed = Date.now();
    t.comment(`seed ${seed}`);
    const random = new Random(seed);
    const healthy = await TlsClient.connect(tlsPort, options);
    const admin = server.client();
    t.equal(await admin.ping(), 'PONG');
    const descriptors = () => readdirSync(`/proc/${server.pid}/fd`).length;
    const suffer = async (count: number): Promise<void> => {
      let begun = 0;
      const one = async (): Promise<void> => {
        while (begun < count) await FAULT_KINDS[begun++ % FAULT_KINDS.length]!(tlsPort, random, server.port);
      };
      await Promise.all(Array.from({ length: AT_ONCE }, one));
      while ((await infoNumber(admin, 'clients', 'connected_clients')) > 2) {}
      while ((await infoNumber(admin, 'clients', 'clients_in_tls_handshake')) > 0) {}
    };
    await suffer(FAULTS / 3);
    const descriptorsBefore = descriptors();
    const before = rssBytes(server.pid);
    await suffer(FAULTS);
    // One may be open for a moment, to read what INFO tells.
    while (descriptors() > descriptorsBefore) await delay(5);
    t.pass('no descriptor is left');
    const grown = rssBytes(server.pid) - before;
    t.ok(grown < GROWTH_BYTES_MAX, `memory has grown by ${grown} bytes`);
    t.equal(await healthy.command('ECHO', 'fine'), '$4\r\nfine\r\n');
    if (transport !== 'node') {
      // Over node:tls a handshake has the time that its worker knows of when it begins.
      await admin.config('SET', 'auth-timeout', '1');
      await Promise.all(
        Array.from({ length: SILENT }, (_, index) =>
          sendRaw(tlsPort, HELLO.subarray(0, Math.floor((HELLO.length * index) / (SILENT - 1))), false),
        ),
      );
      t.pass('half a handshake is closed after auth-timeout');
    }
    t.equal(await infoNumber(admin, 'clients', 'clients_in_tls_handshake'), 0);
    const failed = await infoNumber(admin, 'stats', 'tls_failed_handshakes');
    const lines = () => server.output().split('Error accepting a client connection: ').length - 1;
    while (lines() < failed) await delay(5);
    t.equal(lines(), failed, 'each has a line in the log');
    t.match(server.output(), /Protocol error \(TLS handshake on a port without TLS\) from client/);
    t.match(server.output(), /http request|wrong version number/);
    if (transport !== 'node') {
      t.match(server.output(), /Error accepting a client connection: .*packet length too long/);
      t.match(server.output(), /Reading from client: unexpected message: renegotiation is not allowed/);
      t.match(server.output(), /Reading from client: error:.*unexpected eof while reading/);
      t.match(server.output(), /Reading from client: error:.*decryption failed or bad record mac/);
    }
    healthy.destroy();
  });
}

/** Replies of many megabytes: whole and in order, made and sent without holding up others, gone without a trace. */

import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { type Argument, encodeCommand, type RawClient } from '../tools/raw-client.js';
import { numberOf, TestServer } from '../tools/server.js';

const MEGABYTE = 1024 * 1024;
const VALUE = Buffer.alloc(MEGABYTE, 'a value that is not the same everywhere, ');
const BULK = Buffer.concat([Buffer.from(`$${MEGABYTE}\r\n`), VALUE, Buffer.from('\r\n')]);
const COPIES = 12;

async function start(t: Test, transport: string, directives = {}): Promise<TestServer> {
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 1,
    directives: { transport, ...directives },
  });
  t.teardown(() => server.stop('SIGKILL'));
  const client = await server.rawClient();
  t.equal(await client.text('SET', 'key', VALUE), '+OK\r\n');
  return server;
}

/** What is in memory but for files: those are given back once after the start. */
function residentBytes(server: TestServer): number {
  const status = readFileSync(`/proc/${server.pid}/status`, 'latin1');
  const kibibytes = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]);
  return 1024 * (kibibytes('RssAnon') + kibibytes('RssShmem'));
}

/** Sends a command whose reply is not read. */
function ask(client: RawClient, ...args: Argument[]): void {
  client.socket.pause();
  client.send(...args);
}

/** Sends a request and reads so many bytes of the reply, which it does not keep. */
async function swallow(server: TestServer, request: Buffer, replyBytes: number): Promise<void> {
  const socket = net.connect(server.port, '127.0.0.1');
  socket.write(request);
  let left = replyBytes;
  for await (const chunk of socket) {
    left -= (chunk as Buffer).length;
    if (left <= 0) break;
  }
  if (left !== 0) throw new Error(`${left} bytes of the reply are missing`);
}

for (const transport of ['io_uring', 'epoll', 'node']) {
  t.test(`long replies are whole: ${transport}`, async (t) => {
    const server = await start(t, transport);
    const client = await server.rawClient();
    const many = new Array<string>(COPIES).fill('key');
    const array = Buffer.concat([Buffer.from(`*${COPIES}\r\n`), ...new Array<Buffer>(COPIES).fill(BULK)]);
    t.ok((await client.command('MGET', ...many)).equals(array));
    // Short replies before and behind long ones, and long ones behind each other.
    const commands: Argument[][] = [];
    const expected: Buffer[] = [];
    for (let index = 0; index < COPIES; index++) {
      commands.push(['GET', 'key'], ['ECHO', index]);
      expected.push(BULK, Buffer.from(`$${String(index).length}\r\n${index}\r\n`));
      if (index % 4 === 0) commands.push(['MGET', ...many]);
      if (index % 4 === 0) expected.push(array);
    }
    t.ok(Buffer.concat(await client.pipeline(commands)).equals(Buffer.concat(expected)));

    await client.text('MULTI');
    await client.text('MGET', ...many);
    await client.text('PING');
    const result = await client.command('EXEC');
    t.ok(result.equals(Buffer.concat([Buffer.from('*2\r\n'), array, Buffer.from('+PONG\r\n')])));

    // One string that is longer than any buffer that is kept.
    const long = Buffer.concat(new Array<Buffer>(10).fill(VALUE));
    const longBulk = Buffer.concat([Buffer.from(`$${long.length}\r\n`), long, Buffer.from('\r\n')]);
    t.equal(await client.text('SET', 'long', long), '+OK\r\n');
    t.ok((await client.command('GET', 'long')).equals(longBulk));
    t.ok((await client.command('GETSET', 'long', 'short')).equals(longBulk));
    t.equal(await client.text('GETSET', 'long', long), '$5\r\nshort\r\n');
    t.ok((await client.command('GETEX', 'long', 'PX', 1_000_000)).equals(longBulk));

    // A reply whose length is known only at its end.
    const members = Array.from({ length: 60 }, (_, index) => `${index}`.padEnd(100_000, '.'));
    await client.command('SADD', 'set', ...members);
    const union = (await client.command('SUNION', 'set', 'nothing')).toString();
    t.equal(union.length, 5 + 60 * 100_011);
    t.same(union.match(/\d+\.+/g)?.toSorted(), [...members].sort());

    // What is not replied does not get in between.
    client.send('CLIENT', 'REPLY', 'OFF');
    client.send('MGET', ...many);
    client.send('CLIENT', 'REPLY', 'ON');
    t.equal((await client.read()).toString(), '+OK\r\n');
    t.equal(await client.text('PING'), '+PONG\r\n');
  });

  t.test(`commands of others run between those of one client: ${transport}`, async (t) => {
    const server = await start(t, transport);
    const reader = await server.rawClient();
    const other = await server.rawClient();
    const count = 100;
    const calls = async (): Promise<number> =>
      Number(/cmdstat_get:calls=(\d+)/.exec(await other.text('INFO', 'commandstats'))?.[1] ?? 0);
    // On a busy machine, all may have run before this process asks.
    let isBetween = false;
    for (let rounds = 1; !isBetween && rounds <= 20; rounds++) {
      const before = (rounds - 1) * count;
      reader.write(Buffer.concat(new Array(count).fill(encodeCommand(['GET', 'key']))));
      let seen = before;
      while (seen === before) seen = await calls();
      isBetween = seen < before + count;
      for (let index = 0; index < count; index++) if (!(await reader.read()).equals(BULK)) t.fail(`${index}`);
      t.equal(await calls(), before + count);
    }
    t.ok(isBetween, 'some had run, and others not');
  });

  t.test(`what is left of a pipeline runs although its client says no more: ${transport}`, async (t) => {
    const server = await start(t, transport);
    const reader = await server.rawClient();
    const commands: Argument[][] = new Array(50).fill(['GET', 'key']);
    reader.socket.end(Buffer.concat([...commands, ['SET', 'last', 1]].map(encodeCommand)));
    const other = await server.rawClient();
    while ((await other.text('EXISTS', 'last')) !== ':1\r\n') await delay(5);
    await reader.close();
  });

  t.test(`memory is given back: ${transport}`, async (t) => {
    const server = await start(t, transport);
    const control = await server.rawClient();
    await control.command('GET', 'key');
    const before = residentBytes(server);
    const gone = async (client: RawClient): Promise<void> => {
      await client.close();
      while (numberOf(await control.text('INFO', 'clients'), 'connected_clients') > 2) await delay(5);
    };
    // The first client is `start`'s.
    const slow = await server.rawClient();
    ask(slow, 'MGET', ...new Array<string>(200).fill('key'));
    while (residentBytes(server) < before + 150 * MEGABYTE) await delay(5);
    t.ok(/ omem=\d{9} /.test(await control.text('CLIENT', 'LIST')), 'it is told');
    await gone(slow);
    while (residentBytes(server) > before + 40 * MEGABYTE) await delay(20);
    t.pass('after a client that did not read');

    const many = new Array<string>(200).fill('key');
    await swallow(server, encodeCommand(['MGET', ...many]), 200 * BULK.length + 6);
    await swallow(server, Buffer.concat(many.map((key) => encodeCommand(['GET', key]))), 200 * BULK.length);
    while (numberOf(await control.text('INFO', 'clients'), 'connected_clients') > 2) await delay(5);
    while (residentBytes(server) > before + 40 * MEGABYTE) await delay(20);
    t.pass('after one that did');

    const sender = await server.rawClient();
    await sender.text('MULTI');
    for (let index = 0; index < 100; index++) await sender.text('ECHO', VALUE);
    t.ok(residentBytes(server) > before + 80 * MEGABYTE);
    t.equal(await sender.text('DISCARD'), '+OK\r\n');
    while (residentBytes(server) > before + 40 * MEGABYTE) await delay(20);
    t.pass('after a transaction');
    sender.write(`*2\r\n$4\r\nECHO\r\n$${200 * MEGABYTE}\r\n`);
    for (let index = 0; index < 100; index++) sender.write(VALUE);
    while (residentBytes(server) < before + 90 * MEGABYTE) await delay(5);
    await gone(sender);
    while (residentBytes(server) > before + 40 * MEGABYTE) await delay(20);
    t.pass('after half a command');

    t.equal(await control.text('SET', 'data', Buffer.concat(new Array<Buffer>(100).fill(VALUE))), '+OK\r\n');
    t.equal(await control.text('DEL', 'data'), ':1\r\n');
    t.equal(await control.text('MEMORY', 'PURGE'), '+OK\r\n');
    while (residentBytes(server) > before + 40 * MEGABYTE) await delay(20);
    t.pass('MEMORY PURGE');
  });

  t.test(`long replies and a hard limit: ${transport}`, async (t) => {
    const server = await start(t, transport, { 'client-output-buffer-limit': ['normal', '20mb', '0', '0'] });
    const client = await server.rawClient();
    t.equal(
      (await client.command('MGET', ...new Array<string>(18).fill('key'))).length,
      18 * BULK.length + 5,
    );
    await t.rejects(client.command('MGET', ...new Array<string>(21).fill('key')), 'closed without a reply');
    const other = await server.rawClient();
    await t.rejects(other.pipeline(new Array(30).fill(['GET', 'key'])), 'replies to one read count together');
    t.equal(await (await server.rawClient()).text('PING'), '+PONG\r\n');
  });
}

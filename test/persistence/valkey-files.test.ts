/** What Redis and Valkey have added to the RDB format since they went different ways. */

import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Crc64 } from '../../src/persistence/crc64.js';
import { Random } from '../tools/random.js';
import { rdbFile } from '../tools/rdb-builder.js';
import { TestServer, temporaryFolder } from '../tools/server.js';

const HASH_WITH_TIMES = 22;
const FAR_MS = 4_000_000_000_000;

type Field = readonly [name: string, value: string, expiresAtMs: number];

function text(bytes: string): Buffer {
  const length = Buffer.from(
    bytes.length < 64 ? [bytes.length] : [0x40 | (bytes.length >> 8), bytes.length & 255],
  );
  return Buffer.concat([length, Buffer.from(bytes, 'latin1')]);
}

/** A hash in Valkey's form: each field with the moment when it expires, -1 for never. */
function hashWithTimes(fields: readonly Field[]): Buffer {
  const parts: Buffer[] = [Buffer.from([0x80, 0, 0, fields.length >> 8, fields.length & 255])];
  for (const [name, value, expiresAtMs] of fields) {
    const time = Buffer.alloc(8);
    time.writeBigInt64LE(BigInt(expiresAtMs));
    parts.push(text(name), text(value), time);
  }
  return Buffer.concat(parts);
}

/** A file with Valkey's header. */
function valkeyFile(body: Buffer, version = 80): Buffer {
  const file = rdbFile(version, body, false);
  file.write(`VALKEY0${version}`, 0, 'latin1');
  return withChecksum(file);
}

function withChecksum(file: Buffer): Buffer {
  const bytes = new Uint8Array(file);
  const view = new DataView(bytes.buffer);
  const crc = new Crc64();
  crc.update(bytes, view, 0, bytes.length - 8);
  view.setInt32(bytes.length - 8, crc.low, true);
  view.setInt32(bytes.length - 4, crc.high, true);
  return Buffer.from(bytes);
}

const key = (type: number, name: string, value: Buffer): Buffer =>
  Buffer.concat([Buffer.from([type]), text(name), value]);

const small: readonly Field[] = [
  ['kept', 'one', -1],
  ['expiring', 'two', FAR_MS],
  ['gone', 'three', 1000],
  ['at the epoch', 'four', 0],
];
const large: readonly Field[] = Array.from({ length: 700 }, (_, index) => [
  `field ${index}`,
  'x'.repeat(index % 90),
  index % 3 === 0 ? -1 : FAR_MS + index,
]);

async function checkHashes(t: Test, server: TestServer): Promise<void> {
  const client = server.client();
  t.same(await client.hgetall('small'), { kept: 'one', expiring: 'two' });
  t.same(await client.call('HPEXPIRETIME', 'small', 'FIELDS', '3', 'kept', 'expiring', 'gone'), [
    -1,
    FAR_MS,
    -2,
  ]);
  t.equal(await client.hlen('large'), large.length);
  const names = large.map(([name]) => name);
  t.same(
    await client.call('HPEXPIRETIME', 'large', 'FIELDS', names.length, ...names),
    large.map(([, , expiresAtMs]) => expiresAtMs),
  );
  t.same(
    await client.hmget('large', ...names),
    large.map(([, value]) => value),
  );
  t.equal(await client.get('string'), 'value');
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
}

t.test('a file of Valkey 9, with fields that expire', async (t) => {
  const directory = temporaryFolder(t);
  const body = Buffer.concat([
    Buffer.from([250]),
    text('valkey-ver'),
    text('9.0.0'),
    Buffer.from([254, 0, 244, 1, 2, 3]),
    key(HASH_WITH_TIMES, 'small', hashWithTimes(small)),
    key(HASH_WITH_TIMES, 'large', hashWithTimes(large)),
    key(0, 'string', text('value')),
  ]);
  writeFileSync(path.join(directory, 'dump.rdb'), valkeyFile(body));
  const server = await TestServer.start({ threads: 2, directives: { dir: directory } });
  t.teardown(() => server.stop('SIGKILL'));
  await checkHashes(t, server);
  t.equal(await server.client().call('DEBUG', 'RELOAD'), 'OK');
  await checkHashes(t, server);
  t.equal(readFileSync(path.join(directory, 'dump.rdb')).toString('latin1', 0, 9), 'REDIS0012');
});

t.test('a newer version than any that is known, and what modules note about keys', async (t) => {
  const server = await TestServer.start({ threads: 2 });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  const name = path.join(server.directory, 'dump.rdb');
  // Class "abcd": a number, a string, a float and a double; then another class.
  const metadata = Buffer.concat([
    Buffer.from([243, 2]),
    Buffer.from('abcd'),
    Buffer.from([1, 5, 2, 0x40, 0xff, 5]),
    text('note'),
    Buffer.from([3, 1, 2, 3, 4, 4, 1, 2, 3, 4, 5, 6, 7, 8, 0]),
    Buffer.from('efgh'),
    Buffer.from([0]),
  ]);
  // A module that has written nothing.
  const empty = Buffer.from([247, 0x81, 0x82, 0xb6, 0xa9, 0x85, 0xd6, 0xad, 0x68, 0x0d, 2, 1, 0]);
  const body = Buffer.concat([empty, metadata, key(0, 'a', text('1')), metadata, key(0, 'b', text('2'))]);
  for (const version of [13, 14, 15]) {
    writeFileSync(name, rdbFile(version, body));
    t.equal(await client.call('DEBUG', 'RELOAD', 'NOSAVE'), 'OK', `version ${version}`);
    t.same(await client.mget('a', 'b'), ['1', '2']);
  }
  await server.untilLogged(/dump\.rdb: RDB version 15 is newer than what is known[\s\S]*which is left out/);
  t.equal(
    server.stdout.match(/data of modules about keys, which is left out/g)?.length,
    3,
    'once for a file',
  );
  t.notMatch(server.stdout, /RDB version 14 is newer/);
  writeFileSync(name, valkeyFile(key(0, 'c', text('3')), 82));
  t.equal(await client.call('DEBUG', 'RELOAD', 'NOSAVE'), 'OK');
  t.same(await client.mget('a', 'c'), [null, '3']);
  await server.untilLogged('RDB version 82 is newer than what is known');
});

t.test('keys without elements are left out, and a file that ends too early stops the start', async (t) => {
  const server = await TestServer.start({ threads: 2 });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  const name = path.join(server.directory, 'dump.rdb');
  const none = Buffer.from([0]);
  const body = Buffer.concat([key(2, 'set\n', none), key(0, 'a', text('1')), key(4, 'hash', none)]);
  writeFileSync(name, rdbFile(11, body));
  t.equal(await client.call('DEBUG', 'RELOAD', 'NOSAVE'), 'OK');
  t.same(await client.keys('*'), ['a']);
  await server.untilLogged(/skipping empty key: set\\n\n[\s\S]*skipping empty key: hash\n/);
  await server.untilLogged('Done loading RDB, keys loaded: 1, keys expired: 0, empty keys skipped: 2.');
  writeFileSync(name, rdbFile(11, body).subarray(0, 30));
  const again = await TestServer.launch({ threads: 2, directives: { dir: server.directory } });
  t.teardown(() => again.stop('SIGKILL'));
  t.not((await again.exited).code, 0);
  t.match(again.output(), /Terminating server after rdb file reading failure\./);
});

t.test('payloads of DUMP of Valkey', async (t) => {
  const server = await TestServer.start({ threads: 2 });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  const payload = (version: number, fields: readonly Field[]): Buffer =>
    withChecksum(
      Buffer.concat([
        Buffer.from([HASH_WITH_TIMES]),
        hashWithTimes(fields),
        Buffer.from([version, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
      ]),
    );
  for (const version of [80, 81]) {
    for (const [name, fields] of [
      ['small', small],
      ['large', large],
    ] as const) {
      t.equal(await client.restore(name, 0, payload(version, fields), 'REPLACE'), 'OK');
    }
    await client.set('string', 'value');
    await checkHashes(t, server);
  }
  for (const version of [15, 79, 82]) {
    await t.rejects(client.restore('other', 0, payload(version, small)), /version or checksum are wrong/);
  }
  t.equal(await client.exists('other'), 0);
  const random = new Random(2291);
  for (let round = 0; round < 300; round++) {
    const damaged = payload(80, small);
    for (let change = 1 + random.below(3); change > 0; change--) {
      damaged[random.below(damaged.length - 10)] = random.pick([0, 1, 0x80, 0xff, random.below(256)]);
    }
    const cut = random.chance(0.3) ? random.below(damaged.length - 10) : damaged.length - 10;
    const bytes = withChecksum(Buffer.concat([damaged.subarray(0, cut), damaged.subarray(-10)]));
    await client.restore('damaged', 0, bytes, 'REPLACE').catch((error: Error) => {
      if (error.message !== 'ERR Bad data format') t.fail(`round ${round}: ${error.message}`);
    });
  }
  t.equal(await client.call('DEBUG', 'VERIFY'), 'OK');
});

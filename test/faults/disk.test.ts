/** The append-only file on a disk that is full or fails, in a folder that vanishes or can't be made: nothing is lost. */

import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { differences, readDataset } from '../tools/dataset.js';
import type { RawClient } from '../tools/raw-client.js';
import { distDirectory, type ServerOptions, skipWithoutRedis, TestServer } from '../tools/server.js';

const DISK_BYTES = 4 << 20;
const NO_SPACE = '-MISCONF Errors writing to the AOF file: No space left on device\r\n';

/** A small disk of its own, or why there is none. */
function mountDisk(): { directory: string; problem: string } {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-disk-'));
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', directory], {
    encoding: 'utf8',
  });
  if (mount.status === 0) return { directory, problem: '' };
  rmSync(directory, { recursive: true });
  return { directory, problem: `no disk to fill can be mounted: ${mount.stderr ?? mount.error}` };
}

/** Runs a test on a server whose directory is a small disk. */
async function onSmallDisk(
  name: string,
  options: ServerOptions,
  body: (t: Test, server: TestServer, directory: string) => Promise<void>,
): Promise<void> {
  const { directory, problem } = mountDisk();
  await t.test(name, { skip: problem || skipWithoutRedis() }, async (t) => {
    t.setTimeout(0);
    const server = await TestServer.start({
      kind: 'damselfly',
      ...options,
      directives: {
        appendonly: 'yes',
        dir: directory,
        'auto-aof-rewrite-percentage': 0,
        ...options.directives,
      },
    });
    t.teardown(() => server.stop('SIGKILL'));
    await body(t, server, directory);
    t.notMatch(server.stderr, /BUG REPORT/);
  });
  if (problem !== '') return;
  spawnSync('umount', ['-l', directory]);
  rmSync(directory, { recursive: true, force: true });
}

async function untilInfo(client: RawClient, field: string): Promise<void> {
  while (!(await client.text('INFO', 'persistence')).includes(`\r\n${field}\r\n`)) await delay(10);
}

/** The data that redis-server loads from a copy of a directory. */
async function loadedByRedis(directory: string): Promise<Map<string, string>> {
  const copy = mkdtempSync(path.join(tmpdir(), 'damselfly-disk-copy-'));
  cpSync(directory, copy, { recursive: true });
  const redis = await TestServer.start({ kind: 'redis', directives: { dir: copy, appendonly: 'yes' } });
  try {
    return await readDataset(redis.client());
  } finally {
    await redis.stop('SIGKILL');
    rmSync(copy, { recursive: true, force: true });
  }
}

/** Takes space; what it returns gives it back. */
function fill(directory: string, bytes: number): () => void {
  const file = path.join(directory, 'filler');
  writeFileSync(file, Buffer.alloc(bytes, 'x'));
  return () => rmSync(file);
}

t.setTimeout(0);
for (const policy of ['everysec', 'always', 'no']) {
  const options = { directives: { appendfsync: policy } };
  await onSmallDisk(`the disk is full, appendfsync ${policy}`, options, async (t, server, directory) => {
    const makeSpace = fill(directory, DISK_BYTES / 2);
    const [watcher, reader, ...writers] = (await Promise.all(
      Array.from({ length: 5 }, () => server.rawClient()),
    )) as [RawClient, RawClient, ...RawClient[]];
    let isOver = false;
    // Any of the writers may come when the disk is full already.
    t.equal(await reader.text('SET', 'early', 'x'), '+OK\r\n');
    const acknowledged = new Set<string>(['early']);
    const refused = new Set<string>();
    const writing = writers.map(async (client, writer) => {
      for (let number = 0; !isOver; number++) {
        const key = `${writer}:${number}`;
        const reply = await client.text('SET', key, 'v'.repeat(10_000));
        if (reply === '+OK\r\n') acknowledged.add(key);
        else refused.add(reply);
        if (refused.size > 0) await delay(10);
      }
    });
    await untilInfo(watcher, 'aof_last_write_status:err');
    t.equal(await reader.text('SET', 'late', 'x'), NO_SPACE);
    t.equal(await reader.text('PING'), NO_SPACE);
    t.equal(await reader.text('GET', 'early'), '$1\r\nx\r\n', 'what only reads goes on');
    await reader.pipeline([['MULTI'], ['SET', 'late', 'x']]);
    t.match(await reader.text('EXEC'), /^-EXECABORT Transaction discarded because of: MISCONF|^-EXECABORT/);
    t.match(await reader.text('INFO', 'persistence'), /aof_last_write_status:err/);
    makeSpace();
    await untilInfo(watcher, 'aof_last_write_status:ok');
    t.equal(await reader.text('SET', 'late', 'y'), '+OK\r\n', 'it recovers by itself');
    isOver = true;
    await Promise.all(writing);
    t.same(
      [...refused].filter((reply) => reply !== NO_SPACE),
      [],
    );
    acknowledged.add('late');
    const expected = await readDataset(server.client());
    for (const key of acknowledged) {
      if (!expected.has(`0 ${Buffer.from(key).toString('hex')}`)) t.fail(`${key} is not there`);
    }
    t.comment(`${acknowledged.size} acknowledged`);
    if (policy === 'always') server.process.kill('SIGKILL');
    else server.process.kill('SIGTERM');
    await server.exited;
    t.same(differences(await loadedByRedis(directory), expected), []);
  });
}

for (const policy of ['everysec', 'always']) {
  const options = { threads: 2, directives: { appendfsync: policy } };
  const name = `one record longer than the disk and all that may wait for it, appendfsync ${policy}`;
  await onSmallDisk(name, options, async (t, server, directory) => {
    const writer = await server.rawClient();
    const others = await Promise.all(Array.from({ length: 4 }, () => server.rawClient()));
    for (const [index, client] of others.entries())
      t.equal(await client.text('SET', `k${index}`, 'v'), '+OK\r\n');
    const answerOrClosed = (reply: Promise<string>) => reply.catch(() => 'closed');
    const long = answerOrClosed(writer.text('SET', 'long', Buffer.alloc(80 << 20, 'x')));
    if (policy === 'everysec') t.equal(await long, '+OK\r\n', 'as with Redis');
    await untilInfo(others[0]!, 'aof_last_write_status:err');
    others.push(await server.rawClient());
    for (const client of others) {
      t.equal(await client.text('GET', 'k1'), '$1\r\nv\r\n', 'what only reads goes on');
      t.equal(await client.text('SET', 'k1', 'w'), NO_SPACE);
      t.equal(await client.text('STRLEN', 'long'), `:${80 << 20}\r\n`);
    }
    const last = answerOrClosed(writer.text('GET', 'k2'));
    if (policy === 'everysec') {
      t.equal(await last, '$1\r\nv\r\n');
      await others[0]!.command('CONFIG', 'SET', 'appendonly', 'no');
      await untilInfo(others[0]!, 'aof_last_write_status:ok');
      t.equal(await others[0]!.text('SET', 'k1', 'w'), '+OK\r\n', 'whoever does without the file may write');
      t.equal(await others[0]!.text('DEL', 'long'), ':1\r\n');
      rmSync(path.join(directory, 'appendonlydir'), { recursive: true });
      await others[0]!.command('CONFIG', 'SET', 'appendonly', 'yes');
      await untilInfo(others[0]!, 'aof_rewrite_in_progress:0');
      t.equal(await others[0]!.text('SET', 'k2', 'after'), '+OK\r\n');
    }
    server.process.kill('SIGTERM');
    t.same(await server.exited, { code: 0, signal: null }, 'SIGTERM works');
    if (policy === 'always') {
      t.same(
        [await long, await last],
        ['closed', 'closed'],
        'nothing was acknowledged that is not on the disk',
      );
    }
  });
}

await onSmallDisk('no space for a rewrite', {}, async (t, server, directory) => {
  const client = await server.rawClient();
  for (let number = 0; number < 100; number++) await client.command('SET', `k${number}`, 'v'.repeat(10_000));
  await client.command('CONFIG', 'SET', 'rdbcompression', 'no');
  await untilInfo(client, 'aof_buffer_length:0');
  const makeSpace = fill(directory, DISK_BYTES - (1 << 20) - 600_000);
  t.match(await client.text('BGREWRITEAOF'), /started/);
  await untilInfo(client, 'aof_rewrite_in_progress:0');
  t.match(await client.text('INFO', 'persistence'), /aof_last_bgrewrite_status:err/);
  await server.untilLogged('Background AOF rewrite terminated with error: ENOSPC');
  t.same(
    readdirSync(directory).filter((name) => name.startsWith('temp-')),
    [],
  );
  t.equal(await client.text('SET', 'after', 'the failure'), '+OK\r\n');
  await untilInfo(client, 'aof_buffer_length:0');
  t.same(differences(await loadedByRedis(directory), await readDataset(server.client())), []);
  makeSpace();
  t.match(await client.text('BGREWRITEAOF'), /started/);
  await untilInfo(client, 'aof_rewrite_in_progress:0');
  t.match(await client.text('INFO', 'persistence'), /aof_last_bgrewrite_status:ok/);
  t.equal(await client.text('SET', 'after', 'the success'), '+OK\r\n');
  await untilInfo(client, 'aof_buffer_length:0');
  t.same(differences(await loadedByRedis(directory), await readDataset(server.client())), []);
  t.equal(readdirSync(path.join(directory, 'appendonlydir')).length, 3, 'base, increment and manifest');
});

await onSmallDisk('turned off on a full disk', {}, async (t, server, directory) => {
  const client = await server.rawClient();
  const makeSpace = fill(directory, DISK_BYTES - 100_000);
  for (let number = 0; ; number++) {
    if ((await client.text('SET', `k${number}`, 'v'.repeat(10_000))) === NO_SPACE) break;
  }
  await client.command('CONFIG', 'SET', 'appendonly', 'no');
  await untilInfo(client, 'aof_last_write_status:ok');
  t.equal(await client.text('SET', 'k', 'v'), '+OK\r\n', 'whoever does without the file may write');
  makeSpace();
  await client.command('CONFIG', 'SET', 'appendonly', 'yes');
  await untilInfo(client, 'aof_rewrite_in_progress:0');
  t.equal(await client.text('SET', 'again', 'on'), '+OK\r\n');
  await untilInfo(client, 'aof_buffer_length:0');
  t.same(differences(await loadedByRedis(directory), await readDataset(server.client())), []);
});

const FAILING_SYNC = path.join(distDirectory, 'test', 'faults', 'failing-sync.js');

for (const policy of ['everysec', 'always']) {
  await t.test(`fsync fails, appendfsync ${policy}`, { skip: skipWithoutRedis() }, async (t) => {
    t.setTimeout(0);
    const server = await TestServer.start({
      kind: 'damselfly',
      nodeOptions: ['--import', FAILING_SYNC],
      directives: { appendonly: 'yes', appendfsync: policy },
    });
    t.teardown(() => server.stop('SIGKILL'));
    const [watcher, ...writers] = (await Promise.all(
      Array.from({ length: 4 }, () => server.rawClient()),
    )) as [RawClient, ...RawClient[]];
    await watcher.command('SET', 'before', '1');
    await delay(1100);
    let isOver = false;
    const acknowledged = new Set<string>();
    const refused = new Set<string>();
    const writing = writers.map(async (client, writer) => {
      for (let number = 0; !isOver; number++) {
        const reply = await client.text('SET', `${writer}:${number}`, 'v');
        if (reply === '+OK\r\n') acknowledged.add(`${writer}:${number}`);
        else refused.add(reply);
        await delay(1);
      }
    });
    const mark = path.join(server.directory, 'fail-sync');
    writeFileSync(mark, '');
    await untilInfo(watcher, 'aof_last_write_status:err');
    rmSync(mark);
    t.equal(await watcher.text('GET', 'before'), '$1\r\n1\r\n');
    await untilInfo(watcher, 'aof_last_write_status:ok');
    await server.untilLogged('Fail to fsync the AOF file: EIO');
    // The data was written anew.
    await server.untilLogged('Background AOF rewrite terminated with success');
    t.equal(await watcher.text('SET', 'after', '2'), '+OK\r\n');
    isOver = true;
    await Promise.all(writing);
    acknowledged.add('before').add('after');
    const ioError = '-MISCONF Errors writing to the AOF file: Input/output error\r\n';
    t.same(
      [...refused].filter((reply) => reply !== ioError),
      [],
    );
    if (policy === 'everysec') await delay(1100);
    server.process.kill('SIGKILL');
    await server.exited;
    const found = await loadedByRedis(server.directory);
    for (const key of acknowledged) {
      if (!found.has(`0 ${Buffer.from(key).toString('hex')}`)) t.fail(`${key} is not there`);
    }
    t.comment(`${acknowledged.size} acknowledged`);
  });
}

await t.test('the folder vanishes', { skip: skipWithoutRedis() }, async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', directives: { appendonly: 'yes' } });
  t.teardown(() => server.stop('SIGKILL'));
  const client = await server.rawClient();
  await client.command('SET', 'before', '1');
  rmSync(path.join(server.directory, 'appendonlydir'), { recursive: true });
  t.equal(await client.text('SET', 'after', '2'), '+OK\r\n');
  t.match(await client.text('BGREWRITEAOF'), /started/);
  await untilInfo(client, 'aof_rewrite_in_progress:0');
  t.match(await client.text('INFO', 'persistence'), /aof_last_bgrewrite_status:ok/);
  await client.command('SET', 'last', '3');
  await client.command('CONFIG', 'SET', 'appendfsync', 'always');
  await client.command('SET', 'last', '4');
  t.same(differences(await loadedByRedis(server.directory), await readDataset(server.client())), []);
});

await t.test('the folder cannot be made', {}, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-disk-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(path.join(directory, 'appendonlydir'), 'a file');
  const server = await TestServer.launch({
    kind: 'damselfly',
    directives: { appendonly: 'yes', dir: directory },
  });
  t.teardown(() => server.stop('SIGKILL'));
  t.same(await server.exited, { code: 1, signal: null });
  t.match(server.stderr, /^damselfly: [^\n]*append[^\n]*\n$/, 'one line');
  t.ok(existsSync(path.join(directory, 'appendonlydir')), 'nothing is touched');
});

const readOnly = mountDisk();
await t.test('a read-only file system is named', { skip: readOnly.problem || false }, async (t) => {
  const { directory } = readOnly;
  t.teardown(() => {
    spawnSync('umount', ['-l', directory]);
    rmSync(directory, { recursive: true, force: true });
  });
  const remount = (mode: 'ro' | 'rw'): void => {
    t.equal(spawnSync('mount', ['-o', `remount,${mode}`, directory]).status, 0);
  };
  remount('ro');
  const options = { kind: 'damselfly', threads: 1 } as const;
  const refused = await TestServer.launch({ ...options, directives: { appendonly: 'yes', dir: directory } });
  t.teardown(() => refused.stop('SIGKILL'));
  t.same(await refused.exited, { code: 1, signal: null });
  t.match(refused.stderr, /can't write the append only file: EROFS: read-only file system/);
  const server = await TestServer.start({ ...options, directives: { dir: directory } });
  t.teardown(() => server.stop('SIGKILL'));
  const client = await server.rawClient();
  t.equal(await client.text('CONFIG', 'SET', 'appendonly', 'yes'), '+OK\r\n');
  await server.untilLogged("Can't open the append-only file: EROFS: read-only file system");
  t.equal(
    await client.text('SET', 'key', 'value'),
    '-MISCONF Errors writing to the AOF file: Read-only file system\r\n',
  );
  remount('rw');
  await server.untilLogged('AOF write error looks solved');
  t.equal(await client.text('SET', 'key', 'value'), '+OK\r\n');
});

/**
 * A server whose walks pass over keys or elements (losing-records.ts): no way to save puts such a file in the place of the
 * old one, no way to stop loses data, and once the fault is gone all of it is saved.
 */

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { BulkClient } from '../tools/bulk-client.js';
import { distDirectory, TestServer } from '../tools/server.js';
import { mixedNames, VALUE_TYPES } from '../tools/value-types.js';

const PRELOADED = path.join(distDirectory, 'test', 'faults', 'losing-records.js');
const STRINGS = 2000;
/** Elements of collections that are written at once, and of those that are written in steps. */
const SIZES = [800, 3000];
const CANNOT_EXIT = '-ERR Errors trying to SHUTDOWN. Check logs.\r\n';

function start(directives: Record<string, string>): Promise<TestServer> {
  return TestServer.start({
    kind: 'damselfly',
    threads: 2,
    nodeOptions: ['--import', PRELOADED],
    directives: { save: '3600 1000000000', 'stop-writes-on-bgsave-error': 'no', ...directives },
  });
}

async function fill(server: TestServer): Promise<void> {
  const client = await BulkClient.connect(server.address());
  for (let number = 0; number < STRINGS; number++) client.send(['SET', `plain:${number}`, number]);
  for (const type of VALUE_TYPES) {
    for (const size of SIZES) client.send(type.add(`${type.name}:${size}`, 0, size, mixedNames));
  }
  await client.done();
  client.close();
}

/** The files of a folder and what they have, but for the marks. */
function filesOf(directory: string): Map<string, string> {
  const names = (readdirSync(directory, { recursive: true }) as string[]).filter(
    (name) => !name.startsWith('lose-') && name !== 'appendonlydir',
  );
  return new Map(names.sort().map((name) => [name, readFileSync(path.join(directory, name), 'latin1')]));
}

function expectSame(t: Test, found: Map<string, string>, expected: Map<string, string>, what: string): void {
  t.same([...found.keys()], [...expected.keys()], what);
  for (const [name, text] of expected) t.ok(found.get(name) === text, `${what}: ${name} is untouched`);
}

/** Waits until the log has a line once more than before. */
async function untilLogged(server: TestServer, text: string, action: () => Promise<unknown>): Promise<void> {
  const count = (): number => server.output().split(text).length;
  const before = count();
  await action();
  while (count() === before) await delay(5);
}

const LOSSES = [
  ['lose-keys', /the snapshot is not whole: database 0 has 2010 keys, \d+ were written/],
  ['lose-elements', /the snapshot is not whole: a value has/],
] as const;

t.setTimeout(0);

for (const [mark, reason] of LOSSES) {
  t.test(`snapshots, ${mark}`, {}, async (t) => {
    const server = await start({});
    t.teardown(() => server.stop('SIGKILL'));
    const client = await server.rawClient();
    await fill(server);
    t.equal(await client.text('SAVE'), '+OK\r\n');
    const old = filesOf(server.directory);
    await client.command('SET', 'later', 'value');
    await client.command('DEL', 'plain:0');
    const digest = await client.text('DEBUG', 'DIGEST');
    const markFile = path.join(server.directory, mark);
    writeFileSync(markFile, '');

    await untilLogged(server, 'Error saving DB on disk: the snapshot is not whole', async () =>
      t.equal(await client.text('SAVE'), '-ERR\r\n'),
    );
    t.match(server.output().slice(-200), reason);
    await untilLogged(server, 'Background saving error: the snapshot is not whole', () =>
      client.text('BGSAVE'),
    );
    t.match(await client.text('INFO', 'persistence'), /rdb_last_bgsave_status:err/);
    await untilLogged(server, 'Background AOF rewrite terminated with error: the snapshot is not whole', () =>
      client.text('BGREWRITEAOF'),
    );
    for (const options of [[], ['SAVE'], ['NOW']]) {
      t.equal(await client.text('SHUTDOWN', ...options), CANNOT_EXIT, options.join(' '));
    }
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      await untilLogged(server, "Error trying to save the DB, can't exit.", async () =>
        server.process.kill(signal),
      );
    }
    t.equal(await client.text('DEBUG', 'RELOAD'), '-ERR\r\n');
    if (mark === 'lose-elements') {
      t.match(await client.text('DUMP', 'hash:800'), /^-ERR the value is damaged: a value has 800 elements/);
      const target = ['127.0.0.1', server.port, 'set:800', 5, 1000];
      t.match(
        await client.text('MIGRATE', ...target),
        /^-ERR the value is damaged: a value has 800 elements/,
      );
    }
    expectSame(t, filesOf(server.directory), old, 'nothing has changed on the disk');

    rmSync(markFile);
    t.equal(await client.text('DEBUG', 'DIGEST'), digest, 'nothing has changed in memory');
    t.equal(await client.text('DEBUG', 'VERIFY'), '+OK\r\n');
    await untilLogged(server, 'Background saving terminated with success', () => client.text('BGSAVE'));
    t.equal(await client.text('DEBUG', 'RELOAD', 'NOSAVE'), '+OK\r\n');
    t.equal(await client.text('DEBUG', 'DIGEST'), digest, 'the file has all of it');
    writeFileSync(markFile, '');
    const newer = filesOf(server.directory);
    client.send('SHUTDOWN', 'FORCE');
    t.equal((await server.exited).code, 0, 'who asks for it may lose data');
    expectSame(t, filesOf(server.directory), newer, 'but not what is on the disk');
  });

  t.test(`the append-only file, ${mark}`, {}, async (t) => {
    const server = await start({ appendonly: 'yes', save: '' });
    t.teardown(() => server.stop('SIGKILL'));
    const client = await server.rawClient();
    await fill(server);
    const markFile = path.join(server.directory, mark);
    writeFileSync(markFile, '');
    await untilLogged(server, 'Background AOF rewrite terminated with error: the snapshot is not whole', () =>
      client.text('BGREWRITEAOF'),
    );
    t.match(await client.text('INFO', 'persistence'), /aof_last_bgrewrite_status:err/);
    await client.command('CONFIG', 'SET', 'aof-use-rdb-preamble', 'no');
    await untilLogged(server, 'Background AOF rewrite terminated with error: the snapshot is not whole', () =>
      client.text('BGREWRITEAOF'),
    );
    await client.command('SET', 'later', 'value');
    const digest = await client.text('DEBUG', 'DIGEST');
    // The files that were there have all of it.
    rmSync(markFile);
    t.equal(await client.text('DEBUG', 'LOADAOF'), '+OK\r\n');
    const whole = await client.text('DEBUG', 'DIGEST');
    if (mark === 'lose-keys') t.not(whole, digest, 'the first digest was short of keys as well');
    await client.command('CONFIG', 'SET', 'appendonly', 'no');
    writeFileSync(markFile, '');
    await untilLogged(server, 'Background AOF rewrite terminated with error: the snapshot is not whole', () =>
      client.text('CONFIG', 'SET', 'appendonly', 'yes'),
    );
    // Without a base everything would be gone.
    t.equal(await client.text('SHUTDOWN', 'NOSAVE'), CANNOT_EXIT);
    rmSync(markFile);
    while (!(await client.text('INFO', 'persistence')).includes('aof_last_bgrewrite_status:ok'))
      await delay(10);
    t.equal(await client.text('SET', 'last', 'value'), '+OK\r\n');
    t.equal(await client.text('DEBUG', 'LOADAOF'), '+OK\r\n');
    t.equal(await client.text('DBSIZE'), ':2012\r\n');
    t.equal(await client.text('DEBUG', 'VERIFY'), '+OK\r\n');
    client.send('SHUTDOWN', 'NOSAVE');
    t.equal((await server.exited).code, 0);
    t.ok(existsSync(path.join(server.directory, 'appendonlydir', 'appendonly.aof.manifest')));
  });
}

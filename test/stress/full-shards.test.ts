/**
 * Full shards under load: several connections of several active workers write to shards of a megabyte, with snapshots and
 * rewrites all the time. Nothing ends the process, and what the append-only file has is what the server has.
 */

import path from 'node:path';
import t from 'tap';
import { type FillKind, fillCommand } from '../tools/fill-commands.js';
import { Random } from '../tools/random.js';
import type { RawClient } from '../tools/raw-client.js';
import { distDirectory, TestServer } from '../tools/server.js';

const SHARD_BYTES = 1 << 20;
const CONNECTIONS = 4;
const ROUNDS = Number(process.env.DAMSELFLY_FULL_SHARD_ROUNDS ?? 60);
const PIPELINE_MAX = 40;
const SMALL_SHARDS = path.join(distDirectory, 'test', 'tools', 'small-shards.js');
const KINDS: readonly FillKind[] = ['mixed', 'collections', 'growing', 'strings'];

function options(directory?: string) {
  return {
    kind: 'damselfly' as const,
    threads: 3,
    nodeOptions: ['--import', SMALL_SHARDS],
    environment: { DAMSELFLY_TEST_SHARD_BYTES: String(SHARD_BYTES) },
    directives: {
      appendonly: 'yes',
      appendfsync: 'no',
      'auto-aof-rewrite-percentage': 0,
      databases: 4,
      ...(directory === undefined ? {} : { dir: directory }),
    },
  };
}

async function write(
  client: RawClient,
  seed: number,
  kind: FillKind,
): Promise<{ sent: number; refused: number }> {
  const random = new Random(seed);
  let sent = 0;
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const commands = Array.from({ length: 1 + random.below(PIPELINE_MAX) }, () =>
      // Two shards, which the tags choose, get full.
      fillCommand(random, kind, () => random.pick(['{a}', '{b}'])),
    );
    const replies = await client.pipeline(commands);
    sent += commands.length;
    refused += replies.filter((reply) => reply.toString().startsWith('-OOM')).length;
  }
  return { sent, refused };
}

async function ended(client: RawClient): Promise<void> {
  for (;;) {
    const info = await client.text('INFO', 'persistence');
    if (/rdb_bgsave_in_progress:0/.test(info) && /aof_rewrite_in_progress:0/.test(info)) return;
  }
}

t.test('full shards with snapshots', async (t) => {
  t.setTimeout(0);
  const server = await TestServer.start(options());
  t.teardown(() => server.stop('SIGKILL'));
  const watcher = await server.rawClient();
  let isOver = false;
  let snapshots = 0;
  const saving = (async () => {
    const client = await server.rawClient();
    for (; !isOver; snapshots++) {
      await client.command(snapshots % 3 === 0 ? 'BGREWRITEAOF' : 'BGSAVE');
      await ended(client);
    }
  })();
  const writers = await Promise.all(Array.from({ length: CONNECTIONS }, () => server.rawClient()));
  const results = await Promise.all(
    writers.map((client, index) => write(client, 100 + index, KINDS[index % KINDS.length]!)),
  );
  isOver = true;
  await saving;
  const sent = results.reduce((sum, result) => sum + result.sent, 0);
  const refused = results.reduce((sum, result) => sum + result.refused, 0);
  t.comment(`${sent} commands, ${refused} found no memory, ${snapshots} snapshots and rewrites`);
  t.ok(refused > 0);
  t.match(await watcher.text('DEBUG', 'VERIFY'), '+OK');
  const expected = await watcher.text('DEBUG', 'DIGEST');
  t.equal(await watcher.text('DEBUG', 'LOADAOF'), '+OK\r\n');
  t.equal(await watcher.text('DEBUG', 'DIGEST'), expected, 'what was recorded is what there was');
  t.match(await watcher.text('DEBUG', 'VERIFY'), '+OK');
  server.process.kill('SIGTERM');
  await server.exited;
  const again = await TestServer.start(options(server.directory));
  t.teardown(() => again.stop('SIGKILL'));
  await again.ready();
  t.equal(await (await again.rawClient()).text('DEBUG', 'DIGEST'), expected, 'after a restart, too');
  t.notMatch(server.stderr + again.stderr, /BUG REPORT/);
});

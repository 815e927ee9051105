/**
 * A server under load is killed without warning at random moments, with rewrites of the append-only file under way;
 * what was acknowledged must be there afterwards as `appendfsync` promises, and what is there must be a state that
 * the server was in.
 *
 *   DAMSELFLY_KILL_RUNS      runs for each policy, default 2
 *   DAMSELFLY_KILL_POLICIES  default `always,everysec,no`
 *   DAMSELFLY_KILL_SEED      seed of the first run
 *   DAMSELFLY_KILL_THREADS   worker threads, default 4
 */

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import t from 'tap';
import { OrderedLoad, type Survival } from '../tools/ordered-load.js';
import { Random } from '../tools/random.js';
import type { RawClient } from '../tools/raw-client.js';
import { hasProgram, numberOf, type ServerKind, TestServer } from '../tools/server.js';

const RUNS = Number(process.env.DAMSELFLY_KILL_RUNS ?? 2);
const POLICIES = (process.env.DAMSELFLY_KILL_POLICIES ?? 'always,everysec,no').split(',');
const SEED = Number(process.env.DAMSELFLY_KILL_SEED ?? Date.now() % 1_000_000);
const THREADS = Number(process.env.DAMSELFLY_KILL_THREADS ?? 4);
const CLIENTS = 24;
/** Each run goes on, with what has survived, so many times. */
const LIVES = 2;
const LIFE_MS_MAX = 1200;

/** Learns, until the connection ends, up to which moment all that was acknowledged is in the file for certain. */
class WrittenUntil {
  at = Number.NEGATIVE_INFINITY;
  count = 0;

  async watch(client: RawClient): Promise<void> {
    try {
      for (;;) {
        const askedAt = performance.now();
        const recorded = numberOf(await client.text('INFO', 'persistence'), 'aof_recorded_offset');
        while (numberOf(await client.text('INFO', 'persistence'), 'aof_written_offset') < recorded);
        this.at = askedAt;
        this.count++;
      }
    } catch {
      // The server is gone.
    }
  }
}

/** Begins rewrites, and changes their form, until the connection ends. */
async function rewrite(client: RawClient, random: Random): Promise<void> {
  try {
    for (;;) {
      await delay(random.below(300));
      await client.command('CONFIG', 'SET', 'aof-use-rdb-preamble', random.pick(['yes', 'no']));
      await client.command('BGREWRITEAOF');
    }
  } catch {
    // The server is gone.
  }
}

function startOn(kind: ServerKind, directory: string, policy: string): Promise<TestServer> {
  return TestServer.start({
    kind,
    threads: THREADS,
    directives: { dir: directory, appendonly: 'yes', appendfsync: policy, 'aof-timestamp-enabled': 'yes' },
  });
}

function describe(found: Survival): string {
  return `${found.acknowledged} acknowledged, ${found.lost} of them lost (${Math.round(found.lostMs)} ms), ${found.unacknowledged} more there`;
}

t.setTimeout(0);
t.comment(`seed ${SEED}`);
for (const policy of POLICIES) {
  await t.test(`appendfsync ${policy}`, {}, async (t) => {
    t.setTimeout(0);
    const total = { acknowledged: 0, lost: 0, lostMs: 0, watched: 0 };
    for (let number = 0; number < RUNS; number++) {
      const random = new Random(SEED + number);
      const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-kill-'));
      const load = new OrderedLoad(random, CLIENTS);
      let server = await startOn('damselfly', directory, policy);
      for (let life = 0; life < LIVES; life++) {
        await load.resume(server.client());
        await load.start(server.address());
        const rewriting = rewrite(await server.rawClient(), random);
        const written = new WrittenUntil();
        const watching = written.watch(await server.rawClient());
        await delay(random.between(50, LIFE_MS_MAX));
        const crashedAt = performance.now();
        server.process.kill('SIGKILL');
        await server.stop('SIGKILL');
        await Promise.all([load.ended(), rewriting, watching]);
        const examine = async (kind: ServerKind, successor: TestServer): Promise<Survival> => {
          const found = await load.examine(successor.client(), crashedAt);
          t.same(found.problems, [], `run ${number}, life ${life}, ${kind}: ${describe(found)}`);
          if (policy === 'always') t.equal(found.lost, 0, 'all that was acknowledged is there');
          else t.ok(crashedAt - found.lostMs >= written.at, 'all that was in the file is there');
          return found;
        };
        if (hasProgram('redis-server')) {
          // On a copy: what starts on the files may change them.
          const copy = mkdtempSync(path.join(tmpdir(), 'damselfly-kill-copy-'));
          cpSync(directory, copy, { recursive: true });
          const redis = await startOn('redis', copy, policy);
          await examine('redis', redis);
          await redis.stop('SIGKILL');
          rmSync(copy, { recursive: true, force: true });
        }
        server = await startOn('damselfly', directory, policy);
        const found = await examine('damselfly', server);
        total.acknowledged += found.acknowledged;
        total.lost += found.lost;
        total.lostMs = Math.max(total.lostMs, found.lostMs);
        total.watched += written.count;
      }
      await server.stop('SIGKILL');
      rmSync(directory, { recursive: true, force: true });
    }
    t.ok(total.watched > 0, `how much the file had was seen ${total.watched} times`);
    t.comment(
      `${RUNS * LIVES} kills, ${total.acknowledged} acknowledged writes, ${total.lost} lost, at most ${Math.round(total.lostMs)} ms`,
    );
  });
}

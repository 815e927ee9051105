/**
 * An application moves from redis-server to Damselfly and back while it runs, by the steps of docs/replication.md: what
 * was acknowledged is there, and is done.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { type Job, Queue, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import t from 'tap';
import { skipWithoutRedis, type TestServer } from '../tools/server.js';
import { follow, info, start, until, untilCaughtUp } from './pairs.js';

const JOBS_BETWEEN = 300;

/** Adds jobs and does them, all the time, at the server that it is pointed to. */
class Application {
  /** The jobs whose addition was acknowledged. */
  readonly added = new Set<string>();
  readonly done = new Set<string>();
  /** The longest time between two acknowledgements. */
  longestGapMs = 0;
  queue!: Queue;
  private worker!: Worker;
  private isOver = false;
  private producing: Promise<void> | null = null;

  /** Goes on at another server, wherever it was. */
  async pointTo(port: number): Promise<void> {
    const { queue, worker } = this;
    const connection = { host: '127.0.0.1', port, retryStrategy: () => null };
    this.queue = new Queue('orders', { connection });
    this.queue.on('error', () => {});
    const settings = { lockDuration: 1000, stalledInterval: 300, maxStalledCount: 100, concurrency: 5 };
    this.worker = new Worker('orders', async (job: Job) => job.data.number, { connection, ...settings });
    this.worker.on('error', () => {});
    this.worker.on('completed', (job) => this.done.add(job.id!));
    this.producing ??= this.produce();
    await Promise.all([worker?.close(true), queue?.close()].map((closing) => closing?.catch(() => {})));
  }

  private async produce(): Promise<void> {
    let lastMs = performance.now();
    for (let number = 0; !this.isOver; number++) {
      // The same id again: it may have been added without an acknowledgement.
      const jobId = `order-${number}`;
      while (!(await this.queue.add('order', { number }, { jobId }).catch(() => null))) await delay(2);
      this.added.add(jobId);
      this.longestGapMs = Math.max(this.longestGapMs, performance.now() - lastMs);
      lastMs = performance.now();
    }
  }

  async untilDone(count: number): Promise<void> {
    const wanted = this.done.size + count;
    await until('the jobs are done', async () => this.done.size >= wanted);
  }

  async stopProducing(): Promise<void> {
    this.isOver = true;
    await this.producing;
  }

  async close(): Promise<void> {
    await this.worker.close();
    await this.queue.close();
  }
}

/** Steps 3 and 4: the replica becomes the primary of what was its primary, and the application follows. */
async function move(
  application: Application,
  [, fromClient]: readonly [TestServer, Redis],
  [to, toClient]: readonly [TestServer, Redis],
): Promise<void> {
  await fromClient.call('CLIENT', 'PAUSE', '60000', 'WRITE');
  await untilCaughtUp(fromClient, toClient);
  await toClient.call('REPLICAOF', 'NO', 'ONE');
  await follow(fromClient, to);
  await fromClient.call('CLIENT', 'UNPAUSE');
  await application.pointTo(to.port);
}

t.test('a BullMQ application moves to Damselfly and back', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await start('redis');
  t.teardown(() => redis.stop('SIGKILL'));
  const damselfly = await start('damselfly');
  t.teardown(() => damselfly.stop('SIGKILL'));
  const old = [redis, redis.client()] as const;
  const ours = [damselfly, damselfly.client()] as const;
  const application = new Application();
  await application.pointTo(redis.port);
  await application.untilDone(JOBS_BETWEEN);
  await follow(ours[1], redis);
  await untilCaughtUp(old[1], ours[1]);

  await application.untilDone(JOBS_BETWEEN);
  await move(application, old, ours);
  await application.untilDone(JOBS_BETWEEN);
  await untilCaughtUp(ours[1], old[1]);
  await move(application, ours, old);
  await application.untilDone(JOBS_BETWEEN);
  await application.stopProducing();

  const ids = [...application.added];
  await until('all jobs are done', async () => {
    const states = await Promise.all(ids.map((id) => application.queue.getJobState(id)));
    return states.every((state) => state === 'completed');
  });
  const jobs = await Promise.all(ids.map((id) => application.queue.getJob(id)));
  t.ok(
    jobs.every((job) => job?.returnvalue === job?.data.number),
    'each job has its result',
  );
  t.equal((await info(old[1], 'stats')).get('sync_full'), '1', 'only the first sync was a full one');
  t.equal((await info(ours[1], 'stats')).get('sync_full'), '0');
  t.comment(
    `${ids.length} jobs; the longest time without a write: ${Math.round(application.longestGapMs)} ms`,
  );
  await application.close();
});

/** Libraries that do their work in scripts, as applications use them: queues of jobs, locks, limits of rates. */

import { setTimeout as delay } from 'node:timers/promises';
import Bull from 'bull';
import { FlowProducer, type Job, Queue, QueueEvents, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import t from 'tap';
import { TestServer, temporaryFolder } from '../tools/server.js';

/** Of redlock, whose types can't be found by programs that are ES modules. */
interface Lock {
  value: string;
  extend(milliseconds: number): Promise<Lock>;
  release(): Promise<unknown>;
}
interface Locks {
  acquire(resources: string[], milliseconds: number): Promise<Lock>;
  using<T>(resources: string[], milliseconds: number, body: () => Promise<T>): Promise<T>;
}
type LocksClass = new (clients: Redis[], options: { retryCount: number; retryDelay?: number }) => Locks;

const WORKERS = 3;
const STALLED_AFTER_MS = 400;

interface Closable {
  close(): Promise<unknown>;
}

t.test('on one server', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: WORKERS, activeWorkers: WORKERS });
  const connection = { host: '127.0.0.1', port: server.port };
  t.teardown(() => server.stop('SIGKILL'));
  t.test('BullMQ', async (t) => {
    const opened: Closable[] = [];
    const open = <T extends Closable>(each: T): T => {
      opened.unshift(each);
      return each;
    };
    const queue = open(new Queue('mail', { connection }));
    // Each wait for a job is a listener.
    queue.setMaxListeners(100);
    const events = open(new QueueEvents('mail', { connection }));
    const flows = open(new FlowProducer({ connection }));
    const startWorkers = (name: string, processor: (job: Job) => Promise<unknown>, count: number): void => {
      const stalled = { stalledInterval: STALLED_AFTER_MS / 2, maxStalledCount: 100 };
      for (let index = 0; index < count; index++) {
        const worker = open(new Worker(name, processor, { connection, concurrency: 4, ...stalled }));
        worker.on('error', () => {});
      }
    };
    let ticks = 0;
    const processors: Record<string, (job: Job) => Promise<unknown>> = {
      plain: async (job) => job.data.number * 2,
      late: async () => 'late',
      unsteady: async (job) => {
        if (job.attemptsMade < 2) throw new Error(`not yet: ${job.attemptsMade}`);
        return 'at last';
      },
      hopeless: async () => {
        throw new Error('never');
      },
      tick: async () => ++ticks,
      part: async (job) => job.data.size,
      whole: async (job) => {
        let sum = 0;
        for (const size of Object.values(await job.getChildrenValues<number>())) sum += size;
        return sum;
      },
      stalled: async () => 'taken over',
    };
    await events.waitUntilReady();

    // Nobody works yet: this one is taken by a worker that then does not go on.
    const stalled = await queue.add('stalled', {});
    const dead = open(new Worker('mail', null, { connection, lockDuration: STALLED_AFTER_MS }));
    const taken = (await dead.getNextJob('token')) as Job;
    t.equal(taken.id, stalled.id);
    startWorkers('mail', (job) => processors[job.name]!(job), 3);

    const plain = await queue.addBulk(
      Array.from({ length: 40 }, (_, number) => ({ name: 'plain', data: { number } })),
    );
    const late = await Promise.all([30, 60, 90].map((delayMs) => queue.add('late', {}, { delay: delayMs })));
    const retries = { attempts: 3, backoff: { type: 'fixed', delay: 20 } };
    const unsteady = await queue.add('unsteady', {}, retries);
    const hopeless = await queue.add('hopeless', {}, { ...retries, attempts: 2 });
    await queue.upsertJobScheduler('clock', { every: 40, limit: 3 }, { name: 'tick' });
    const flow = await flows.add({
      name: 'whole',
      queueName: 'mail',
      children: [1, 10, 100].map((size) => ({ name: 'part', queueName: 'mail', data: { size } })),
    });

    const doubled = await Promise.all(plain.map((job) => job.waitUntilFinished(events)));
    t.same(
      doubled,
      plain.map((_, number) => number * 2),
      'each job has its result',
    );
    for (const job of late) {
      await job.waitUntilFinished(events);
      const done = (await queue.getJob(job.id!)) as Job;
      t.ok(done.processedOn! >= job.timestamp + job.opts.delay!, 'not before its time');
    }
    t.equal(await unsteady.waitUntilFinished(events), 'at last');
    t.equal((await queue.getJob(unsteady.id!))?.attemptsMade, 3);
    await t.rejects(hopeless.waitUntilFinished(events), { message: 'never' });
    t.equal(await hopeless.getState(), 'failed');
    t.equal(await flow.job.waitUntilFinished(events), 111, 'the parent has the results of its children');
    t.equal(await stalled.waitUntilFinished(events), 'taken over');
    while (ticks < 3) await delay(5);

    const total = plain.length + late.length + 1 + 3 + 4 + 1;
    while ((await queue.getCompletedCount()) < total) await delay(5);
    const { completed, failed, ...left } = await queue.getJobCounts();
    t.same({ completed, failed }, { completed: total, failed: 1 });
    t.notOk(
      Object.values(left).some((count) => count !== 0),
      'nothing is left',
    );

    const ranked = open(new Queue('ranked', { connection }));
    const order: number[] = [];
    for (const priority of [30, 10, 20]) await ranked.add('job', {}, { priority });
    const worker = open(
      new Worker('ranked', async (job: Job) => order.push(job.opts.priority!), {
        connection,
        concurrency: 1,
      }),
    );
    worker.on('error', () => {});
    while (order.length < 3) await delay(5);
    t.same(order, [10, 20, 30], 'the most important first');
    await Promise.all(opened.map((each) => each.close()));
  });

  t.test('Bull', async (t) => {
    const queue = new Bull('images', { redis: connection });
    const order: number[] = [];
    queue.process(async (job) => {
      if (job.data.fails && job.attemptsMade === 0) throw new Error('once');
      order.push(job.data.number);
      return job.data.number;
    });
    const jobs = await Promise.all([
      queue.add({ number: 1 }, { delay: 80 }),
      queue.add({ number: 2 }),
      queue.add({ number: 3, fails: true }, { attempts: 2 }),
      queue.add({ number: 4 }, { priority: 1 }),
    ]);
    t.same(await Promise.all(jobs.map((job) => job.finished())), [1, 2, 3, 4]);
    t.equal(order.length, 4);
    t.equal((await queue.getJobCounts()).completed, 4);
    await queue.close();
  });

  t.test('redlock', async (t) => {
    const library: { default: LocksClass } = await import('redlock' as string);
    const create = (retryCount: number) =>
      new library.default([server.client()], { retryCount, retryDelay: 5 });
    const once = create(0);
    const lock = await once.acquire(['{a}1', '{a}2'], 10_000);
    await t.rejects(once.acquire(['{a}2', '{a}3'], 10_000));
    const extended = await lock.extend(20_000);
    t.equal(extended.value, lock.value);
    t.ok((await server.client().pttl('{a}1')) > 10_000);
    await extended.release();
    t.equal(await server.client().exists('{a}1', '{a}2', '{a}3'), 0);

    let inside = 0;
    let most = 0;
    const many = create(-1);
    const uses = Array.from({ length: 10 }, () =>
      many.using(['shared'], 10_000, async () => {
        most = Math.max(most, ++inside);
        await delay(2);
        inside--;
      }),
    );
    await Promise.all(uses);
    t.equal(most, 1, 'one at a time');
  });

  t.test('rate-limiter-flexible', async (t) => {
    const clients = Array.from({ length: 4 }, () => server.client());
    const limiters = clients.map(
      (storeClient) =>
        new RateLimiterRedis({
          storeClient,
          points: 20,
          duration: 60,
          blockDuration: 100,
          keyPrefix: 'rate',
        }),
    );
    const answers = await Promise.allSettled(
      Array.from({ length: 60 }, (_, index) => limiters[index % 4]!.consume('user')),
    );
    t.equal(answers.filter(({ status }) => status === 'fulfilled').length, 20);
    const refused = answers.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
    t.ok(refused.reason instanceof RateLimiterRes);
    const state = await limiters[0]!.get('user');
    t.equal(state?.remainingPoints, 0);
    t.ok(state!.msBeforeNext > 60_000, 'blocked for longer');
    await limiters[1]!.delete('user');
    t.equal((await limiters[2]!.consume('user', 5)).remainingPoints, 15);
  });
});

t.test('BullMQ and a server that is killed', async (t) => {
  const dir = temporaryFolder(t);
  const options = {
    kind: 'damselfly',
    threads: WORKERS,
    activeWorkers: WORKERS,
    directives: { dir, appendonly: 'yes', appendfsync: 'always' },
  } as const;
  const first = await TestServer.start(options);
  const added = new Set<string>();
  /** Those of whose end a worker has been told. */
  const finished = new Set<string>();
  /** How often each was begun, by a server that went on to serve until it had ended. */
  const begun = new Map<string, number>();
  const opened: Closable[] = [];
  const settings = { lockDuration: 1000, stalledInterval: 300, maxStalledCount: 100, concurrency: 5 };
  const work = (port: number): void => {
    for (let index = 0; index < 3; index++) {
      const worker = new Worker(
        'orders',
        async (job: Job) => {
          begun.set(job.id!, (begun.get(job.id!) ?? 0) + 1);
          await delay(job.data.number % 3);
          return job.data.number;
        },
        { connection: { host: '127.0.0.1', port, retryStrategy: () => null }, ...settings },
      );
      worker.on('error', () => {});
      worker.on('completed', (job) => finished.add(job.id!));
      opened.unshift(worker);
    }
  };
  const connect = (port: number): Queue => {
    const queue = new Queue('orders', { connection: { host: '127.0.0.1', port, retryStrategy: () => null } });
    queue.on('error', () => {});
    opened.push(queue);
    return queue;
  };

  const producer = connect(first.port);
  work(first.port);
  let isKilled = false;
  const producing = Array.from({ length: 4 }, async (_, part) => {
    for (let number = part; !isKilled; number += 4) {
      const job = await producer.add('order', { number }).catch(() => null);
      if (job === null) return;
      added.add(job.id!);
    }
  });
  while (finished.size < 60) await delay(5);
  first.process.kill('SIGKILL');
  await first.exited;
  isKilled = true;
  await Promise.all(producing);
  await Promise.all(opened.splice(0).map((each) => each.close().catch(() => {})));
  await first.stop();

  const second = await TestServer.start(options);
  t.teardown(() => second.stop('SIGKILL'));
  const queue = connect(second.port);
  const finishedBefore = new Set(finished);
  for (const id of added) if (!(await queue.getJob(id))) t.fail(`the job ${id} is lost`);
  begun.clear();
  work(second.port);
  const ids = [...added];
  const states = async () => new Set(await Promise.all(ids.map((id) => queue.getJobState(id))));
  for (let seen = await states(); seen.size > 1 || !seen.has('completed'); seen = await states())
    await delay(50);
  for (const id of finishedBefore) if (begun.has(id)) t.fail(`the job ${id} is done again`);
  const jobs = await Promise.all(ids.map((id) => queue.getJob(id)));
  t.ok(
    jobs.every((job) => job?.returnvalue === job?.data.number),
    'each job has its result',
  );
  t.ok(finishedBefore.size >= 60 && added.size >= finishedBefore.size);
  await Promise.all(opened.map((each) => each.close()));
});

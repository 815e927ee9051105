/** Load of a job queue: BullMQ's scripts, as its own library calls them. */

import { Queue, Worker } from 'bullmq';
import { Countdown, sampleOf } from './load-connection.js';
import type { Sample } from './workloads.js';

const NAME = 'jobs';
const JOB = 'resize';
/** What an application may tell of a job. */
const DATA = {
  user: { id: 81_723, name: 'Maria Beispiel', plan: 'team' },
  image: { path: 'uploads/2026/11/30/5f3e21c0-picture.jpg', bytes: 2_483_112, type: 'image/jpeg' },
  sizes: [64, 128, 256, 512, 1024],
  notify: ['https://example.com/hooks/images', 'maria@example.com'],
};
/** Calls that are under way at once. */
const CALLS = 50;
const JOBS_PER_BULK = 1000;
const WORKERS = 8;
const LOCK_MS = 600_000;

/** Calls something so many times, some at once, and notes how long each takes, in ms. */
async function repeat(count: number, turns: number[], call: () => Promise<unknown>): Promise<void> {
  let left = count;
  const run = async (): Promise<void> => {
    while (left-- > 0) {
      const start = performance.now();
      await call();
      turns.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: CALLS }, run));
}

async function withQueue(port: number, body: (queue: Queue) => Promise<Sample>): Promise<Sample> {
  const queue = new Queue(NAME, { connection: { host: '127.0.0.1', port } });
  await queue.obliterate({ force: true });
  const sample = await body(queue);
  await queue.obliterate({ force: true });
  await queue.close();
  return sample;
}

async function fill(queue: Queue, count: number): Promise<void> {
  for (let added = 0; added < count; added += JOBS_PER_BULK) {
    const length = Math.min(JOBS_PER_BULK, count - added);
    await queue.addBulk(Array.from({ length }, () => ({ name: JOB, data: DATA })));
  }
}

/** Adds so many jobs: `addStandardJob`. */
export function addJobs(port: number, count: number, cpuSeconds: () => number): Promise<Sample> {
  return withQueue(port, (queue) =>
    sampleOf(count, cpuSeconds, (turns) => repeat(count, turns, () => queue.add(JOB, DATA))),
  );
}

/** Takes so many jobs that are there: `moveToActive`. */
export function takeJobs(port: number, count: number, cpuSeconds: () => number): Promise<Sample> {
  return withQueue(port, async (queue) => {
    await fill(queue, count);
    const connection = { host: '127.0.0.1', port };
    const worker = new Worker(NAME, null, { connection, lockDuration: LOCK_MS });
    await worker.waitUntilReady();
    const sample = await sampleOf(count, cpuSeconds, (turns) =>
      repeat(count, turns, async () => {
        if (!(await worker.getNextJob('token', { block: false }))) throw new Error('a job is missing');
      }),
    );
    await worker.close(true);
    return sample;
  });
}

/** One producer and eight workers: so many jobs from being added to being done. */
export function doJobs(port: number, count: number, cpuSeconds: () => number): Promise<Sample> {
  return withQueue(port, (queue) =>
    sampleOf(count, cpuSeconds, async (turns) => {
      const connection = { host: '127.0.0.1', port };
      const done = new Countdown(count);
      const workers = Array.from(
        { length: WORKERS },
        () =>
          new Worker(
            NAME,
            async (job) => {
              turns.push(Date.now() - job.timestamp);
              done.count();
            },
            { connection, concurrency: 10, lockDuration: LOCK_MS },
          ),
      );
      for (let added = 0; added < count; added += CALLS) {
        const length = Math.min(CALLS, count - added);
        await Promise.all(Array.from({ length }, () => queue.add(JOB, DATA)));
      }
      await done.over;
      await Promise.all(workers.map((worker) => worker.close()));
    }),
  );
}

/** What is measured while a whole dataset is written: latencies of clients that change it, and how much memory that takes. */

import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { Random } from '../test/tools/random.js';
import type { RawClient } from '../test/tools/raw-client.js';
import type { MemoryReport } from './memory-thread.js';

/** Of the keys that DEBUG POPULATE makes, before a colon and a number. */
export const KEY_PREFIX = 'key';

/** Of values that it sorts: the one below which such a share of them is. */
export function percentile(values: number[], share: number): number {
  values.sort((left, right) => left - right);
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;
}

/** Random SETs on several connections, one at a time on each; gathers their latencies. */
export class WriteLoad {
  latencies: number[] = [];
  private isOver = false;
  private readonly running: Promise<void>[];

  constructor(clients: readonly RawClient[], keys: number, valueBytes: number) {
    const value = Buffer.alloc(valueBytes, 'v');
    this.running = clients.map((client, index) => this.run(client, new Random(100 + index), keys, value));
  }

  private async run(client: RawClient, random: Random, keys: number, value: Buffer): Promise<void> {
    while (!this.isOver) {
      const startedAt = performance.now();
      await client.command('SET', `${KEY_PREFIX}:${random.below(keys)}`, value);
      this.latencies.push(performance.now() - startedAt);
    }
  }

  async stop(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.running);
  }
}

/** A field of a section of INFO, '' if there is none. */
export async function infoField(client: RawClient, section: string, field: string): Promise<string> {
  const text = await client.text('INFO', section);
  return new RegExp(`^${field}:(.*)\\r$`, 'm').exec(text)?.[1] ?? '';
}

/** Looks at the memory of a process and its children. */
export class MemoryWatch {
  private readonly thread: Worker;

  constructor(pid: number) {
    this.thread = new Worker(new URL('./memory-thread.js', import.meta.url), { workerData: pid });
  }

  async report(): Promise<MemoryReport> {
    this.thread.postMessage(null);
    const [report] = await once(this.thread, 'message');
    return report;
  }

  async stop(): Promise<void> {
    await this.thread.terminate();
  }
}

/** What the parts of the mixed load share: when to end, what they have found, and the clients that they open. */

import { setTimeout as delay } from 'node:timers/promises';
import { Redis, type RedisOptions } from 'ioredis';
import { createClient } from 'redis';
import type { Random } from '../tools/random.js';

/** So many findings are told; a fault tends to repeat itself. */
const FINDINGS_MAX = 20;

/** Drivers give up after five seconds, which is little on a machine with other work. */
export const PATIENCE_MS = 60_000;

export interface Load {
  readonly port: number;
  readonly random: Random;
  /** True once the load is to end. */
  isOver(): boolean;
  /** Notes something that is wrong. */
  found(problem: string): void;
}

export class Findings {
  readonly problems: string[] = [];
  private count = 0;

  readonly note = (problem: string): void => {
    this.count++;
    if (this.problems.length < FINDINGS_MAX) this.problems.push(problem);
  };

  get unnamed(): number {
    return this.count - this.problems.length;
  }
}

/** A client of ioredis that does not come back by itself. */
export function openIoredis(port: number, options: RedisOptions = {}): Redis {
  const client = new Redis({ port, host: '127.0.0.1', retryStrategy: null, ...options } as RedisOptions);
  client.on('error', () => {});
  return client;
}

/** A client of node-redis that does not come back by itself: a subscriber would miss what is said meanwhile. */
export async function openNodeRedis(load: Load, protocol: 2 | 3) {
  const client = createClient({
    socket: { host: '127.0.0.1', port: load.port, reconnectStrategy: false, connectTimeout: PATIENCE_MS },
    commandOptions: { timeout: PATIENCE_MS },
    RESP: protocol,
  });
  client.on('error', (error: Error) => load.found(`a connection of node-redis has failed: ${error.message}`));
  await client.connect();
  return client;
}

/** Runs bodies one after the other until the load is over. */
export async function again(load: Load, body: () => Promise<void>): Promise<void> {
  while (!load.isOver()) await body();
}

/** Lets others run for a random time. */
export async function pause({ random }: Load, milliseconds: number): Promise<void> {
  await delay(random.below(milliseconds + 1));
}

/** Load that redis-benchmark can't make: consumers that wait in blocking commands for what producers add. */

import { setTimeout as delay } from 'node:timers/promises';
import { Countdown, command, hasLines, LoadConnection, sampleOf } from './load-connection.js';
import type { Sample } from './workloads.js';

export interface Queue {
  readonly consumers: number;
  readonly producers: number;
  /** What a consumer sends for each element. */
  readonly take: readonly (string | number)[];
  /** Of how many lines the reply to that consists. */
  readonly takenLines: number;
  /** What a producer sends for the n-th element. */
  give(n: number): readonly (string | number)[];
}

/** Moves so many elements through a queue; a turn is the time that a consumer waits for one. */
export async function runQueue(
  queue: Queue,
  port: number,
  count: number,
  cpuSeconds: () => number,
): Promise<Sample> {
  const consumers = await LoadConnection.openAll(port, queue.consumers);
  const producers = await LoadConnection.openAll(port, queue.producers);
  const take = command(...queue.take);
  let given = 0;
  const taken = new Countdown(count);
  const consume = async (consumer: LoadConnection, turns: number[]): Promise<void> => {
    for (;;) {
      const start = performance.now();
      await consumer.send(take, hasLines(queue.takenLines));
      turns.push(performance.now() - start);
      taken.count();
    }
  };
  const produce = async (producer: LoadConnection): Promise<void> => {
    while (given < count) await producer.send(command(...queue.give(given++)), hasLines(1));
  };
  const sample = await sampleOf(count, cpuSeconds, async (turns) => {
    for (const consumer of consumers) void consume(consumer, turns);
    await Promise.all([taken.over, ...producers.map(produce)]);
  });
  for (const connection of [...consumers, ...producers]) connection.close();
  return sample;
}

/** Long enough for a consumer to wait in the server, wherever its connection is. */
const UNTIL_IT_WAITS_MS = 1;

/** Hands elements over one at a time; a turn is the time from sending one to its arrival at the consumer that waits for it. */
export async function handOver(port: number, count: number, cpuSeconds: () => number): Promise<Sample> {
  const [consumer, producer] = await LoadConnection.openAll(port, 2);
  const take = command('BRPOP', 'handover', 0);
  const give = command('LPUSH', 'handover', 'element');
  const sample = await sampleOf(count, cpuSeconds, async (turns) => {
    for (let n = 0; n < count; n++) {
      const taken = consumer!.send(take, hasLines(5));
      await delay(UNTIL_IT_WAITS_MS);
      const start = performance.now();
      const given = producer!.send(give, hasLines(1));
      await taken;
      turns.push(performance.now() - start);
      await given;
    }
  });
  consumer!.close();
  producer!.close();
  return sample;
}

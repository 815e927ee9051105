/**
 * A job queue: producers push numbered jobs to lists and sorted sets; consumers wait for them in all ways. Some consumers
 * move jobs to a list of their own and vanish while they wait. In the end each job was done once or is still somewhere, once.
 */

import { again, type Load, openIoredis, openNodeRedis, pause } from './part.js';

const QUEUES = Array.from({ length: 4 }, (_, index) => `jobs:${index}`);
const RANKED = Array.from({ length: 3 }, (_, index) => `ranked:${index}`);
const PRODUCERS = 4;
const CONSUMERS = 12;
const ROUGH_CONSUMERS = 4;
/** More jobs than that do not wait; producers do. */
const WAITING_MAX = 1000;

type Client = ReturnType<typeof openIoredis>;

/** What a consumer needs of either driver. */
interface Consumer {
  popLists(keys: string[], seconds: number): Promise<string | null>;
  popRanked(keys: string[], seconds: number): Promise<string | null>;
  leave(): Promise<unknown>;
}

async function openConsumer(load: Load): Promise<Consumer> {
  const { port, random } = load;
  const isFromLeft = random.chance(0.3);
  if (random.chance(0.5)) {
    const client = openIoredis(port);
    return {
      popLists: async (keys, seconds) => {
        if (random.chance(0.2)) {
          const popped = await client.blmpop(seconds, keys.length, ...keys, 'LEFT', 'COUNT', 1);
          return popped === null ? null : (popped[1] as string[])[0]!;
        }
        const popped = await (isFromLeft ? client.blpop(...keys, seconds) : client.brpop(...keys, seconds));
        return popped === null ? null : popped[1];
      },
      popRanked: async (keys, seconds) => {
        const popped = await client.bzpopmin(...keys, seconds);
        return popped === null ? null : popped[1];
      },
      leave: () => client.quit(),
    };
  }
  const client = await openNodeRedis(load, random.chance(0.5) ? 2 : 3);
  return {
    popLists: async (keys, seconds) => {
      const popped = await (isFromLeft ? client.blPop(keys, seconds) : client.brPop(keys, seconds));
      return popped === null ? null : popped.element;
    },
    popRanked: async (keys, seconds) => (await client.bzPopMin(keys, seconds))?.value ?? null,
    leave: () => client.close(),
  };
}

export class Jobs {
  private readonly load: Load;
  /** How often each job of each producer was done. */
  private readonly done = Array.from({ length: PRODUCERS }, () => new Uint8Array(1 << 16));
  private readonly made = new Array<number>(PRODUCERS).fill(0);
  private finished = 0;
  private timeouts = 0;
  private vanished = 0;
  private roughNumber = 0;

  constructor(load: Load) {
    this.load = load;
  }

  async run(): Promise<void> {
    const { load } = this;
    const tasks: Promise<void>[] = [];
    for (let index = 0; index < PRODUCERS; index++) tasks.push(this.produce(index));
    for (let index = 0; index < CONSUMERS; index++) tasks.push(again(load, () => this.consume()));
    for (let index = 0; index < ROUGH_CONSUMERS; index++)
      tasks.push(again(load, () => this.consumeAndVanish()));
    await Promise.all(tasks);
    await this.countTheRest();
  }

  report(): string {
    return `jobs: ${this.total} made, ${this.finished} done, ${this.timeouts} waits in vain, ${this.vanished} consumers that vanished`;
  }

  private get total(): number {
    return this.made.reduce((sum, count) => sum + count, 0);
  }

  private finish(job: string): void {
    const [producer, number] = job.split(':').map(Number) as [number, number];
    const counts = this.done[producer];
    if (counts === undefined || !(number < this.made[producer]!)) {
      this.load.found(`jobs: ${job} was never made`);
      return;
    }
    counts[number]!++;
    if (counts[number]! > 1) this.load.found(`jobs: ${job} is there twice`);
    this.finished++;
  }

  private next(producer: number): string {
    const number = this.made[producer]!++;
    if (number >= this.done[producer]!.length) {
      const larger = new Uint8Array(2 * number);
      larger.set(this.done[producer]!);
      this.done[producer] = larger;
    }
    return `${producer}:${number}`;
  }

  private async produce(producer: number): Promise<void> {
    const { load } = this;
    const { random } = load;
    await again(load, async () => {
      const client = openIoredis(load.port);
      for (let rounds = random.between(1, 100); rounds > 0 && !load.isOver(); rounds--) {
        if (this.total - this.finished < WAITING_MAX) await this.push(client, producer);
        await pause(load, 15);
      }
      await client.quit();
    });
  }

  private async push(client: Client, producer: number): Promise<void> {
    const { random } = this.load;
    const jobs = Array.from({ length: random.between(1, 5) }, () => this.next(producer));
    const queue = random.pick(QUEUES);
    const choice = random.below(6);
    if (choice === 0) await client.lpush(queue, ...jobs);
    else if (choice === 1) await client.rpush(queue, ...jobs);
    else if (choice === 2) await Promise.all(jobs.map((job) => client.lpush(random.pick(QUEUES), job)));
    else if (choice === 3) {
      const transaction = client.multi();
      for (const job of jobs) transaction.zadd(random.pick(RANKED), random.below(10), job);
      transaction.get('not a queue');
      await transaction.exec();
    } else if (choice === 4) {
      await client.zadd(random.pick(RANKED), ...jobs.flatMap((job) => [random.below(10), job]));
    } else {
      const script = "for i, job in ipairs(ARGV) do redis.call('RPUSH', KEYS[1], job) end";
      await client.eval(script, 1, queue, ...jobs);
    }
  }

  private async consume(): Promise<void> {
    const { load } = this;
    const { random } = load;
    const consumer = await openConsumer(load);
    for (let rounds = random.between(1, 200); rounds > 0 && !load.isOver(); rounds--) {
      const seconds = random.pick([0.02, 0.2, 1]);
      const isRanked = random.chance(0.5);
      const keys = random.shuffle([...(isRanked ? RANKED : QUEUES)]).slice(0, random.between(1, 3));
      const job = await (isRanked ? consumer.popRanked(keys, seconds) : consumer.popLists(keys, seconds));
      if (job === null) this.timeouts++;
      else this.finish(job);
    }
    await consumer.leave();
  }

  private ownList(number: number): string {
    return `doing:${number}`;
  }

  /** What it has begun is in a list of its own, and counted in the end. */
  private async consumeAndVanish(): Promise<void> {
    const { load } = this;
    const { random } = load;
    const own = this.ownList(this.roughNumber++);
    const client = openIoredis(load.port);
    for (let rounds = random.between(1, 50); rounds > 0 && !load.isOver(); rounds--) {
      const job = await client.blmove(random.pick(QUEUES), own, 'RIGHT', 'LEFT', 0.1);
      if (job === null) continue;
      // Removed and done at once, as far as anybody can tell.
      if ((await client.lrem(own, 1, job)) !== 1) load.found(`jobs: ${job} is not in ${own}`);
      else this.finish(job);
    }
    const last = client.blmove(random.pick(QUEUES), own, 'RIGHT', 'LEFT', 0).catch(() => null);
    await pause(load, 20);
    client.disconnect();
    await last;
    this.vanished++;
  }

  private async countTheRest(): Promise<void> {
    const client = openIoredis(this.load.port);
    const isWaiting = async () => /^blocked_clients:[1-9]/m.test(await client.info('clients'));
    while (await isWaiting()) await pause(this.load, 20);
    for (let number = 0; number < this.roughNumber; number++) {
      for (const job of await client.lrange(this.ownList(number), 0, -1)) this.finish(job);
    }
    for (const queue of QUEUES) for (const job of await client.lrange(queue, 0, -1)) this.finish(job);
    for (const queue of RANKED) for (const job of await client.zrange(queue, '0', '-1')) this.finish(job);
    for (const [producer, made] of this.made.entries()) {
      for (let number = 0; number < made; number++)
        if (this.done[producer]![number] === 0) this.load.found(`jobs: ${producer}:${number} is lost`);
    }
    await client.quit();
  }
}

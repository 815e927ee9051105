/**
 * Replication for a long time: two Damselflies and a redis-server in all roles, one event a round while clients write.
 *
 *     node dist/test/replication/rounds.js --rounds 1000
 *
 * Events cut links, stop, restart and kill servers, fail over and rearrange the group. After each round all datasets and offsets
 * are equal, and no server has needed a full sync where a partial one was possible. Besides:
 *
 * - A write that WAIT (with `--aof`: WAITAOF 1 1) has confirmed survives the primary's `kill -9`; any write that was acknowledged
 *   survives a failover that was asked for.
 * - No client of a replica sees a part of a transaction.
 *
 *   --rounds N      how many (default 100)
 *   --seed N        of events and writes (default 1)
 *   --event NAME    only this event
 *   --threads N     workers of each Damselfly (default 3)
 *   --transport T   of each Damselfly
 *   --aof           Damselflies have an append-only file
 *   --damselfly     no redis-server: three Damselflies
 *
 * Prints a line and the ends of the logs for each fault, and the figures at the end; the exit code is 0 only if all is well.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Redis } from 'ioredis';
import { Random } from '../tools/random.js';
import { type ServerKind, TestServer } from '../tools/server.js';
import { compare, info, until, writeRandomly } from './pairs.js';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    event: { type: 'string', default: '' },
    threads: { type: 'string', default: '3' },
    transport: { type: 'string', default: '' },
    aof: { type: 'boolean', default: false },
    damselfly: { type: 'boolean', default: false },
  },
});

const random = new Random(Number(values.seed));
/** Random writes flush and swap the databases below. */
const OWN_DATABASE = 9;
const TOGETHER = ['t:a', 't:b', 't:c', 't:d', 't:e'];
const CONTINUED = { maxRetriesPerRequest: null, retryStrategy: () => 50 };

/** A server with a place in the group; it may be restarted. */
class Node {
  readonly name: string;
  readonly kind: ServerKind;
  private server: TestServer | null = null;
  private home: TestServer | null = null;
  private control: Redis | null = null;
  /** Whom it follows; null: it is the primary. */
  primary: Node | null = null;

  constructor(name: string, kind: ServerKind) {
    this.name = name;
    this.kind = kind;
  }

  get port(): number {
    return this.running.port;
  }

  get running(): TestServer {
    if (this.server === null) throw new Error(`${this.name} does not run`);
    return this.server;
  }

  get client(): Redis {
    this.control ??= this.running.client(CONTINUED);
    return this.control;
  }

  async start(): Promise<void> {
    const { home, primary, kind } = this;
    const isOurs = kind === 'damselfly';
    const server = await TestServer.start({
      kind,
      threads: Number(values.threads),
      ...(home === null ? {} : { port: home.port }),
      directives: {
        'repl-diskless-sync-delay': 0,
        'repl-ping-replica-period': 1,
        'repl-backlog-size': '64mb',
        'repl-diskless-sync': random.pick(['yes', 'no']),
        ...(isOurs ? { 'repl-diskless-load': random.pick(['disabled', 'swapdb']) } : {}),
        ...(isOurs && values.aof ? { appendonly: 'yes' } : {}),
        ...(isOurs && values.transport !== '' ? { transport: values.transport } : {}),
        ...(home === null ? {} : { dir: home.directory }),
        ...(primary === null ? {} : { replicaof: ['127.0.0.1', String(primary.port)] }),
      },
    });
    this.home ??= server;
    this.server = server;
    this.control = null;
  }

  /** Ends it, leaving its files. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const { running } = this;
    this.control?.disconnect();
    running.process.kill(signal);
    await running.exited;
  }

  async shutdownSaving(): Promise<void> {
    const { client, running } = this;
    let isOver = false;
    const exited = running.exited.then(() => {
      isOver = true;
    });
    // It is refused while an append-only file has no base yet.
    while (!isOver) await Promise.race([exited, client.call('SHUTDOWN', 'SAVE').catch(() => delay(50))]);
    this.control?.disconnect();
  }

  async follow(primary: Node): Promise<void> {
    this.primary = primary;
    await this.client.call('REPLICAOF', '127.0.0.1', String(primary.port));
  }

  async lead(): Promise<void> {
    this.primary = null;
    await this.client.call('REPLICAOF', 'NO', 'ONE');
  }

  async offset(): Promise<number> {
    const fields = await info(this.client);
    return Number(fields.get('slave_repl_offset') ?? fields.get('master_repl_offset'));
  }

  async fullSyncs(): Promise<number> {
    return Number((await info(this.client, 'stats')).get('sync_full'));
  }

  async stop(): Promise<void> {
    await this.running.stop('SIGKILL');
    await this.home?.stop('SIGKILL');
  }
}

/** What an event does to the group, and what it may cost. */
interface Outcome {
  /** Full syncs that can't be avoided. */
  readonly fullSyncs: number;
  /** Which writes must have survived: all, those that were confirmed. */
  readonly survives: 'all' | 'confirmed';
}

const nodes: readonly Node[] = [
  new Node('A', 'damselfly'),
  new Node('B', 'damselfly'),
  new Node('C', values.damselfly ? 'damselfly' : 'redis'),
];
let counted = new Map<Node, number>();
const leader = (): Node => nodes.find(({ primary }) => primary === null)!;
const replicas = (): Node[] => nodes.filter(({ primary }) => primary !== null);
const followersOf = (node: Node): Node[] => nodes.filter(({ primary }) => primary === node);
const NOTHING: Outcome = { fullSyncs: 0, survives: 'all' };

/** The data of a server is older than what it has given to those that follow it: they can't go on there. */
function lostBy(node: Node): number {
  return 1 + followersOf(node).length;
}

const EVENTS: Readonly<Record<string, () => Promise<Outcome>>> = {
  rest: async () => NOTHING,
  cutReplicas: async () => {
    for (let left = random.between(1, 4); left > 0; left--) {
      for (const node of nodes) await node.client.call('CLIENT', 'KILL', 'TYPE', 'replica');
      await delay(random.below(60));
    }
    return NOTHING;
  },
  cutPrimary: async () => {
    for (let left = random.between(1, 4); left > 0; left--) {
      await random.pick(replicas()).client.call('CLIENT', 'KILL', 'TYPE', 'master');
      await delay(random.below(60));
    }
    return NOTHING;
  },
  freeze: async () => {
    const node = random.pick(nodes);
    node.running.process.kill('SIGSTOP');
    await delay(random.between(50, 500));
    node.running.process.kill('SIGCONT');
    return NOTHING;
  },
  restartReplica: async () => {
    const node = random.pick(replicas());
    await node.shutdownSaving();
    counted.set(node, 0);
    await node.start();
    // Those behind it may have been behind its snapshot; a server with an append-only file has no history after a restart.
    const hasFile = values.aof && node.kind === 'damselfly';
    return { fullSyncs: followersOf(node).length + (hasFile ? 1 : 0), survives: 'all' };
  },
  killReplica: async () => {
    const node = random.pick(replicas());
    await node.end('SIGKILL');
    counted.set(node, 0);
    await node.start();
    return { fullSyncs: lostBy(node), survives: 'all' };
  },
  rearrange: async () => {
    const [one, two] = random.pick([replicas(), replicas().reverse()]) as [Node, Node];
    const top = leader();
    if (random.chance(0.5)) {
      await one.follow(top);
      await two.follow(random.pick([one, top]));
    } else {
      await one.follow(top);
      await untilUp(one);
      await two.follow(one);
    }
    return NOTHING;
  },
  failover: async () => {
    const old = leader();
    const next = random.pick(followersOf(old));
    const others = followersOf(old).filter((node) => node !== next);
    await until('replicas are online', async () =>
      new RegExp(`port=${next.port},state=online`).test(await old.client.info('replication')),
    );
    await old.client.call('FAILOVER', 'TO', '127.0.0.1', String(next.port), 'TIMEOUT', '60000');
    await until('it has failed over', async () => {
      const fields = await info(old.client);
      return fields.get('master_failover_state') === 'no-failover';
    });
    if ((await info(old.client)).get('role') === 'master') throw new Error('the failover has failed');
    old.primary = next;
    next.primary = null;
    if (random.chance(0.5)) for (const node of others) await node.follow(next);
    return NOTHING;
  },
  takeOver: async () => {
    const old = leader();
    const next = random.pick(followersOf(old));
    const others = followersOf(old).filter((node) => node !== next);
    // A ping between the two REPLICAOF would be in the old history alone.
    await old.client.config('SET', 'repl-ping-replica-period', '3600');
    await old.client.call('CLIENT', 'PAUSE', '60000', 'WRITE');
    await until('it has all', async () => (await next.offset()) === (await old.offset()));
    await next.lead();
    // Sent together: nothing is to be recorded between the two.
    const [offset] = await Promise.all([old.offset(), old.follow(next)]);
    await old.client.call('CLIENT', 'UNPAUSE');
    await old.client.config('SET', 'repl-ping-replica-period', '1');
    for (const node of others) await node.follow(next);
    // A client's WAIT may have put a GETACK into the old history alone.
    const common = Number((await info(next.client)).get('second_repl_offset')) - 1;
    return offset > common ? { ...NOTHING, fullSyncs: 1 + others.length } : NOTHING;
  },
  crash: async () => {
    const old = leader();
    await old.end('SIGKILL');
    // Some of the stream may still be in their sockets.
    await until('the replicas have applied all that has come', async () => {
      for (const node of replicas()) {
        const isDone =
          node.primary === old
            ? (await info(node.client)).get('master_link_status') === 'down'
            : (await node.offset()) === (await node.primary!.offset());
        if (!isDone) return false;
      }
      return true;
    });
    const offsets = await Promise.all(replicas().map(async (node) => [await node.offset(), node] as const));
    offsets.sort(([one], [two]) => two - one);
    const [next, ...others] = offsets.map(([, node]) => node) as [Node, ...Node[]];
    await next.lead();
    for (const node of others) await node.follow(next);
    old.primary = next;
    counted.set(old, 0);
    await old.start();
    return { fullSyncs: 1, survives: 'confirmed' };
  },
};

async function untilUp(node: Node): Promise<void> {
  await until(
    `${node.name} is linked`,
    async () => (await info(node.client)).get('master_link_status') === 'up',
  );
}

/** Those nearest to the primary first. */
function downward(): Node[] {
  const ordered = [leader()];
  for (const node of ordered) ordered.push(...followersOf(node));
  return ordered.slice(1);
}

let faults = 0;
function fault(text: string): void {
  faults++;
  console.log(`FAULT ${text}`);
}

const figures = { writes: 0, transactions: 0, looks: 0, confirmed: 0, fullSyncs: 0, partialSyncs: 0 };

/** Sets keys one by one; notes which were acknowledged, and which were confirmed. */
async function writeNoting(
  client: Redis,
  round: number,
  all: string[],
  confirmed: string[],
  isOver: () => boolean,
) {
  for (let number = 0; !isOver(); number++) {
    const key = `w:${round}:${number}`;
    try {
      await client.set(key, '1');
      all.push(key);
      if (number % 3 !== 0) continue;
      const isOn =
        values.aof && leader().kind === 'damselfly'
          ? ((await client.call('WAITAOF', '1', '1', '200')) as number[]).every((count) => count > 0)
          : (await client.wait(1, 200)) > 0;
      if (isOn) confirmed.push(key);
    } catch {
      await delay(5);
    }
  }
}

async function writeTogether(client: Redis, round: number, isOver: () => boolean): Promise<void> {
  for (let number = 0; !isOver(); number++) {
    const transaction = client.multi();
    for (const key of TOGETHER) transaction.set(key, `${round}:${number}`);
    await transaction.exec().then(
      () => figures.transactions++,
      () => delay(5),
    );
  }
}

async function look(client: Redis, node: Node, round: number, isOver: () => boolean): Promise<void> {
  while (!isOver()) {
    try {
      const seen = await client.mget(TOGETHER);
      figures.looks++;
      if (new Set(seen).size > 1) fault(`round ${round}: a transaction in part on ${node.name}: ${seen}`);
    } catch {
      await delay(10);
    }
  }
}

async function playRound(round: number, name: string): Promise<void> {
  let isOver = false;
  const clients: Redis[] = [];
  const connect = (node: Node, options: object = {}): Redis => {
    const client = node.running.client({ enableOfflineQueue: true, ...options });
    clients.push(client);
    return client;
  };
  const top = leader();
  const own = { db: OWN_DATABASE };
  const all: string[] = [];
  const confirmed: string[] = [];
  const isDone = (): boolean => isOver;
  const work = [
    ...Array.from({ length: 3 }, async () => {
      const seed = random.below(1e9);
      figures.writes += await writeRandomly(connect(top), new Random(seed), isDone);
    }),
    writeNoting(connect(top, own), round, all, confirmed, isDone),
    writeTogether(connect(top, own), round, isDone),
    ...replicas().map((node) => look(connect(node, own), node, round, isDone)),
  ];
  await delay(random.below(150));
  const outcome = await EVENTS[name]!();
  await delay(random.below(150));
  isOver = true;
  const closing = setTimeout(() => {
    for (const client of clients) client.disconnect();
  }, 2000);
  await Promise.all(work);
  clearTimeout(closing);
  for (const client of clients) client.disconnect();
  figures.confirmed += confirmed.length;

  // A link that is lost right after the event may need more than one attempt.
  for (const node of downward()) {
    await untilUp(node);
    const found = await compare(node.primary!.client, node.client);
    if (found.length > 0)
      fault(
        `round ${round} ${name}: ${node.name} differs from ${node.primary!.name}: ${found.slice(0, 3).join('; ')}`,
      );
  }
  let fullSyncs = 0;
  const now = new Map<Node, number>();
  for (const node of nodes) {
    const count = await node.fullSyncs();
    fullSyncs += count - (counted.get(node) ?? 0);
    now.set(node, count);
  }
  counted = now;
  figures.fullSyncs += fullSyncs;
  if (fullSyncs > outcome.fullSyncs)
    fault(`round ${round} ${name}: ${fullSyncs} full syncs, ${outcome.fullSyncs} would do`);
  const control = leader().client;
  await control.select(OWN_DATABASE);
  const wanted = outcome.survives === 'all' ? all : confirmed;
  if (wanted.length > 0) {
    const lost = (await control.mget(wanted)).filter((value) => value === null).length;
    if (lost > 0)
      fault(`round ${round} ${name}: ${lost} of ${wanted.length} ${outcome.survives} writes lost`);
    await control.unlink(all);
  }
  await control.select(0);
}

function lastLines({ name, running }: Node): string {
  return `--- ${name}\n${running.output().split('\n').slice(-40).join('\n')}`;
}

const chain = (): string => nodes.map((node) => `${node.name}<${node.primary?.name ?? ''}`).join(' ');

async function main(): Promise<void> {
  for (const node of nodes) await node.start();
  for (const node of nodes.slice(1)) await node.follow(nodes[0]!);
  for (const node of replicas()) await untilUp(node);
  for (const node of nodes) counted.set(node, await node.fullSyncs());
  const names = values.event === '' ? Object.keys(EVENTS) : [values.event];
  const rounds = Number(values.rounds);
  const beganMs = performance.now();
  for (let round = 1; round <= rounds; round++) {
    const name = random.pick(names);
    const before = faults;
    const group = chain();
    try {
      await playRound(round, name);
    } catch (error) {
      fault(`round ${round} ${name}: ${(error as Error).message}`);
      break;
    }
    if (faults > before) {
      console.log(`  ${group} → ${chain()}`);
      for (const node of nodes) console.log(lastLines(node));
    }
    if (round % 25 === 0)
      console.log(`${round} rounds, ${Math.round((performance.now() - beganMs) / 1000)} s, ${faults} faults`);
  }
  console.log(JSON.stringify({ ...figures, faults }));
  for (const node of nodes) {
    await node.stop();
  }
  process.exitCode = faults === 0 ? 0 : 1;
}

// When a connection is closed, the client library rejects more promises of a transaction than the one it has returned.
process.on('unhandledRejection', (error) => {
  if (!/Connection is closed/.test(String(error))) throw error;
});
await main();

/**
 * Random scripts of several clients that wait for keys, sent to redis-server and Damselfly: who is woken by what, in
 * which order, with which reply, and which events there are.
 *
 *   node dist/test/compat/waiting.js --steps 100000 --seed 7 --threads 3
 */

import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { Random } from '../tools/random.js';
import { encodeCommand, RawClient, type RawClientAddress } from '../tools/raw-client.js';
import { bulkText, elementsOf } from './replies.js';

const CLIENTS = 7;
const STEPS_PER_SCRIPT = 60;
const REPLY_TIMEOUT_MS = 5_000;
const FENCE = 'fence';

type Args = readonly string[];

/** What one client does: commands in one write. Without commands it disconnects; `unblocks` names a client that CLIENT UNBLOCK is for. */
export interface WaitingStep {
  readonly client: number;
  readonly commands: readonly Args[];
  readonly unblocks?: number;
}

const KEYS = ['a', 'b', 'c', 'd'];
const ELEMENTS = ['1', '2', '3', 'x', 'y'];

/** Makes the steps of a script; which client is free depends on the replies, so a step is made when it is wanted. */
class Steps {
  private readonly random: Random;
  private nextId = 1;

  constructor(random: Random) {
    this.random = random;
  }

  /** Before the step that is being made. */
  private isAnyoneWaiting = false;

  private key(): string {
    return this.random.pick(KEYS);
  }

  private keys(): string[] {
    return Array.from({ length: this.random.between(1, 3) }, () => this.key());
  }

  private side(): string {
    return this.random.pick(['LEFT', 'RIGHT']);
  }

  private elements(): string[] {
    return Array.from({ length: this.random.between(1, 3) }, () => this.random.pick(ELEMENTS));
  }

  private streamId(): string {
    return `${this.nextId++}-1`;
  }

  private blocking(): Args {
    const { random } = this;
    const keys = this.keys();
    const count = String(random.between(1, 3));
    switch (random.below(12)) {
      case 0:
      case 1:
        return ['BLPOP', ...keys, '0'];
      case 2:
        return ['BRPOP', ...keys, '0'];
      case 3:
      case 4:
        return ['BLMOVE', this.key(), this.key(), this.side(), this.side(), '0'];
      case 5:
        return ['BRPOPLPUSH', this.key(), this.key(), '0'];
      case 6:
        return ['BLMPOP', '0', String(keys.length), ...keys, this.side(), 'COUNT', count];
      case 7:
        return ['BZPOPMIN', ...keys, '0'];
      case 8:
        return ['BZPOPMAX', ...keys, '0'];
      case 9:
        return ['BZMPOP', '0', String(keys.length), ...keys, random.pick(['MIN', 'MAX']), 'COUNT', count];
      case 10:
        return [
          'XREAD',
          'COUNT',
          count,
          'BLOCK',
          '0',
          'STREAMS',
          ...keys,
          ...keys.map(() => random.pick(['$', '0', '5-1'])),
        ];
      default:
        return [
          'XREADGROUP',
          'GROUP',
          'g',
          `c${count}`,
          'COUNT',
          count,
          'BLOCK',
          '0',
          'STREAMS',
          this.key(),
          '>',
        ];
    }
  }

  /** A command that stores: Redis does not look for who waits if a value of another type is replaced. */
  private storing(make: (target: string) => Args): Args[] {
    const target = this.key();
    return [['DEL', target], make(target)];
  }

  private writing(): Args[] {
    const { random } = this;
    const score = String(random.below(5));
    switch (random.below(30)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return [['LPUSH', this.key(), ...this.elements()]];
      case 4:
      case 5:
      case 6:
        return [['RPUSH', this.key(), ...this.elements()]];
      case 7:
      case 8:
      case 9:
        return [
          ['ZADD', this.key(), score, random.pick(ELEMENTS), String(random.below(5)), random.pick(ELEMENTS)],
        ];
      case 10:
        return [['ZINCRBY', this.key(), score, random.pick(ELEMENTS)]];
      case 11:
      case 12:
      case 13:
        return [['XADD', this.key(), this.streamId(), 'f', random.pick(ELEMENTS)]];
      case 14:
        return [['XGROUP', 'CREATE', this.key(), 'g', random.pick(['$', '0']), 'MKSTREAM']];
      case 15:
        return [['RENAME', this.key(), this.key()]];
      case 16:
        return [['COPY', this.key(), this.key(), 'REPLACE']];
      case 17:
        return [['LMOVE', this.key(), this.key(), this.side(), this.side()]];
      case 18:
        return this.storing((target) => ['SORT', this.key(), 'ALPHA', 'STORE', target]);
      case 19:
        return this.storing((target) => ['ZUNIONSTORE', target, '2', this.key(), this.key()]);
      case 20:
        return this.storing((target) => ['ZRANGESTORE', target, this.key(), '0', '-1']);
      case 21:
      case 22:
      case 23:
        return [['DEL', this.key(), this.key()]];
      case 24:
        return [['SET', this.key(), 'text']];
      case 25:
        return [
          random.pick([
            ['LPOP', this.key()],
            ['ZPOPMIN', this.key()],
            ['LINSERT', this.key(), 'BEFORE', 'x', 'y'],
          ]),
        ];
      case 26:
        return [['MOVE', this.key(), '1']];
      case 27:
        // Of keys that become ready at once, Redis serves one or the other first.
        return this.isAnyoneWaiting ? [] : [['SWAPDB', '0', '1']];
      case 28:
        return [random.pick([['FLUSHALL'], ['FLUSHDB'], ['XGROUP', 'DESTROY', this.key(), 'g']])];
      default:
        return [['LPUSHX', this.key(), 'x']];
    }
  }

  next(free: readonly number[], waiting: readonly number[]): WaitingStep {
    const { random } = this;
    this.isAnyoneWaiting = waiting.length > 0;
    const client = random.pick(free);
    if (waiting.length > 0 && random.chance(0.03)) return { client: random.pick(waiting), commands: [] };
    if (waiting.length > 0 && random.chance(0.03)) {
      return { client, commands: [], unblocks: random.pick(waiting) };
    }
    // One has to be free to wake the others.
    if (free.length > 2 && random.chance(0.5)) {
      return {
        client,
        commands: random.chance(0.1) ? [this.blocking(), ['ECHO', 'afterwards']] : [this.blocking()],
      };
    }
    if (random.chance(0.25)) {
      const queued = Array.from({ length: random.between(1, 4) }, () =>
        random.chance(0.15) ? [this.blocking()] : this.writing(),
      ).flat();
      return { client, commands: [['MULTI'], ...queued, ['EXEC']] };
    }
    const commands = Array.from({ length: random.between(1, 3) }, () => this.writing()).flat();
    return { client, commands: commands.length > 0 ? commands : [['PING']] };
  }
}

/** One server with its clients. */
class Side {
  private readonly address: RawClientAddress;
  private control!: RawClient;
  private subscriber!: RawClient;
  private readonly clients: RawClient[] = [];
  private readonly ids: string[] = [];
  /** Replies that each client has still to get. */
  readonly owed: number[] = new Array(CLIENTS).fill(0);

  constructor(address: RawClientAddress) {
    this.address = address;
  }

  async open(): Promise<void> {
    this.control = await RawClient.connect(this.address);
    await this.control.pipeline([['FLUSHALL'], ['CONFIG', 'SET', 'notify-keyspace-events', 'AKE']]);
    this.subscriber = await RawClient.connect(this.address);
    await this.subscriber.command('PSUBSCRIBE', '*');
    for (let index = 0; index < CLIENTS; index++) await this.connect(index);
  }

  private async connect(index: number): Promise<void> {
    this.clients[index] = await RawClient.connect(this.address);
    this.ids[index] = (await this.clients[index]!.text('CLIENT', 'ID')).slice(1).trim();
    this.owed[index] = 0;
  }

  /** Begins a step; the replies come in `settle`. */
  async begin({ client, commands, unblocks }: WaitingStep): Promise<void> {
    if (unblocks !== undefined) {
      await this.control.command('CLIENT', 'UNBLOCK', this.ids[unblocks]!);
    } else if (commands.length === 0) {
      const id = this.ids[client]!;
      await this.clients[client]!.close();
      // It is gone when the server says so.
      for (;;) {
        if (!(await this.control.text('CLIENT', 'LIST')).includes(`id=${id} `)) break;
        await delay(1);
      }
      await this.connect(client);
    } else {
      this.owed[client]! += commands.length;
      this.clients[client]!.write(Buffer.concat(commands.map(encodeCommand)));
    }
  }

  /** Settles when all clients have got their replies or wait; only what a single-threaded server says is final. */
  async settle(): Promise<void> {
    const deadline = Date.now() + REPLY_TIMEOUT_MS;
    for (;;) {
      const list = await this.control.text('CLIENT', 'LIST');
      // What was sent before that reply has arrived by now, but may have to be read from its socket.
      await turn();
      await turn();
      const isAtRest = this.clients.every(
        (client, index) =>
          client.unread === this.owed[index] || new RegExp(`id=${this.ids[index]} .* flags=\\w*b`).test(list),
      );
      if (isAtRest || Date.now() > deadline) return;
      await delay(1);
    }
  }

  /** How many replies each client has got that were not taken. */
  get received(): number[] {
    return this.clients.map(({ unread }) => unread);
  }

  /** Takes so many replies of each client. */
  async take(counts: readonly number[]): Promise<string[][]> {
    const replies: string[][] = [];
    for (let index = 0; index < CLIENTS; index++) {
      const read = await this.clients[index]!.readMany(Math.min(counts[index]!, this.clients[index]!.unread));
      this.owed[index]! -= read.length;
      replies.push(read.map((reply) => comparable(reply.toString('latin1'))));
    }
    return replies;
  }

  async events(): Promise<string[]> {
    await this.control.command('PUBLISH', FENCE, '');
    const events: string[] = [];
    for (;;) {
      const [, , channel, message] = elementsOf(await this.subscriber.read())!;
      if (bulkText(channel!) === FENCE) return events;
      const event = `${bulkText(channel!)} ${bulkText(message!)}`;
      // Since Redis 7.2 reads make the consumer even if there is nothing for it.
      if (!event.includes('xgroup-createconsumer')) events.push(event);
    }
  }

  async close(): Promise<void> {
    const all = [this.control, this.subscriber, ...this.clients];
    await Promise.all(all.map((client) => client?.close()));
  }
}

/** A reply as far as it is the same in all versions. */
function comparable(reply: string): string {
  // What a reader of a group is told whose stream has gone has other words since Redis 7.2.
  return /^-(NOGROUP|UNBLOCKED the stream key|WRONGTYPE)/.test(reply) ? '-NOGROUP or WRONGTYPE' : reply;
}

function describe(step: WaitingStep): string {
  if (step.unblocks !== undefined) return `CLIENT UNBLOCK ${step.unblocks}`;
  if (step.commands.length === 0) return `${step.client} disconnects`;
  return `${step.client}> ${step.commands.map((args) => args.join(' ')).join(' | ')}`;
}

/** Runs the script of a seed; returns what differs, null if nothing does. */
export async function runWaitingScript(
  seed: number,
  reference: RawClientAddress,
  subject: RawClientAddress,
): Promise<string | null> {
  const steps = new Steps(new Random(seed));
  const sides = [new Side(reference), new Side(subject)];
  const [expected, actual] = sides as [Side, Side];
  const log: string[] = [];
  const report = (what: string, one: unknown, other: unknown) =>
    [
      `seed ${seed}: ${what}`,
      ...log,
      `redis:     ${JSON.stringify(one)}`,
      `damselfly: ${JSON.stringify(other)}`,
    ].join('\n');
  try {
    await Promise.all(sides.map((side) => side.open()));
    for (let count = 0; count < STEPS_PER_SCRIPT; count++) {
      const all = Array.from({ length: CLIENTS }, (_, index) => index);
      const free = all.filter((index) => expected.owed[index] === 0);
      const step = steps.next(
        free,
        all.filter((index) => !free.includes(index)),
      );
      log.push(describe(step));
      await Promise.all(sides.map((side) => side.begin(step)));
      await Promise.all(sides.map((side) => side.settle()));
      const wanted = expected.received;
      const deadline = Date.now() + REPLY_TIMEOUT_MS;
      // Of clients of several workers, the replies come when their workers have been told.
      while (actual.received.some((replies, index) => replies < wanted[index]!) && Date.now() < deadline)
        await delay(1);
      const [happened, found] = await Promise.all(sides.map((side) => side.events()));
      if (actual.received.join() !== wanted.join()) return report('who is served', wanted, actual.received);
      const [one, other] = await Promise.all(sides.map((side) => side.take(wanted)));
      if (JSON.stringify(one) !== JSON.stringify(other)) return report('replies', one, other);
      if (happened!.join('\n') !== found!.join('\n')) return report('events', happened, found);
    }
    return null;
  } catch (error) {
    return report(String(error), expected.received, actual.received);
  } finally {
    await Promise.all(sides.map((side) => side.close()));
  }
}

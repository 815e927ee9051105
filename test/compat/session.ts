/** Runs scripts against two servers at once, compares, and makes failing scripts small. */

import { Buffer } from 'node:buffer';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeCommand, RawClient, type RawClientAddress } from '../tools/raw-client.js';
import { bulkText, type CompareContext, elementsOf, maskId, repliesAgree } from './replies.js';
import { CONNECTIONS, type CommandStep, formatCommand, type Script, type Step } from './script.js';
import type { Word } from './vocabulary.js';

const REPLY_TIMEOUT_MS = 5_000;
/** How long the outcome of a byte sequence must stay as it is to count as final. */
const QUIET_MS = 20;
const BYTES_TIMEOUT_MS = 3_000;
/** Runs of smaller and smaller scripts before minimising gives up. */
const MINIMISE_RUNS_MAX = 300;
const MINIMISE_TIME_MS = 20_000;

const CLOSED = Buffer.from('(connection closed)');
const SILENT = Buffer.from('(no reply)');

export interface Mismatch {
  /** Which step of the script. */
  index: number;
  command: string;
  expected: Buffer;
  actual: Buffer;
}

/** What scripts change, as it is at the start of each. */
const CHANGED_DIRECTIVES: readonly string[] = [
  'set-max-intset-entries',
  '512',
  'list-max-listpack-size',
  '-2',
  'list-compress-depth',
  '0',
  'hash-max-listpack-entries',
  '128',
  'hash-max-listpack-value',
  '64',
  'zset-max-listpack-entries',
  '128',
  'zset-max-listpack-value',
  '64',
  'hll-sparse-max-bytes',
  '3000',
  'notify-keyspace-events',
  'AKEnm',
];

/** A channel for messages that say: whatever was published before has been received by now. */
const FENCE_CHANNEL = 'fence';

/** Receives all messages, and so the events of all keys. */
class Listener {
  private readonly subscriber: RawClient;
  private readonly publisher: RawClient;
  private counted = 0;

  private constructor(subscriber: RawClient, publisher: RawClient) {
    this.subscriber = subscriber;
    this.publisher = publisher;
  }

  static async open(address: RawClientAddress): Promise<Listener> {
    const subscriber = await RawClient.connect(address);
    await subscriber.command('PSUBSCRIBE', '*');
    const listener = new Listener(subscriber, await RawClient.connect(address));
    await listener.changes();
    return listener;
  }

  /** The channels and messages of all that has happened. */
  async events(): Promise<string[]> {
    const events: string[] = [];
    try {
      await this.publisher.command('PUBLISH', FENCE_CHANNEL, '');
      for (;;) {
        const [, , channel, message] = elementsOf(await this.subscriber.read())!;
        const name = bulkText(channel!);
        if (name === FENCE_CHANNEL) break;
        events.push(`${name} ${bulkText(message!)}`);
      }
    } catch {
      events.push(CLOSED.toString());
    }
    return events;
  }

  /** How many changes have been counted towards the save points since this was asked last. */
  async changes(): Promise<number> {
    const text = String(await this.publisher.command('INFO', 'persistence').catch(() => CLOSED));
    const counted = Number(/rdb_changes_since_last_save:(\d+)/.exec(text)?.[1]);
    const changes = counted - this.counted;
    this.counted = counted;
    return changes;
  }

  async close(): Promise<void> {
    await Promise.all([this.subscriber.close(), this.publisher.close()]);
  }
}

/** Events without those that are each server's own affair. */
function comparableEvents(
  events: readonly string[],
  commands: readonly (readonly Word[])[],
  hasShortLived: boolean,
): string {
  const has = (pattern: RegExp) => commands.some(([name]) => pattern.test(String(name)));
  // When a key is found to be due, for which elements SORT still looks keys up (and whether it deletes a target that is
  // due), when SMOVE creates the target.
  const own = [/[ :]expired\b/];
  if (has(/^(sort|scan)/i)) own.push(/[ :](keymiss|del)\b/);
  if (has(/^smove/i)) own.push(/[ :]new\b/);
  // Since Redis 7.2 reads make the consumer even if there is nothing for it.
  own.push(/[ :]xgroup-(create|del)consumer\b/);
  // A life of a millisecond may be over within a pipeline; commands that store nothing may find their target due.
  if (hasShortLived) own.push(/[ :](expire|del)\b/);
  return events.filter((event) => !own.some((pattern) => pattern.test(event))).join('\n');
}

/**
 * Whether the versions of Redis count changes of a command in other ways, or what EXEC runs may be one such. A consumer that
 * has got nothing is there only since Redis 7.2, so whether making or deleting it changes anything differs, too.
 */
function countsOtherwise(commands: readonly (readonly Word[])[]): boolean {
  return commands.some(
    ([name, subcommand]) =>
      /^(swapdb|exec|xreadgroup|xclaim|xautoclaim)$/i.test(String(name)) ||
      (/^xgroup$/i.test(String(name)) && /^(create|del)consumer$/i.test(String(subcommand))),
  );
}

/** One server's side of a script. */
class Side {
  private readonly clients: (RawClient | null)[] = Array.from({ length: CONNECTIONS }, () => null);
  readonly address: RawClientAddress;
  private listener: Listener | null = null;

  constructor(address: RawClientAddress) {
    this.address = address;
  }

  async open(resp: readonly number[]): Promise<void> {
    const control = await RawClient.connect(this.address);
    await control.pipeline([
      ['DEBUG', 'SET-ACTIVE-EXPIRE', '0'],
      ['FLUSHALL'],
      ['CONFIG', 'SET', ...CHANGED_DIRECTIVES],
    ]);
    await control.close();
    this.listener = await Listener.open(this.address);
    for (let i = 0; i < CONNECTIONS; i++) {
      await this.client(i);
      if (resp[i] === 3) await this.clients[i]!.command('HELLO', '3');
    }
  }

  /** Sends a pipeline and collects a reply, or what stands for its absence, for each command. */
  async send(connection: number, commands: readonly (readonly Word[])[]): Promise<Buffer[]> {
    const client = await this.client(connection);
    client.write(Buffer.concat(commands.map(encodeCommand)));
    const replies: Buffer[] = [];
    let failed: Buffer | null = null;
    const timeout = new AbortController();
    const late = delay(REPLY_TIMEOUT_MS, SILENT, { signal: timeout.signal }).catch(() => SILENT);
    for (let i = 0; i < commands.length; i++) {
      const reply: Buffer = failed ?? (await Promise.race([client.read().catch(() => CLOSED), late]));
      if (reply === CLOSED || reply === SILENT) failed = reply;
      replies.push(reply);
    }
    timeout.abort();
    if (failed) {
      await client.close();
      this.clients[connection] = null;
    }
    return replies;
  }

  /** What has happened to keys since the last call. */
  events(): Promise<string[]> {
    return this.listener!.events();
  }

  changes(): Promise<number> {
    return this.listener!.changes();
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client?.close()));
    await this.listener?.close();
    this.clients.fill(null);
  }

  private async client(index: number): Promise<RawClient> {
    const client = this.clients[index] ?? (await RawClient.connect(this.address));
    this.clients[index] = client;
    return client;
  }
}

/** What a connection answers to raw bytes so far. */
class Exchange {
  private received = '';
  closed = false;
  changedAt = Date.now();
  private readonly client: RawClient;

  private constructor(client: RawClient) {
    this.client = client;
    client.socket.removeAllListeners('data');
    client.socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.changedAt = Date.now();
    });
    client.socket.on('close', () => {
      this.closed = true;
      this.changedAt = Date.now();
    });
  }

  static async start(address: RawClientAddress, writes: readonly Uint8Array[]): Promise<Exchange> {
    const exchange = new Exchange(await RawClient.connect(address));
    for (const write of writes) {
      if (exchange.closed) break;
      exchange.client.write(write);
      await delay(1);
    }
    return exchange;
  }

  get output(): string {
    return maskId(this.received);
  }

  result(): string {
    return `${this.output}${this.closed ? CLOSED : ''}`;
  }

  close(): Promise<void> {
    return this.client.close();
  }
}

async function compareBytes(
  reference: RawClientAddress,
  subject: RawClientAddress,
  writes: readonly Uint8Array[],
): Promise<{ expected: Buffer; actual: Buffer } | null> {
  const [a, b] = await Promise.all([Exchange.start(reference, writes), Exchange.start(subject, writes)]);
  const deadline = Date.now() + BYTES_TIMEOUT_MS;
  for (;;) {
    const isQuiet = Date.now() - Math.max(a.changedAt, b.changedAt) >= QUIET_MS;
    // Both at rest and equal is the end; different, they get more time, for one of them may be slow.
    if (isQuiet && ((a.closed && b.closed) || a.result() === b.result())) break;
    if (Date.now() > deadline) break;
    await delay(2);
  }
  await Promise.all([a.close(), b.close()]);
  if (a.output === b.output && a.closed === b.closed) return null;
  // A server that closes with input unread resets the connection, which may swallow its last words.
  if (a.closed && b.closed && (a.output.startsWith(b.output) || b.output.startsWith(a.output))) return null;
  return { expected: Buffer.from(a.result(), 'latin1'), actual: Buffer.from(b.result(), 'latin1') };
}

/** Iterates over all keys with SCAN; the first reply is given. Returns its elements, sorted. */
async function scanAll(
  side: Side,
  connection: number,
  args: readonly Word[],
  first: Buffer,
): Promise<string> {
  const found = new Set<string>();
  let reply = first;
  for (let rounds = 0; rounds < 100_000; rounds++) {
    const [cursor, page] = elementsOf(reply)!;
    for (const element of elementsOf(page!)!) found.add(element.toString('latin1'));
    const next = cursor!.toString('latin1').split('\r\n')[1]!;
    if (next === '0') return [...found].sort().join('');
    [reply] = (await side.send(connection, [[args[0]!, next, ...args.slice(2)]])) as [Buffer];
    if (reply[0] !== 0x2a) return `SCAN ${next} answered ${reply.toString('latin1')}`;
  }
  return 'SCAN does not come to an end';
}

/** Tracks what MULTI queues on each connection, from the replies of the reference server. */
class Queues {
  private readonly queued: Word[][][] = Array.from({ length: CONNECTIONS }, () => []);

  /** Returns the commands that the command executes, if it is an EXEC. */
  advance(step: CommandStep, reply: Buffer): Word[][] | null {
    const queue = this.queued[step.connection]!;
    if (reply.toString('latin1') === '+QUEUED\r\n') {
      queue.push(step.args);
      return null;
    }
    const name = String(step.args[0]).toLowerCase();
    // A MULTI or EXEC that fails does not begin or end a transaction.
    if (name === 'multi' && reply.toString('latin1') === '+OK\r\n') this.queued[step.connection] = [];
    return name === 'exec' ? queue : null;
  }
}

function isScanFromStart(step: CommandStep, reply: Buffer): boolean {
  // What another cursor stands for is each server's own affair.
  const [name, cursor] = step.args.map(String);
  return name.toLowerCase() === 'scan' && /^0+$/.test(cursor) && reply.toString('latin1', 0, 4) === '*2\r\n';
}

/** Runs a script against both servers; returns the first difference. */
export async function runScript(
  script: Script,
  reference: RawClientAddress,
  subject: RawClientAddress,
): Promise<Mismatch | null> {
  const a = new Side(reference);
  const b = new Side(subject);
  const hasRangeErrors = script.steps.some(
    (step) =>
      step.kind === 'command' && step.args.some((word) => /^-?1e-?5000$/.test(word.toString('latin1'))),
  );
  const context: CompareContext = { hasShortLived: script.hasShortLived, hasRangeErrors };
  const queues = new Queues();
  try {
    await Promise.all([a.open(script.resp), b.open(script.resp)]);
    let at = 0;
    while (at < script.steps.length) {
      const step = script.steps[at]!;
      if (step.kind === 'bytes') {
        const difference = await compareBytes(reference, subject, step.writes);
        if (difference) return { index: at, command: 'bytes on a new connection', ...difference };
        at++;
        continue;
      }
      const batch = takePipeline(script.steps, at);
      const commands = batch.map((entry) => entry.args);
      const [expected, actual] = await Promise.all([
        a.send(step.connection, commands),
        b.send(step.connection, commands),
      ]);
      for (let i = 0; i < batch.length; i++) {
        const entry = batch[i]!;
        const queued = queues.advance(entry, expected[i]!);
        const mismatch = { index: at + i, command: formatCommand(entry.args) };
        if (!repliesAgree(entry.args, expected[i]!, actual[i]!, context, queued)) {
          return { ...mismatch, expected: expected[i]!, actual: actual[i]! };
        }
        if (i === batch.length - 1 && isScanFromStart(entry, expected[i]!)) {
          const [x, y] = await Promise.all([
            scanAll(a, entry.connection, entry.args, expected[i]!),
            scanAll(b, entry.connection, entry.args, actual[i]!),
          ]);
          if (x !== y) return { ...mismatch, expected: Buffer.from(x), actual: Buffer.from(y) };
        }
      }
      const [happened, found] = (await Promise.all([a.events(), b.events()])).map((events) =>
        comparableEvents(events, commands, script.hasShortLived),
      ) as [string, string];
      if (happened !== found) {
        const command = batch.map((entry) => formatCommand(entry.args)).join(' | ');
        const mismatch = { index: at + batch.length - 1, command: `events of ${command}` };
        return {
          ...mismatch,
          expected: Buffer.from(happened, 'latin1'),
          actual: Buffer.from(found, 'latin1'),
        };
      }
      const [counted, counted2] = await Promise.all([a.changes(), b.changes()]);
      // A snapshot sets the count back; deleting what is past its expiry may count in Redis.
      if (
        !script.hasShortLived &&
        !countsOtherwise(commands) &&
        counted >= 0 &&
        counted2 >= 0 &&
        counted !== counted2
      ) {
        const command = batch.map((entry) => formatCommand(entry.args)).join(' | ');
        const mismatch = { index: at + batch.length - 1, command: `changes by ${command}` };
        return { ...mismatch, expected: Buffer.from(String(counted)), actual: Buffer.from(String(counted2)) };
      }
      const { pauseMs } = batch.at(-1)!;
      if (pauseMs > 0) await delay(pauseMs);
      at += batch.length;
    }
    return null;
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

/** The steps from `start` that go out in one write. */
function takePipeline(steps: readonly Step[], start: number): CommandStep[] {
  const batch: CommandStep[] = [];
  for (let i = start; i < steps.length; i++) {
    const step = steps[i]!;
    if (step.kind === 'bytes' || (batch.length > 0 && step.connection !== batch[0]!.connection)) break;
    batch.push(step);
    if (step.endsPipeline) break;
  }
  return batch;
}

/** The name by which mismatches of one cause are known: the command and the beginnings of both replies. */
export function signatureOf(mismatch: Mismatch): string {
  const beginning = (reply: Buffer) => reply.toString('latin1', 0, 24).replace(/\d+/g, '#');
  const name = mismatch.command.split(' ')[0]!.toLowerCase();
  return `${name} ${beginning(mismatch.expected)} ${beginning(mismatch.actual)}`;
}

/**
 * Removes steps for as long as the same command still gets different replies (delta debugging, Zeller and
 * Hildebrandt 2002, without the complements), then tries single commands instead of pipelines and RESP2.
 */
export async function minimise(
  script: Script,
  mismatch: Mismatch,
  reference: RawClientAddress,
  subject: RawClientAddress,
): Promise<{ script: Script; mismatch: Mismatch }> {
  const name = mismatch.command.split(' ')[0]!.toLowerCase();
  let best = { script: { ...script, steps: script.steps.slice(0, mismatch.index + 1) }, mismatch };
  let runs = 0;
  const deadline = Date.now() + MINIMISE_TIME_MS;
  const attempt = async (candidate: Script): Promise<boolean> => {
    if (++runs > MINIMISE_RUNS_MAX || Date.now() > deadline) return false;
    const found = await runScript(candidate, reference, subject);
    if (!found || found.command.split(' ')[0]!.toLowerCase() !== name) return false;
    best = { script: { ...candidate, steps: candidate.steps.slice(0, found.index + 1) }, mismatch: found };
    return true;
  };
  for (let size = best.script.steps.length >> 1; size > 0; size = size === 1 ? 0 : size >> 1) {
    // From the end: what matters is mostly close to the failing command.
    for (let end = best.script.steps.length - 1; end > 0; end -= size) {
      if (end > best.script.steps.length - 1) continue;
      const { steps } = best.script;
      const start = Math.max(0, end - size);
      await attempt({ ...best.script, steps: [...steps.slice(0, start), ...steps.slice(end)] });
    }
  }
  const single = best.script.steps.map((step) =>
    step.kind === 'command' ? { ...step, endsPipeline: true } : step,
  );
  await attempt({ ...best.script, steps: single });
  await attempt({ ...best.script, resp: best.script.resp.map(() => 2 as const) });
  return best;
}

/**
 * A worker: owns its connections, reads, parses, executes and replies, and keeps house for its shards.
 */

import { randomInt } from 'node:crypto';
import { createCommandTable } from './commands/commands.js';
import { CommandContext } from './commands/context.js';
import { Executor } from './commands/executor.js';
import type { ServerServices } from './commands/services.js';
import { Session } from './commands/session.js';
import { HugePages } from './huge-pages.js';
import { KeyspaceCounter } from './keyspace/counters.js';
import { Keyspace, type KeyspaceHandle } from './keyspace/keyspace.js';
import { EvictionPolicy, type KeyspaceSettings } from './keyspace/settings.js';
import { setHashSecret } from './memory/hash.js';
import type { Connection } from './network/connection.js';
import { EpollTransport } from './network/epoll-transport.js';
import { loadLibc } from './network/libc.js';
import type { ConnectionHandler, Transport } from './network/transport.js';
import { WorkerChannel } from './network/worker-channel.js';
import { Dispatcher } from './protocol/dispatcher.js';
import { ReplyWriter } from './protocol/reply-writer.js';

const TICK_MS = 100;
/** Share of the time between two ticks that active expiry may take. */
const EXPIRE_BUDGET_MS = 10;

export interface WorkerOptions {
  readonly index: number;
  readonly workerCount: number;
  readonly keyspace: KeyspaceHandle;
  readonly channel: SharedArrayBuffer;
  readonly hashSecret: readonly [number, number];
}

export class Worker implements ConnectionHandler {
  private readonly options: WorkerOptions;
  private readonly channel: WorkerChannel;
  private readonly keyspace: Keyspace;
  private readonly context: CommandContext;
  private readonly executor: Executor;
  private readonly dispatcher: Dispatcher;
  private readonly transport: Transport;
  private readonly services: ServerServices;
  private readonly settings: KeyspaceSettings;
  private readonly hugePages: HugePages;
  private nextClientId = 1;

  constructor(options: WorkerOptions) {
    this.options = options;
    setHashSecret(options.hashSecret[0], options.hashSecret[1]);
    this.settings = {
      maxMemoryBytes: 0,
      policy: EvictionPolicy.NoEviction,
      samples: 5,
      lfu: { logFactor: 10, decayTimeMinutes: 1 },
      usesLfu: false,
      activeExpire: true,
    };
    this.channel = new WorkerChannel(options.channel);
    const counters = new Float64Array(KeyspaceCounter.COUNT);
    this.keyspace = new Keyspace(options.keyspace, this.settings, counters);
    const reply = new ReplyWriter();
    this.services = {
      requirePass: '',
      maxBulkLengthBytes: 512 * 1024 * 1024,
      workerIndex: options.index,
      sessions: new Map(),
      isDebugAllowed: () => true,
      setActiveExpire: (isActive) => {
        this.settings.activeExpire = isActive;
      },
      log: (line) => process.stdout.write(`${line}\n`),
      executeTransaction: (session, isStillValid) => this.executor.executeTransaction(session, isStillValid),
    };
    this.context = new CommandContext(this.keyspace, createCommandTable(), reply, this.services, counters);
    this.executor = new Executor(this.context);
    this.dispatcher = new Dispatcher(this.executor, reply);
    const libc = loadLibc();
    if (libc === null) throw new Error('no transport');
    this.hugePages = new HugePages(
      libc,
      this.keyspace.shards
        .filter((shard) => shard.index % options.workerCount === options.index)
        .map((shard) => shard.memory),
    );
    this.transport = new EpollTransport(libc, this.channel.wakeFd, reply, this, TICK_MS);
  }

  start(): void {
    this.transport.start();
  }

  get bytesNeeded(): number {
    return this.dispatcher.bytesNeeded;
  }

  onOpen(connection: Connection): void {
    const id = this.nextClientId++ * this.options.workerCount + this.options.index;
    const session = new Session(id, connection, Date.now());
    connection.session = session;
    this.services.sessions.set(id, session);
  }

  onData(connection: Connection, bytes: Uint8Array, view: DataView, start: number, end: number): number {
    const { session } = connection;
    if (session === null) return end;
    this.context.nowMs = Date.now();
    return this.dispatcher.dispatch(connection, session, bytes, view, start, end);
  }

  onClose(connection: Connection): void {
    const { session } = connection;
    if (session === null) return;
    connection.session = null;
    session.discardTransaction();
    this.services.sessions.delete(session.id);
    this.channel.connectionClosed();
  }

  onWake(): void {
    for (let fd = this.channel.shift(); fd >= 0; fd = this.channel.shift()) this.transport.adopt(fd);
  }

  onTick(nowMs: number): void {
    this.context.nowMs = nowMs;
    this.hugePages.step();
    if (this.settings.activeExpire) {
      this.keyspace.expireCycle(this.options.index, this.options.workerCount, EXPIRE_BUDGET_MS);
    }
  }

  onOutputPending(_connection: Connection): void {}
}

/** The secret of this process's hash tables. */
export function drawHashSecret(): [number, number] {
  return [randomInt(2 ** 32), randomInt(2 ** 32)];
}

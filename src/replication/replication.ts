/**
 * The replication thread: has the connections of replicas, and the link to the primary if this server is a replica itself.
 * It changes keys as workers do, under the same locks (stream-applier.ts); requests from other threads come by mail.
 */

import net from 'node:net';
import { createReplayTable } from '../commands/commands.js';
import { Config } from '../config/config.js';
import { defaultSettings, type KeyspaceSettings } from '../config/keyspace-settings.js';
import { AccessControl } from '../execution/access-control.js';
import { ClientRows } from '../execution/client-rows.js';
import { CommandContext } from '../execution/context.js';
import { Executor } from '../execution/executor.js';
import { HoldFinish } from '../execution/hold-finish.js';
import { createMessaging } from '../execution/messaging.js';
import { MonitorFeed } from '../execution/monitor-feed.js';
import { NO_TLS_CONTROL } from '../execution/no-connection.js';
import type { FailoverRequest, ReplicationRequest } from '../execution/replication-requests.js';
import type { ServerServices } from '../execution/services.js';
import type { Handover, Session } from '../execution/session.js';
import type { CommandTable } from '../execution/table/command-table.js';
import { TransferFailure, type Transfers } from '../execution/transfers.js';
import { WaitRoom } from '../execution/wait-room.js';
import { WaitServer } from '../execution/wait-server.js';
import type { JournalRing } from '../journal/journal-ring.js';
import { eventClasses } from '../keyspace/events.js';
import { Keyspace, type KeyspaceHandle } from '../keyspace/keyspace.js';
import { WorkerChannel } from '../network/worker-channel.js';
import { SnapshotImageWriter } from '../persistence/image-writer.js';
import { ReplyWriter } from '../protocol/reply-writer.js';
import { ChannelRegistry, type ChannelRegistryHandle } from '../pubsub/channel-registry.js';
import type { MessageOutput } from '../pubsub/subscriptions.js';
import { ClientText } from '../state/client-table.js';
import { PauseKind } from '../state/control-block.js';
import { type Message, MessageKind } from '../state/mail.js';
import { ProcessState, type ProcessStateHandle } from '../state/process-state.js';
import { FailoverState, LinkState, newReplicationId, ReplicaState } from '../state/replication-state.js';
import { monotonicMs } from '../system/clock.js';
import { type Libc, loadLibc, Socket } from '../system/libc.js';
import { createConfiguredLog, type Log } from '../system/log.js';
import type { Pipe, ReplicationCore } from './core.js';
import { Primary } from './primary.js';
import { PrimaryLink } from './primary-link.js';
import type { Replica } from './replica.js';

const TICK_MS = 100;
/** A flag of memfd_create. */
const CLOSES_ON_EXEC = 1;
/** Duration of the pause during a failover, which has no time limit of its own. */
const FOREVER_MS = 1e15;

/** What the replication thread is started with. */
export interface ReplicationOptions {
  readonly keyspace: KeyspaceHandle;
  readonly state: ProcessStateHandle;
  readonly channelRegistry: ChannelRegistryHandle;
  /** The channels of all workers, followed by the replication thread's own. */
  readonly channels: readonly SharedArrayBuffer[];
  readonly workerCount: number;
  /** Wake-ups through its own channel are read from this descriptor. */
  readonly wakeDescriptor: number;
}

const NO_TRANSFERS: Transfers = {
  start: () => ({ id: 0, result: { failure: TransferFailure.Connecting, preambleError: '', replies: [] } }),
  collect: () => {},
  wait: () => {},
};

/** This thread has no subscribers. */
const NO_MESSAGES: MessageOutput<Session> = {
  begin: () => {},
  writer: () => new ReplyWriter(0),
  deliver: () => {},
};

export class Replication {
  private readonly options: ReplicationOptions;
  private readonly process: ProcessState;
  private readonly libc: Libc;
  private readonly channels: readonly WorkerChannel[];
  private readonly config: Config;
  private configVersion: number;
  private readonly log: Log;
  private readonly settings: KeyspaceSettings;
  private readonly keyspace: Keyspace;
  private readonly ring: JournalRing;
  private readonly services: ServerServices;
  private readonly imageWriter: SnapshotImageWriter;
  private readonly primary: Primary;
  private readonly link: PrimaryLink;
  private readonly core: ReplicationCore;
  private failover: (FailoverRequest & { endMs: number; offset: number }) | null = null;

  constructor(options: ReplicationOptions) {
    const libc = loadLibc();
    if (libc === null) throw new Error('replication needs koffi');
    this.options = options;
    this.libc = libc;
    const { workerCount } = options;
    this.channels = options.channels.map((buffer) => new WorkerChannel(buffer, libc));
    this.process = new ProcessState(options.state, workerCount, (worker) => this.channels[worker].wake());
    const { process } = this;
    const published = process.config.readIfNewer(0);
    if (published === null) throw new Error('no configuration');
    this.configVersion = published.version;
    this.config = new Config(JSON.parse(published.json));
    this.log = createConfiguredLog(this.config);
    this.settings = { ...defaultSettings(), isReplaying: true };
    const counters = process.counters.keyspace;
    this.keyspace = new Keyspace(options.keyspace, this.settings, counters, workerCount);
    this.ring = this.keyspace.journal.ring;
    const table = createReplayTable(this.config.renamedCommands);
    this.services = this.createServices(table);
    const context = new CommandContext(this.keyspace, table, new ReplyWriter(), this.services, counters);
    // The Executor makes the script runner, which keeps functions: the primary may send some.
    new Executor(context);
    const { gate } = this.keyspace;
    gate.holdEnd = new HoldFinish(gate, new WaitServer(context), this.services.notices);
    this.imageWriter = new SnapshotImageWriter(this.settings, process.persistence);
    for (const { snapshot } of this.keyspace.shards) snapshot.imageWriter = this.imageWriter;
    this.core = {
      config: this.config,
      log: this.log,
      libc,
      state: process.replication,
      feed: process.replicaFeed,
      confirmations: process.confirmations,
      persistence: process.persistence,
      appendOnly: process.appendOnly,
      control: process.control,
      clients: process.clients,
      keyspace: this.keyspace,
      ring: this.ring,
      context,
      openPipe: () => this.openPipe(),
      openMemoryFile: () => this.openMemoryFile(),
      wakeWorker: (worker) => this.channels[worker].wake(),
      wakeWorkers: () => this.wakeWorkers(),
    };
    this.primary = new Primary(this.core, this.services.clientRows);
    this.link = new PrimaryLink(this.core, this.primary, this.services.clientRows);
    this.primary.onAck = () => this.followFailover(monotonicMs());
    this.link.onTakeOver = (isDone) => this.tookOver(isDone);
    this.applyConfig();
  }

  private createServices(table: CommandTable): ServerServices {
    const { options, process, config, log } = this;
    const { workerCount } = options;
    const clientRows = new ClientRows(process.clients, workerCount);
    const sessions = new Map<number, Session>();
    return {
      state: process,
      config,
      tls: NO_TLS_CONTROL,
      clientRows,
      access: new AccessControl(
        {
          state: process,
          config,
          clientRows,
          sessions,
          workerIndex: workerCount,
          close: () => {},
          changed: () => {},
          wakeWorker: (worker) => this.channels[worker].wake(),
          mayWait: () => false,
        },
        table,
      ),
      monitors: new MonitorFeed(
        process,
        workerCount,
        workerCount,
        () => {},
        (worker) => this.channels[worker].wake(),
      ),
      ...createMessaging(
        new ChannelRegistry(options.channelRegistry, workerCount),
        NO_MESSAGES,
        process,
        this.keyspace.gate,
        workerCount,
        workerCount,
        () => undefined,
      ),
      waitRoom: new WaitRoom(process, workerCount, () => {}),
      transfers: NO_TRANSFERS,
      flush: () => true,
      wakeWorker: (worker) => this.channels[worker].wake(),
      workerCount,
      multiplexingApi: '',
      maxBulkLengthBytes: 2 ** 31 - 1,
      workerIndex: workerCount,
      sessions,
      isAllowed: () => false,
      listenOn: () => false,
      hasReplication: false,
      askForAcks: () => {},
      roomForClients: () => 0,
      limitClients: () => {},
      followConfig: () => {},
      loadAppendOnlyAgain: () => '',
      isDebugAllowed: () => false,
      log,
      purgeBuffers: () => {},
      writeDirectly: () => 0,
      releaseUnusedPages: () => {},
      serveWhileBusy: () => {},
      executeTransaction: () => true,
    };
  }

  start(): void {
    const waker = new net.Socket({ fd: this.options.wakeDescriptor, readable: true, writable: false });
    waker.on('data', () => this.wake());
    waker.on('error', () => {});
    setInterval(() => this.tick(), TICK_MS);
    const { replicaOf } = this.config;
    const { state } = this.core;
    this.primary.adoptBacklog();
    if (replicaOf !== null && state.isReplica) {
      this.keyspace.lockAll();
      if (state.hasLoadedHistory) {
        const offset = state.offsetAt(this.ring.head);
        this.primary.turnOnLocked();
        state.countFrom(this.ring.head, offset);
      }
      this.becomeReplicaLocked(replicaOf.host, replicaOf.port);
      this.keyspace.unlockAll();
      this.link.follow(
        replicaOf.host,
        replicaOf.port,
        state.hasLoadedHistory,
        Math.max(0, state.streamDatabase),
      );
    }
    this.wake();
  }

  private followConfig(): void {
    const published = this.process.config.readIfNewer(this.configVersion);
    if (published === null) return;
    this.configVersion = published.version;
    this.config.adopt(JSON.parse(published.json));
    this.applyConfig();
  }

  private applyConfig(): void {
    const { config, services } = this;
    config.copyTo(this.settings);
    this.keyspace.settingsChanged();
    services.notices.configure(eventClasses(config.value('notify-keyspace-events')), null);
    this.imageWriter.setCompression(config.rdbCompression);
  }

  private readonly wake = (): void => {
    const { ring } = this;
    for (;;) {
      this.process.outbox.flush();
      ring.drain();
      this.process.mail.drain(this.options.workerCount, this.receive);
      if (this.core.state.takeWantedAcks()) this.primary.askForAcks();
      this.primary.take();
      if (ring.sleepForReplicas()) break;
    }
    this.primary.allowFeeding();
  };

  private tick(): void {
    const nowMs = monotonicMs();
    this.followConfig();
    this.wake();
    this.primary.tick(nowMs);
    this.link.tick(nowMs);
    this.followFailover(nowMs);
  }

  private wakeWorkers(): void {
    for (let worker = 0; worker < this.options.workerCount; worker++) this.channels[worker].wake();
  }

  private openPipe(): Pipe {
    const { libc } = this;
    const numbers = new Int32Array(2);
    const bytes = new Uint8Array(numbers.buffer);
    const type = Socket.SOCK_STREAM | Socket.SOCK_CLOEXEC;
    if (libc.socketPair(Socket.AF_UNIX, type, 0, libc.addressOf(bytes)) < 0)
      throw new Error(`can't open a pipe: ${libc.errorText(libc.errno())}`);
    return {
      writer: numbers[0],
      reader: new net.Socket({ fd: numbers[1], readable: true, writable: false }),
    };
  }

  private openMemoryFile(): number {
    const { libc } = this;
    const name = Buffer.from('damselfly-snapshot\0');
    const fd = libc.memfdCreate(libc.addressOf(name), CLOSES_ON_EXEC);
    if (fd < 0) throw new Error(`can't open a file in memory: ${libc.errorText(libc.errno())}`);
    return fd;
  }

  private readonly receive = (message: Message): void => {
    const { kind, bytes, offset, length } = message;
    if (kind === MessageKind.Replica) {
      const payload = Buffer.from(bytes.slice(offset, offset + length));
      const handover = JSON.parse(payload.toString('utf8', 0, message.third)) as Handover;
      this.followConfig();
      const { clients } = this.process;
      const addresses = {
        peer: clients.text(message.second, ClientText.Address),
        local: clients.text(message.second, ClientText.LocalAddress),
      };
      this.primary.accept(
        message.first,
        message.second,
        handover,
        addresses,
        payload.subarray(message.third),
      );
    } else if (kind === MessageKind.Replication) {
      const request = JSON.parse(Buffer.from(bytes.slice(offset, offset + length)).toString());
      const ticket = message.id;
      this.followConfig();
      this.serve(request as ReplicationRequest);
      this.core.state.served(ticket);
      this.wakeWorkers();
    }
  };

  private serve(request: ReplicationRequest): void {
    switch (request.kind) {
      case 'replicaof':
        if (request.host === '') this.becomePrimary();
        else this.becomeReplica(request.host, request.port);
        break;
      case 'take-over':
        if (this.core.state.isReplica) {
          this.forgetPrimaryInConfig();
          this.becomePrimary();
          this.log('PSYNC FAILOVER: this replica is the primary now', 'warning');
        }
        break;
      case 'failover':
        this.beginFailover(request.failover);
        break;
      case 'abort-failover':
        this.endFailover('Failover manually aborted');
        break;
    }
  }

  // Roles.

  private becomeReplicaLocked(host: string, port: number): void {
    const { state } = this.core;
    this.primary.turnOnLocked();
    state.setPrimary(host, port);
    this.ring.isReplica = true;
    // What is saved until the stream goes on has to say where it does.
    this.ring.database = Math.max(0, state.streamDatabase);
    state.isReplica = true;
  }

  private becomeReplica(host: string, port: number, takesOver = false): void {
    const { state } = this.core;
    const wasReplica = state.isReplica;
    this.keyspace.lockAll();
    this.becomeReplicaLocked(host, port);
    this.keyspace.unlockAll();
    this.primary.take();
    // Replicas have to ask again, since the history may soon be another one.
    this.primary.closeAll();
    if (!wasReplica)
      this.log(
        'Before turning into a replica, using my own master parameters to synthesize a cached master: I may be able to synchronize with the new master with just a partial transfer.',
      );
    this.link.follow(host, port, true, Math.max(0, state.streamDatabase), takesOver);
    this.wakeWorkers();
  }

  private becomePrimary(): void {
    const { state } = this.core;
    if (!state.isReplica) return;
    this.keyspace.lockAll();
    this.link.leave();
    const offset = state.offsetAt(this.ring.head);
    const { id } = state;
    state.setHistory(newReplicationId(), id, offset + 1);
    state.streamDatabase = -1;
    state.setPrimary('', 0);
    this.ring.isReplica = false;
    state.isReplica = false;
    this.keyspace.unlockAll();
    this.log(
      `Setting secondary replication ID to ${id}, valid up to offset: ${offset + 1}. New replication ID is ${state.id}`,
    );
    this.log('Discarding previously cached master state.');
    // First: what is recorded from now on belongs to a history that replicas have not heard of.
    this.primary.closeAll();
    this.primary.take();
    this.wakeWorkers();
  }

  private forgetPrimaryInConfig(): void {
    this.setPrimaryInConfig('', 0);
  }

  private setPrimaryInConfig(host: string, port: number): void {
    const { config } = this;
    this.process.config.update((json) => {
      config.adopt(JSON.parse(json));
      config.setReplicaOf(host, port);
      return JSON.stringify(config);
    });
    this.followConfig();
  }

  // FAILOVER.

  private beginFailover(request: FailoverRequest): void {
    const { state, control } = this.core;
    const nowMs = monotonicMs();
    const endMs = request.timeoutMs === 0 ? Number.POSITIVE_INFINITY : nowMs + request.timeoutMs;
    control.pause(FOREVER_MS, PauseKind.Write, nowMs);
    // Writes that began before the pause have ended once all locks have been taken.
    this.keyspace.lockAll();
    const offset = state.offsetAt(this.ring.head);
    this.keyspace.unlockAll();
    this.failover = { ...request, endMs, offset };
    state.failoverState = FailoverState.WaitForSync;
    this.primary.take();
    this.primary.askForAcks();
    this.followFailover(nowMs);
  }

  private followFailover(nowMs: number): void {
    const { failover } = this;
    const { state } = this.core;
    // Once the other side was asked to take over, only its answer tells which server is the primary.
    if (failover === null || state.failoverState === FailoverState.InProgress) return;
    const { host, port, offset } = failover;
    const ready = [...this.primary.replicas].find(
      (replica) =>
        replica.state === ReplicaState.Online &&
        replica.ackOffset >= offset &&
        (host === '' || this.isTarget(replica, failover)),
    );
    if (ready !== undefined) {
      this.log('Failover target is synced, failing over.');
      this.handOverTo(ready.ip, ready.traits.port);
    } else if (nowMs >= failover.endMs) {
      if (failover.isForced) {
        this.log(`Failover to ${host}:${port} time out exceeded, failing over.`);
        this.handOverTo(host, port);
      } else {
        this.endFailover('Replica never caught up before timeout');
      }
    }
  }

  private isTarget(replica: Replica, { host, port }: FailoverRequest): boolean {
    const wanted = host === 'localhost' ? '127.0.0.1' : host;
    return replica.ip === wanted && replica.traits.port === port;
  }

  private handOverTo(host: string, port: number): void {
    this.core.state.failoverState = FailoverState.InProgress;
    this.setPrimaryInConfig(host, port);
    this.becomeReplica(host, port, true);
  }

  /** The other side has taken over, or has refused to. */
  private tookOver(isDone: boolean): void {
    const { failover } = this;
    if (failover === null) return;
    if (isDone) {
      this.failover = null;
      this.core.state.failoverState = FailoverState.None;
      this.core.control.unpause();
      this.log('Failover completed');
      this.wakeWorkers();
      return;
    }
    this.endFailover('Failover target rejected psync request');
  }

  /** Ends a failover without success: this server is the primary as before. */
  private endFailover(reason: string): void {
    const { state, control } = this.core;
    if (this.failover === null) return;
    const wasInProgress = state.failoverState === FailoverState.InProgress;
    const { host, port } = this.failover;
    const target = host === '' ? 'any replica' : `${host}:${port}`;
    this.failover = null;
    state.failoverState = FailoverState.None;
    this.log(`FAILOVER to ${target} aborted: ${reason}`);
    if (wasInProgress && state.linkState !== LinkState.Connected) {
      this.forgetPrimaryInConfig();
      this.becomePrimary();
    }
    control.unpause();
    this.wakeWorkers();
  }
}

/**
 * A worker: owns its connections, reads, parses, executes and replies, and keeps house for its shards.
 */

import { constants } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { createCommandTable } from '../commands/commands.js';
import { Config, type Permission } from '../config/config.js';
import { defaultSettings, type KeyspaceSettings } from '../config/keyspace-settings.js';
import { Refusal } from '../execution/access-check.js';
import { AccessControl, refusalError } from '../execution/access-control.js';
import { ClientRows } from '../execution/client-rows.js';
import { CommandContext } from '../execution/context.js';
import { Dispatcher } from '../execution/dispatcher.js';
import { DEMOTED, UNBLOCKED } from '../execution/errors.js';
import { Executor } from '../execution/executor.js';
import { HoldFinish } from '../execution/hold-finish.js';
import { createMessaging } from '../execution/messaging.js';
import { MonitorFeed } from '../execution/monitor-feed.js';
import { ConfirmationWork } from '../execution/replication-requests.js';
import type { ServerServices } from '../execution/services.js';
import { ReplyMode, Session } from '../execution/session.js';
import { CommandFlag } from '../execution/table/command-table.js';
import type { QueuedCommand } from '../execution/transactions.js';
import { type EndedWait, NOT_WRITTEN, WaitEnd, WaitRoom } from '../execution/wait-room.js';
import { WaitServer } from '../execution/wait-server.js';
import { eventClasses } from '../keyspace/events.js';
import { Keyspace, type KeyspaceHandle } from '../keyspace/keyspace.js';
import { OwnExpiries } from '../keyspace/own-expiries.js';
import { loadAppendOnlyAgain } from '../loading/loading.js';
import { lockWaits } from '../memory/lock.js';
import { AcceptFailures } from '../network/accept-failures.js';
import { AcceptorControl } from '../network/acceptor-control.js';
import type { Connection } from '../network/connection.js';
import { EpollTransport } from '../network/epoll-transport.js';
import { InputGathering } from '../network/input-gathering.js';
import { IoUringTransport } from '../network/io-uring-transport.js';
import type { ListenOptions } from '../network/listener.js';
import { joinListeners, openSharedListeners, type SharedListener } from '../network/node-listener.js';
import { NodeTransport } from '../network/node-transport.js';
import { ProcessorLoad } from '../network/processor-load.js';
import { PROTECTED_MODE_ERROR } from '../network/protected-mode.js';
import { isLoopbackAddress } from '../network/socket-address.js';
import type { SocketTransport } from '../network/socket-transport.js';
import { NodeTls } from '../network/tls/node-tls.js';
import { ServerTls } from '../network/tls/server-tls.js';
import { TransferThread } from '../network/transfer.js';
import type { ConnectionHandler, Transport, TransportKind } from '../network/transport.js';
import { WorkerChannel } from '../network/worker-channel.js';
import { SnapshotImageWriter } from '../persistence/image-writer.js';
import { ReplyWriter } from '../protocol/reply-writer.js';
import { ChannelRegistry, type ChannelRegistryHandle } from '../pubsub/channel-registry.js';
import { DenialContext } from '../state/access-log.js';
import { CLIENT_ROWS_MAX } from '../state/client-table.js';
import { ServerCounter } from '../state/command-statistics.js';
import { type Message, MessageKind } from '../state/mail.js';
import { ProcessState, type ProcessStateHandle } from '../state/process-state.js';
import { monotonicMs } from '../system/clock.js';
import { writeCrashReport } from '../system/crash-report.js';
import { DescriptorLimit } from '../system/descriptors.js';
import { type Libc, loadLibc } from '../system/libc.js';
import { createConfiguredLog, type Log } from '../system/log.js';
import { AckRequests } from './ack-requests.js';
import { BusyServer } from './busy-server.js';
import { ClientLimits } from './client-limits.js';
import { ConnectionMoves } from './connection-moves.js';
import { crashDetails } from './crash-details.js';
import { HeldReplies } from './held-replies.js';
import { HouseKeeping } from './house-keeping.js';
import { WorkerMessages } from './message-output.js';
import { WorkerPlacement } from './placement.js';
import { PostponedCommands } from './postponed-commands.js';

/** Idle time after which a client's input buffer gives back the room for the rest of its command. */
const SHRINK_AFTER_IDLE_MS = 2000;
/** The same text as the acceptor's. */
const TOO_MANY_CLIENTS = 'ERR max number of clients reached';
/** Bytes of replies to one connection before the others have their turn. */
const TURN_REPLY_BYTES_MAX = 1024 * 1024;
/** Longer replies are sent before those to clients that have been served, not after them. */
const REPLY_SET_ASIDE_BYTES_MAX = 256;
/** The type of a TLS record with a handshake; the major version 3 follows it. */
const TLS_HANDSHAKE = 0x16;
/** What a worker thread is started with. */
export interface WorkerOptions {
  readonly index: number;
  readonly workerCount: number;
  readonly keyspace: KeyspaceHandle;
  readonly state: ProcessStateHandle;
  readonly channelRegistry: ChannelRegistryHandle;
  /** The channels of all workers, by index, and behind them that of the replication thread. */
  readonly channels: readonly SharedArrayBuffer[];
  readonly transport: TransportKind;
  /** How to reach the acceptor; null if workers accept by themselves, over node:net. */
  readonly acceptorControl: SharedArrayBuffer | null;
  /** What the process needs besides its clients. */
  readonly reservedDescriptors: number;
}

/** What the main thread tells a worker that accepts by itself: open these sockets, or listen on those. */
export type ListenMessage =
  | { readonly open: ListenOptions }
  | { readonly join: readonly SharedListener[]; readonly backlog: number };

/** The answer to `open`. */
export interface ListenAnswer {
  readonly listeners: readonly SharedListener[];
  /** One line, '' if all sockets are open. */
  readonly failure: string;
}

export class Worker implements ConnectionHandler {
  private readonly options: WorkerOptions;
  private readonly channels: readonly WorkerChannel[];
  private readonly channel: WorkerChannel;
  private readonly acceptor: AcceptorControl | null;
  private readonly state: ProcessState;
  private readonly config: Config;
  private configVersion: number;
  /** The attention version up to which everything has been handled. */
  private heeded = -1;
  private readonly keyspace: Keyspace;
  private readonly context: CommandContext;
  private readonly executor: Executor;
  private readonly waitServer: WaitServer;
  private readonly dispatcher: Dispatcher;
  private readonly transport: Transport;
  private readonly services: ServerServices;
  private readonly access: AccessControl;
  private readonly settings: KeyspaceSettings;
  private readonly imageWriter: SnapshotImageWriter;
  private readonly houseKeeping: HouseKeeping;
  private readonly ownExpiries = new OwnExpiries(() => this.state.replication.isReplica);
  private readonly connections = new Map<number, Connection>();
  /** Connections with buffers that may grow or shrink without another command. */
  private readonly unsettled = new Set<Connection>();
  private readonly postponed: PostponedCommands;
  /** Commands are being executed: if something fails now, the context tells at which command. */
  private isExecuting = false;
  private isReplySetAside = false;
  private readonly replySetAside = new Uint8Array(REPLY_SET_ASIDE_BYTES_MAX);
  private readonly heldReplies: HeldReplies;
  private readonly ackRequests: AckRequests;
  private readonly messages = new WorkerMessages(
    (session, writer, start) => this.deliver(session, writer, start),
    () => this.transport.flushDeliveries(),
  );
  /** Connections that publish faster than other workers take the messages. */
  private readonly heldBack = new Set<Connection>();
  private readonly limits: ClientLimits;
  /** The transport, if connections can move from and to it. */
  private sockets: SocketTransport | null = null;
  private placement: WorkerPlacement | null = null;
  private moves: ConnectionMoves | null = null;
  private wasReplica = false;
  /** Made with the first slow script. */
  private busyServer: BusyServer | null = null;
  private roundStartMs = 0;
  /** Bytes of replies sent in this turn to the connection whose commands run. */
  private turnBytes = 0;
  private hasFailed = false;
  private nodeTls: NodeTls | null = null;
  private readonly acceptFailures: AcceptFailures;

  constructor(options: WorkerOptions) {
    this.options = options;
    const libc = loadLibc();
    this.state = new ProcessState(options.state, options.index, (worker) => this.channels[worker].wake());
    const published = this.state.config.readIfNewer(0);
    if (published === null) throw new Error('no configuration');
    this.configVersion = published.version;
    this.config = new Config(JSON.parse(published.json));
    this.settings = {
      ...defaultSettings(),
      mayExpire: () => this.mayExpire(),
      mayExpireByItself: () => this.mayExpireByItself(),
      mayEvict: () => this.mayEvict(),
    };
    this.channels = options.channels.map((buffer) => new WorkerChannel(buffer, libc));
    this.channel = this.channels[options.index];
    const { acceptorControl } = options;
    this.acceptor =
      acceptorControl === null || libc === null ? null : new AcceptorControl(acceptorControl, libc);
    const counters = this.state.counters.keyspace;
    this.keyspace = new Keyspace(options.keyspace, this.settings, counters, options.index);
    this.keyspace.lockOrder.givesUp = true;
    const reply = new ReplyWriter();
    const table = createCommandTable(this.config.renamedCommands);
    const clientRows = new ClientRows(this.state.clients, options.index);
    const sessions = new Map<number, Session>();
    this.access = new AccessControl(
      {
        state: this.state,
        config: this.config,
        clientRows,
        sessions,
        workerIndex: options.index,
        close: (session) => this.closeSoon(session),
        // The first call comes from the constructor, before there are limits or clients.
        changed: () => this.limits?.usersChanged(),
        wakeWorker: (index) => this.channels[index].wake(),
        mayWait: () => !this.context.locks.areHeld,
      },
      table,
    );
    const log = createConfiguredLog(this.config);
    this.acceptFailures = new AcceptFailures(log);
    const descriptors = new DescriptorLimit(libc, options.reservedDescriptors);
    this.services = this.createServices(clientRows, sessions, descriptors, log);
    this.context = new CommandContext(this.keyspace, table, reply, this.services, counters);
    this.executor = new Executor(this.context);
    this.keyspace.journal.ring.wakeReplication = () => this.wakeReplication();
    const { gate } = this.keyspace;
    this.waitServer = new WaitServer(this.context);
    gate.holdEnd = new HoldFinish(gate, this.waitServer, this.services.notices);
    this.followLoading();
    this.imageWriter = new SnapshotImageWriter(this.settings, this.state.persistence);
    for (const { snapshot } of this.keyspace.shards) snapshot.imageWriter = this.imageWriter;
    this.dispatcher = new Dispatcher(this.executor, reply);
    this.postponed = new PostponedCommands(this.services, {
      goOn: (connection, session, postponed) => this.goOn(connection, session, postponed),
      hasGoneOn: (connection, session) => this.hasGoneOn(connection, session),
    });
    this.applyConfig();
    this.houseKeeping = new HouseKeeping(
      {
        keyspace: this.keyspace,
        services: this.services,
        checks: this.executor.checks,
        reply,
        ownExpiries: this.ownExpiries,
        mayExpireByItself: () => this.mayExpireByItself(),
      },
      libc,
    );
    this.transport = this.createTransport(libc, reply, log);
    this.limits = new ClientLimits({
      worker: options.index,
      config: this.config,
      clients: this.state.clients,
      counters: this.state.counters.server,
      connections: this.connections,
      transport: this.transport,
      log,
      describeSlot: (slot) => this.describeSlot(slot),
      describe: (session) => this.describe(session),
      wakeWorker: this.services.wakeWorker,
    });
    this.ackRequests = new AckRequests(this.keyspace, this.state, libc);
    this.heldReplies = new HeldReplies(
      this.keyspace.journal,
      this.state.appendOnly,
      this.transport,
      options.index,
      options.workerCount,
      this.services.wakeWorker,
    );
  }

  /** What commands ask of the worker and of the process. */
  private createServices(
    clientRows: ClientRows,
    sessions: Map<number, Session>,
    descriptors: DescriptorLimit,
    log: Log,
  ): ServerServices {
    const { options } = this;
    return {
      state: this.state,
      config: this.config,
      clientRows,
      monitors: new MonitorFeed(
        this.state,
        options.index,
        options.workerCount,
        (session, bytes, offset, length) => this.sendTo(session, bytes, offset, length),
        (worker) => this.channels[worker].wake(),
      ),
      ...createMessaging(
        new ChannelRegistry(options.channelRegistry, options.workerCount),
        this.messages,
        this.state,
        this.keyspace.gate,
        options.index,
        options.workerCount,
        (id) => this.services.sessions.get(id),
      ),
      waitRoom: new WaitRoom(this.state, options.index, (ended) => this.resumeWaiting(ended)),
      transfers: new TransferThread(options.channels[options.index], this.config, log),
      access: this.access,
      maxBulkLengthBytes: 512 * 1024 * 1024,
      workerIndex: options.index,
      workerCount: options.workerCount,
      multiplexingApi: options.transport === 'node' ? 'libuv' : options.transport,
      sessions,
      hasReplication: options.transport !== 'node',
      askForAcks: () => this.ackRequests.want(),
      isAllowed: (permission, session) => this.isAllowed(permission, session),
      listenOn: (bind, port, tlsPort) => this.acceptor?.listenOn({ bind, port, tlsPort }) ?? false,
      tls: new ServerTls(options.transport === 'node', this.state.tls, this.config, log),
      roomForClients: (wanted) => descriptors.makeRoom(Math.min(wanted, CLIENT_ROWS_MAX)).clients,
      limitClients: () => this.acceptor?.setLimits(this.config.maxClients, this.config.tcpKeepAliveSeconds),
      followConfig: () => this.followConfig(),
      loadAppendOnlyAgain: () => {
        const { keyspace, state } = options;
        const { persistence, config: sharedConfig } = state;
        return loadAppendOnlyAgain({ keyspace, config: this.config, persistence, sharedConfig });
      },
      isDebugAllowed: (session) => this.isAllowed(this.config.enableDebugCommand, session),
      log,
      flush: (session) => this.flush(session),
      wakeWorker: (index) => this.channels[index].wake(),
      purgeBuffers: () => {
        for (let worker = 0; worker < this.state.workerLoad.startedWorkers; worker++) {
          this.state.outbox.send(worker, MessageKind.Purge, 0);
        }
      },
      writeDirectly: (fd, writer, start, end) => this.sockets?.writeDirectly(fd, writer, start, end) ?? 0,
      releaseUnusedPages: (shard) => this.houseKeeping.releaseUnusedPages(shard),
      serveWhileBusy: (session) => this.serveWhileBusy(session),
      executeTransaction: (session, isStillValid) => this.executor.executeTransaction(session, isStillValid),
    };
  }

  /** Creates the transport; if it has sockets of its own, the worker can pass connections on. */
  private createTransport(libc: Libc | null, reply: ReplyWriter, log: Log): Transport {
    const { options } = this;
    if (this.acceptor === null || libc === null) {
      this.nodeTls = new NodeTls(this.state.tls, this.config, log);
      const transport = new NodeTransport(this.channels, options.index, reply, this, this.nodeTls);
      parentPort?.on('message', (message: ListenMessage) => void this.listen(transport, message));
      return transport;
    }
    const { workerLoad } = this.state;
    const processors = new ProcessorLoad();
    const gathering = new InputGathering(() => workerLoad.activeWorkers, processors);
    const ring =
      options.transport === 'io_uring'
        ? IoUringTransport.create(libc, this.channel, reply, this, gathering)
        : null;
    this.sockets = ring ?? new EpollTransport(libc, this.channel, reply, this);
    if (options.workerCount > 1)
      this.placement = new WorkerPlacement(
        workerLoad,
        options.index,
        processors,
        libc.threadCpuMs,
        () => this.state.statistics.total(ServerCounter.CommandsProcessed),
        () => lockWaits.sleepMs,
      );
    if (ring === null) this.services.multiplexingApi = 'epoll';
    this.moves = new ConnectionMoves({
      services: this.services,
      access: this.access,
      sockets: this.sockets,
      placement: this.placement,
      channels: this.channels,
      adopt: (connection, session) => this.adopt(connection, session),
      forget: (connection, session) => this.forget(connection, session),
    });
    return this.sockets;
  }

  start(): void {
    process.on('exit', () => {
      // The main thread reports that this one has ended, but can't know what it was doing.
      if (!this.hasFailed && !this.channel.isStopped) this.reportEnd();
    });
    this.transport.start();
  }

  private reportEnd(): void {
    const { logFile, crashLogEnabled } = this.config;
    const details = crashDetails(this.context, this.isExecuting);
    writeCrashReport(crashLogEnabled ? logFile : '', `\n${details}\n`);
  }

  /** Opens or joins listening sockets, for a worker that accepts by itself. */
  private async listen(transport: NodeTransport, message: ListenMessage): Promise<void> {
    if ('join' in message) {
      joinListeners(message.join, message.backlog, transport.accept);
      return;
    }
    let answer: ListenAnswer;
    try {
      answer = { listeners: await openSharedListeners(message.open, transport.accept), failure: '' };
    } catch (error) {
      answer = { listeners: [], failure: (error as Error).message };
    }
    parentPort?.postMessage(answer);
  }

  get clientsMax(): number {
    return this.config.maxClients;
  }

  get keepAliveSeconds(): number {
    return this.config.tcpKeepAliveSeconds;
  }

  onRefused(): void {
    this.state.counters.server[ServerCounter.RejectedConnections]++;
  }

  onAcceptFailed(reason: string): void {
    this.acceptFailures.note(reason);
  }

  /** An exception may have left a shard half changed or locked: it ends the process, with all that is known. */
  private fail(error: unknown): never {
    this.hasFailed = true;
    const failure = error instanceof Error ? error : new Error(String(error));
    failure.stack = `${failure.stack}\n\n${crashDetails(this.context, this.isExecuting)}`;
    throw failure;
  }

  /** Takes over what CONFIG SET changed in another thread. */
  private followConfig(): void {
    const published = this.state.config.readIfNewer(this.configVersion);
    if (published === null) return;
    this.configVersion = published.version;
    this.config.adopt(JSON.parse(published.json));
    this.applyConfig();
    this.executor.conditionsChanged();
    this.nodeTls?.follow();
    this.limits.configurationChanged();
  }

  /** Looks whether the dataset is being loaded: at start, or because a primary has sent another. */
  private followLoading(): void {
    const { isLoading, isAsyncLoading } = this.state.persistence;
    this.executor.checks.isLoading = isLoading;
    this.executor.checks.isAsyncLoading = isAsyncLoading;
    this.executor.conditionsChanged();
  }

  private applyConfig(): void {
    const { config, services } = this;
    config.copyTo(this.settings);
    this.keyspace.settingsChanged();
    this.context.scripts.engine.limitMemory(config.scriptMemoryBytesMax);
    const ownExpiries = config.replicaReadOnly ? null : this.ownExpiries;
    services.notices.configure(eventClasses(config.value('notify-keyspace-events')), ownExpiries);
    this.imageWriter.setCompression(config.rdbCompression);
    services.maxBulkLengthBytes = config.protoMaxBulkLengthBytes;
    this.dispatcher.parser.maxBulkLengthBytes = config.protoMaxBulkLengthBytes;
  }

  /**
   * Whether a key found expired may be deleted: not while nothing can be recorded, nor while CLIENT PAUSE holds writes
   * back, unless the running command is a write.
   */
  private mayExpire(): boolean {
    if (this.state.appendOnly.writeError !== 0) return false;
    // The primary decides when a replica's keys expire, unless clients write to the replica.
    if (this.state.replication.isReplica) return (this.context.command.flags & CommandFlag.Write) !== 0;
    return !this.state.control.areWritesPaused || (this.context.command.flags & CommandFlag.Write) !== 0;
  }

  /** The same for keys that are deleted without a command that asks for them. */
  private mayExpireByItself(): boolean {
    const { appendOnly, replication, control } = this.state;
    return !replication.isReplica && appendOnly.writeError === 0 && !control.areWritesPaused;
  }

  /** The same for keys that are evicted; what a replica evicts by itself is gone only here. */
  private mayEvict(): boolean {
    const { appendOnly, replication, control } = this.state;
    if (replication.isReplica && this.config.replicaIgnoresMaxMemory) return false;
    return appendOnly.writeError === 0 && !control.areWritesPaused;
  }

  /** Whether an `enable-…` directive allows a client. */
  private isAllowed(permission: Permission, session: Session): boolean {
    return (
      permission === 'yes' || (permission === 'local' && isLoopbackAddress(session.connection.peerAddress()))
    );
  }

  get isPaused(): boolean {
    return this.dispatcher.isPaused;
  }

  get bytesNeeded(): number {
    return this.dispatcher.bytesNeeded;
  }

  onOpen(connection: Connection): void {
    this.heed();
    const id = this.state.control.takeClientId();
    const session = new Session(id, connection, monotonicMs());
    this.access.begin(session);
    if (connection.tlsVersion !== 0 && this.config.usesCertificateNames)
      this.access.beginWithCertificate(session, this.transport.certificateName(connection));
    const hasRow = this.services.clientRows.open(session);
    connection.session = session;
    this.adopt(connection, session);
    this.state.counters.server[ServerCounter.ConnectionsReceived]++;
    this.limits.opened(connection, session);
    if (!hasRow) {
      this.onRefused();
      this.transport.reply.error(TOO_MANY_CLIENTS);
      connection.closeAfterReply();
    }
    const { needsNoPassword } = this.access.defaultUser;
    if (this.config.protectedMode && needsNoPassword && !isLoopbackAddress(connection.peerAddress())) {
      this.state.counters.server[ServerCounter.RejectedConnections]++;
      this.transport.reply.error(PROTECTED_MODE_ERROR);
      connection.closeAfterReply();
    }
  }

  /** Handles what other threads have changed or sent; costs one load if there is nothing. */
  private heed(): void {
    const attention = this.state.attention.version(this.options.index);
    if (attention === this.heeded) return;
    this.heeded = attention;
    this.access.follow();
    this.takeRequests();
    this.followConfig();
    this.followLoading();
    this.state.mail.drain(this.options.index, this.receive);
  }

  onData(connection: Connection, bytes: Uint8Array, view: DataView, start: number, end: number): number {
    // Changes that other clients were told are done must take effect before this client's commands run.
    this.heed();
    const { session } = connection;
    if (session === null) return end;
    // Its input moves along with the connection.
    if (session.handover !== null) return start;
    this.context.nowMs = Date.now();
    if (this.roundStartMs === 0) this.roundStartMs = monotonicMs();
    // No moves while a slow script runs: the target may be the worker that runs it.
    this.moves?.noteInput(connection, this.keyspace.lockOrder.slowScripts === 0);
    session.lastInteractionMs = this.roundStartMs;
    if (
      session.lastCommandId < 0 &&
      bytes[start] === TLS_HANDSHAKE &&
      end - start > 1 &&
      bytes[start + 1] === 3
    ) {
      this.refuseTls(connection, session);
      return end;
    }
    const { journal } = this.keyspace;
    if (journal.isOn && !journal.ring.isReady) this.waitForJournal();
    journal.beginTurn();
    this.limits.beforeCommands(session);
    const { reply } = this.transport;
    reply.outlet = connection;
    this.turnBytes = 0;
    let position: number;
    this.isExecuting = true;
    try {
      position = this.dispatcher.dispatch(connection, session, bytes, view, start, end);
    } catch (error) {
      this.fail(error);
    }
    this.isExecuting = false;
    reply.outlet = null;
    this.afterCommands(connection, session);
    this.limits.inputWaits(connection, session, end - position);
    this.noteTraffic(connection, session, position - start, end - position);
    this.services.monitors.flush();
    this.limits.evictClients();
    // One of the commands may have been CLIENT KILL. Other news can wait for the next commands.
    if (this.state.attention.version(this.options.index) !== this.heeded) this.takeRequests();
    if (this.services.waitRoom.hasServed) this.resumeServedFirst();
    return position;
  }

  /** The clients that the commands have served get their replies before the client that has sent these: they wait longer. */
  private resumeServedFirst(): void {
    const { reply } = this.transport;
    const { size } = reply;
    if (size > REPLY_SET_ASIDE_BYTES_MAX || reply.spilledBytes > 0 || this.isReplySetAside) return;
    const { replySetAside } = this;
    // A client that is resumed may have sent more commands, which run now, and may serve others.
    this.isReplySetAside = true;
    for (let at = 0; at < size; at++) replySetAside[at] = reply.bytes[reply.start + at];
    const { protocol } = reply;
    reply.drop();
    this.keyspace.keptLock.letGo();
    this.services.waitRoom.finishServed();
    this.isReplySetAside = false;
    reply.protocol = protocol;
    reply.raw(replySetAside, 0, size);
  }

  /** Closes a client that speaks TLS on a port without TLS: it would wait for a reply forever. */
  private refuseTls(connection: Connection, session: Session): void {
    const client = this.describe(session);
    this.services.log(
      `Protocol error (TLS handshake on a port without TLS) from client: ${client}`,
      'warning',
    );
    this.transport.close(connection, false);
  }

  onPart(connection: Connection): void {
    const { session } = connection;
    if (session === null) return;
    session.lastInteractionMs = monotonicMs();
    this.state.counters.server[ServerCounter.Reads]++;
    // The tick measures its buffers.
    this.unsettled.add(connection);
    this.limits.inputWaits(connection, session, connection.inputLength);
    if (!session.authenticated) this.publishBuffers(connection, session);
  }

  /** What has to happen once commands of a connection have run. */
  afterCommands(connection: Connection, session: Session): void {
    // Replies to an unauthenticated client tell nothing of the data, so they need not wait for the disk.
    if (session.authenticated) this.heldReplies.holdIfUnsynced(connection);
    this.limits.afterCommands(connection, session);
    // Before the reply: who has read that of QUIT finds that the client is no subscriber.
    if (session.closing && session.subscribed !== null) this.services.subscriptions.unsubscribeAll(session);
    if (session.handover !== null) {
      session.postponed = null;
      this.moves?.handOver(connection);
      return;
    }
    if (this.state.outbox.takeCongestion() && session.postponed === null) {
      this.heldBack.add(connection);
      this.transport.pauseReading(connection);
    }
    if (session.postponed === null) return;
    if (session.isWaiting) {
      connection.closesOnEnd = true;
      this.allowDirectReply(connection, session);
    } else {
      const { postponedWork } = session;
      this.postponed.add(connection, session);
      // Held back by a pause, or in WAIT: as soon as the client leaves, it is forgotten.
      connection.closesOnEnd = postponedWork === null || postponedWork instanceof ConfirmationWork;
      if (postponedWork instanceof ConfirmationWork)
        this.allowConfirmation(connection, session, postponedWork);
    }
    this.transport.pauseReading(connection);
  }

  /** If a client that waits has been sent everything before, the worker that serves it may reply to it. */
  private allowDirectReply(connection: Connection, session: Session): void {
    if (this.sockets === null || this.placement === null || session.replyMode !== ReplyMode.On) return;
    const fd = this.sockets.settledSocket(connection);
    if (fd >= 0) this.state.clients.allowDirectReply(session.clientSlot, fd);
  }

  /** Lets the replication thread reply to a client of WAIT, unless messages could come between. */
  private allowConfirmation(connection: Connection, session: Session, work: ConfirmationWork): void {
    if (this.sockets === null || session.replyMode !== ReplyMode.On || !work.mayBeRepliedTo) return;
    if (session.protocol !== 2 || session.subscribed !== null || session.isMonitor) return;
    if (!this.flush(session)) return;
    const fd = this.sockets.settle(connection);
    if (fd >= 0) work.allowReply(this.options.index, fd);
  }

  private readonly isJournalFailing = (): boolean => this.state.appendOnly.writeError !== 0;

  private waitForJournal(): void {
    this.keyspace.keptLock.letGo();
    if (this.keyspace.journal.ring.waitUntilReady(this.isJournalFailing)) return;
    // The journal thread clears this when the disk accepts data again.
    this.state.appendOnly.writeError = constants.errno.ETIMEDOUT;
    this.services.log('The disk does not take what is to go to the append only file', 'warning');
  }

  onRoundEnd(): void {
    this.keyspace.keptLock.letGo();
    if (this.roundStartMs > 0) this.placement?.noteRound(monotonicMs() - this.roundStartMs);
    this.roundStartMs = 0;
    if (this.busyServer?.wasWoken) {
      this.busyServer.wasWoken = false;
      this.onWake();
    }
    this.services.waitRoom.finishServed();
    this.messages.flush();
    this.heldReplies.commit();
    this.moves?.onRoundEnd();
    this.wakeReplication();
  }

  /** Has what was recorded sent to replicas, by the replication thread if it asked to be woken for that. */
  private wakeReplication(): void {
    const { ackRequests } = this;
    const mustWake = ackRequests.isWanted ? !ackRequests.send() : this.keyspace.journal.ring.wakesReplication;
    if (mustWake) this.channels[this.options.workerCount].wake();
  }

  /** Sends a client a message, or a part of one that several clients get. */
  private deliver(session: Session, writer: ReplyWriter, start: number): void {
    const { reply } = this.transport;
    if (this.isExecuting && session === this.context.session && session.replyMode === ReplyMode.On) {
      // The message comes before the reply to the command that has caused it.
      reply.raw(writer.bytes, start, writer.length - start);
      return;
    }
    if (session.isWaiting && this.services.waitRoom.keepMessage(session, writer.bytes, start, writer.length))
      return;
    const connection = this.connections.get(session.id);
    if (connection === undefined) return;
    this.state.counters.server[ServerCounter.OutputBytes] += writer.length - start;
    this.transport.deliver(connection, writer, start);
  }

  onDelivery(connection: Connection): void {
    this.heldReplies.holdIfUnsynced(connection);
  }

  /** Reads again from the connections in `heldBack` once no worker is behind with messages any more. */
  private releaseHeldBack(): void {
    if (this.heldBack.size === 0) return;
    const { outbox } = this.state;
    for (let worker = 0; worker < this.options.workerCount; worker++) if (outbox.isCongested(worker)) return;
    const connections = [...this.heldBack];
    this.heldBack.clear();
    for (const connection of connections) this.transport.resumeReading(connection);
  }

  get nextDeadlineMs(): number {
    return Math.min(this.services.waitRoom.nextDeadlineMs, this.postponed.nextDeadlineMs);
  }

  onDeadline(): void {
    this.keyspace.keptLock.letGo();
    this.services.waitRoom.expire(monotonicMs());
    this.postponed.resume();
    this.onRoundEnd();
  }

  /** Resumes a client that has waited for keys. */
  private resumeWaiting({ session, command, end, reply: served, bytes, error }: EndedWait): void {
    const connection = this.connections.get(session.id);
    if (connection === undefined) return;
    const { reply } = this.transport;
    session.postponed = null;
    connection.closesOnEnd = false;
    this.context.nowMs = Date.now();
    session.lastInteractionMs = monotonicMs();
    this.keyspace.journal.beginTurn();
    this.limits.beforeCommands(session);
    reply.protocol = session.protocol;
    if (end === WaitEnd.Denied) {
      this.replyDenied(session, command);
      this.executor.countDenied(session, command);
    } else {
      if (end === WaitEnd.Served) {
        const writtenBytes = Math.max(0, served.writtenBytes);
        reply.raw(bytes, served.offset + writtenBytes, served.length - writtenBytes);
        this.state.counters.server[ServerCounter.OutputBytes] += writtenBytes;
        // Another worker may have recorded the effect.
        if ((command.command.flags & CommandFlag.Write) !== 0)
          session.writtenUntil = this.keyspace.journal.ring.head;
      } else if (end === WaitEnd.TimedOut) reply.nullArray();
      else if (end === WaitEnd.Demoted) reply.error(DEMOTED);
      else reply.error(UNBLOCKED);
      const isUnblocked = end === WaitEnd.Unblocked || end === WaitEnd.Demoted;
      if (served.writtenBytes === NOT_WRITTEN)
        this.executor.countServed(session, command, served.milliseconds, isUnblocked ? 'UNBLOCKED' : error);
    }
    if (session.replyMode !== ReplyMode.On) {
      reply.drop();
      if (session.replyMode !== ReplyMode.Off) session.replyMode = ReplyMode.On;
    }
    for (const message of served.messages ?? []) reply.raw(message, 0, message.length);
    this.heldReplies.holdIfUnsynced(connection);
    this.limits.afterCommands(connection, session);
    if (connection.isClosed) return;
    this.state.counters.server[ServerCounter.OutputBytes] += reply.size;
    this.publishClient(connection, session);
    this.transport.send(connection);
    this.transport.resumeReading(connection);
  }

  /** Replies to a client that has waited why it gets nothing, and logs the denial. */
  private replyDenied(session: Session, { command, request }: QueuedCommand): void {
    const refusal = this.access.checkAccess(session, command, request, DenialContext.TopLevel);
    // The user may have the right again by now, but then another client was served instead.
    this.transport.reply.error(refusalError(refusal === Refusal.None ? Refusal.Key : refusal, command));
  }

  /** Closes a connection whose user was deleted, or lost channels; if its command runs now, once it has its reply. */
  private closeSoon(session: Session): void {
    const { clients } = this.state;
    if (this.isExecuting && session === this.context.session) session.closing = true;
    else if (session.clientSlot >= 0) clients.requestKill(session.clientSlot, session.id);
  }

  onDetached(connection: Connection): void {
    this.moves?.onDetached(connection);
  }

  /** Serves other clients while a slow script of this client runs here. */
  private serveWhileBusy(session: Session): void {
    const { sockets } = this;
    if (sockets === null) return;
    this.busyServer ??= new BusyServer(this, this.context, this.state.counters.keyspace);
    this.busyServer.serve(sockets, this.connections.get(session.id) ?? null);
  }

  /** A client as CLIENT LIST shows it, by its slot in the table. */
  private describeSlot(slot: number): string {
    if (slot < 0) return '';
    return this.state.clients.formatLine(slot, monotonicMs(), (id) => this.context.table.byId(id).fullName);
  }

  private describe(session: Session): string {
    const connection = this.connections.get(session.id);
    if (connection !== undefined) this.publishClient(connection, session);
    return this.describeSlot(session.clientSlot);
  }

  /** Keeps the connection's row in the client table up to date. */
  private noteTraffic(connection: Connection, session: Session, readBytes: number, keptBytes: number): void {
    const { counters } = this.state;
    const { reply } = this.transport;
    const replyBytes = reply.size + reply.spilledBytes;
    counters.server[ServerCounter.InputBytes] += readBytes;
    counters.server[ServerCounter.OutputBytes] += replyBytes;
    counters.server[ServerCounter.Reads]++;
    counters.server[ServerCounter.Writes]++;
    // The buffer for an incomplete command is allocated only after this; `unsettled` has it measured later.
    const freeBytes = keptBytes === 0 ? 0 : Math.max(this.bytesNeeded, connection.queryBufferFreeBytes);
    this.services.clientRows.publish(session, keptBytes, freeBytes, readBytes);
    if (keptBytes > 0) this.unsettled.add(connection);
  }

  private flush(session: Session): boolean {
    const connection = this.connections.get(session.id);
    if (connection === undefined) return false;
    if (!this.limits.maySendPart(connection, session)) return !connection.isClosed;
    if (session.authenticated) this.heldReplies.holdIfUnsynced(connection);
    const { reply } = this.transport;
    const replyBytes = reply.size + reply.spilledBytes;
    this.turnBytes += replyBytes;
    this.state.counters.server[ServerCounter.OutputBytes] += replyBytes;
    this.transport.send(connection);
    return !connection.isClosed && this.turnBytes < TURN_REPLY_BYTES_MAX;
  }

  onClose(connection: Connection): void {
    const { session } = connection;
    if (session === null) return;
    session.closing = true;
    session.discardTransaction();
    const { postponedWork } = session;
    postponedWork?.abandon();
    session.postponedWork = null;
    this.services.monitors.leave(session);
    this.services.waitRoom.abandon(session);
    this.services.subscriptions.unsubscribeAll(session);
    this.services.invalidations.end(session);
    this.services.clientRows.close(session);
    this.postponed.remove(connection, postponedWork);
    this.forget(connection, session);
    this.channel.connectionClosed();
  }

  onTlsFailure(_connection: Connection, reason: string): void {
    this.services.log(`Reading from client: ${reason}`, 'verbose');
  }

  private adopt(connection: Connection, session: Session): void {
    this.connections.set(session.id, connection);
    this.services.sessions.set(session.id, session);
  }

  private forget(connection: Connection, session: Session): void {
    connection.session = null;
    this.unsettled.delete(connection);
    this.heldBack.delete(connection);
    this.limits.closed(connection);
    this.connections.delete(session.id);
    this.services.sessions.delete(session.id);
  }

  onWake(): void {
    // No lock is kept, since what follows may wait for a disk.
    this.keyspace.keptLock.letGo();
    this.followRole();
    this.keyspace.journal.ring.drain();
    this.heldReplies.commit();
    this.access.follow();
    this.readMailbox();
    this.takeRequests();
    this.postponed.resume();
    this.followConfig();
    this.followLoading();
    this.houseKeeping.followAppendOnly();
  }

  /** Ends the waits of clients with write commands when the server has become a replica. */
  private followRole(): void {
    const { isReplica } = this.state.replication;
    if (isReplica && !this.wasReplica) this.services.waitRoom.endWrites();
    this.wasReplica = isReplica;
  }

  private readMailbox(): void {
    this.state.outbox.flush();
    this.takeMail();
    this.releaseHeldBack();
  }

  takeMail(): void {
    this.state.mail.drain(this.options.index, this.receive);
    this.moves?.takeArrivals();
  }

  private readonly receive = (message: Message): void => {
    const { kind } = message;
    if (kind === MessageKind.MonitorLines) this.services.monitors.receive(message);
    else if (kind === MessageKind.WaitEnded) this.services.waitRoom.receive(message);
    else if (kind === MessageKind.Unblocked) this.unblock(message);
    else if (kind === MessageKind.Published) this.services.publisher.receive(message);
    else if (kind === MessageKind.Purge) this.houseKeeping.giveBackBuffers(true);
    else if (kind >= MessageKind.Invalidated) this.services.invalidations.receive(message);
    else if (kind === MessageKind.Connection) this.moves?.receive(message);
  };

  private unblock({ id, first, second }: Message): void {
    const work = this.services.sessions.get(id)?.postponedWork;
    if (work instanceof ConfirmationWork) work.unblock(first, second);
  }

  /** Sends a connection bytes that are not a reply. The reply writer must be empty. */
  private sendTo(session: Session, bytes: Uint8Array, offset: number, length: number): void {
    if (session.isWaiting && this.services.waitRoom.keepMessage(session, bytes, offset, offset + length))
      return;
    const connection = this.connections.get(session.id);
    if (connection === undefined) return;
    this.state.counters.server[ServerCounter.OutputBytes] += length;
    this.transport.reply.raw(bytes, offset, length);
    this.transport.send(connection);
  }

  /** Closes the connections that CLIENT KILL, in any worker, has asked this one to close. */
  private takeRequests(): void {
    const { clients } = this.state;
    if (!clients.takeRequests(this.options.index)) return;
    for (const connection of [...this.connections.values()]) {
      const { session } = connection;
      if (session !== null && clients.isKillRequested(session.clientSlot))
        this.transport.close(connection, false);
    }
  }

  /** Runs a command that was postponed. */
  private goOn(connection: Connection, session: Session, postponed: QueuedCommand): void {
    const { reply } = this.transport;
    this.context.nowMs = Date.now();
    this.keyspace.journal.beginTurn();
    this.limits.beforeCommands(session);
    reply.protocol = session.protocol;
    reply.outlet = connection;
    this.isExecuting = true;
    try {
      this.executor.executePostponed(session, postponed);
    } catch (error) {
      this.fail(error);
    }
    this.isExecuting = false;
    reply.outlet = null;
    if (session.authenticated) this.heldReplies.holdIfUnsynced(connection);
    this.limits.afterCommands(connection, session);
    this.services.monitors.flush();
    if (session.handover !== null && !connection.isClosed) {
      session.postponed = null;
      this.moves?.handOver(connection);
    }
  }

  /** A postponed command has run, or waits for keys now: then the connection is not read until it is served. */
  private hasGoneOn(connection: Connection, session: Session): void {
    if (session.isWaiting) {
      connection.closesOnEnd = true;
      return;
    }
    connection.closesOnEnd = false;
    if (session.closing) connection.closeAfterReply();
    this.publishClient(connection, session);
    this.transport.send(connection);
    if (session.handover === null) this.transport.resumeReading(connection);
  }

  onSpareTime(): boolean {
    // It would hold up the threads that load.
    if (this.executor.checks.isLoading) return false;
    return this.houseKeeping.inSpareTime();
  }

  onTick(): boolean {
    const nowMs = Date.now();
    this.keyspace.keptLock.letGo();
    this.followConfig();
    this.access.follow();
    this.context.nowMs = nowMs;
    this.measureUnsettled();
    this.limits.evictClients();
    let isWorkLeft = false;
    this.keyspace.journal.ring.drain();
    this.heldReplies.commit();
    this.readMailbox();
    this.takeRequests();
    this.postponed.resume();
    // Connections that have moved here, or were resumed, may have run commands.
    this.onRoundEnd();
    if (this.postponed.size > 0) isWorkLeft = true;
    this.followLoading();
    if (this.houseKeeping.tick(nowMs)) isWorkLeft = true;
    const { engine } = this.context.scripts;
    engine.trim();
    this.state.runningScripts.noteVmBytes(this.options.index, engine.usedBytes);
    this.placement?.tick(monotonicMs(), this.config.activeWorkers);
    // With `appendfsync always`, the journal thread has not been woken for expired keys yet.
    this.keyspace.journal.ring.wakeIfPending();
    this.waitServer.serveHeldBack();
    // Expiring keys may have served waiting clients, and caused messages.
    this.services.waitRoom.finishServed();
    this.messages.flush();
    this.limits.tick(monotonicMs());
    this.wakeReplication();
    return isWorkLeft;
  }

  /** Updates the rows of clients with buffers, and gives back the buffers that idle ones do not need. */
  private measureUnsettled(): void {
    if (this.unsettled.size === 0) return;
    const nowMs = monotonicMs();
    for (const connection of this.unsettled) {
      const { session } = connection;
      if (session === null) continue;
      if (nowMs - session.lastInteractionMs > SHRINK_AFTER_IDLE_MS) connection.shrinkInput();
      this.publishBuffers(connection, session);
      // A buffer for input is kept for a while, empty, for what comes next.
      if (connection.input === null && connection.pendingOutputBytes === 0) this.unsettled.delete(connection);
    }
  }

  publishClient(connection: Connection, session: Session): void {
    this.services.clientRows.publish(session, connection.queryBufferBytes, connection.queryBufferFreeBytes);
  }

  private publishBuffers(connection: Connection, session: Session): void {
    const { queryBufferBytes, queryBufferFreeBytes } = connection;
    this.services.clientRows.publishBuffers(session, queryBufferBytes, queryBufferFreeBytes);
  }

  onOutputPending(connection: Connection): void {
    const { session } = connection;
    if (session === null) return;
    this.unsettled.add(connection);
    this.publishBuffers(connection, session);
    this.limits.outputWaits(connection, session);
  }
}

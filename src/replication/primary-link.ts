/**
 * The link of this server, as a replica, to its primary: connects, asks for what is missing, takes a snapshot if it has to,
 * then applies the stream (stream-applier.ts).
 *
 * A snapshot is received into a file first, and that is read once completely before the old data is given up: so a
 * transfer that is cut or damaged costs nothing. Only then the data is emptied and the file loaded, under the locks of
 * all shards; clients are told LOADING meanwhile. Or it is loaded beside the data (beside-load.ts).
 */

import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { readTlsSettings } from '../config/tls-settings.js';
import type { ClientRows } from '../execution/client-rows.js';
import { NO_CONNECTION } from '../execution/no-connection.js';
import { RestorePolicy } from '../execution/scripts/known-functions.js';
import type { ClientConnection } from '../execution/session.js';
import { Session } from '../execution/session.js';
import { JournalRequest } from '../journal/journal-ring.js';
import { connectTls } from '../network/tls/client-socket.js';
import {
  describeLoad,
  examineFile,
  type LoadOptions,
  type LoadResult,
  loadFile,
} from '../persistence/load-file.js';
import { AppendOnlyMode } from '../state/append-only-state.js';
import { LinkState, NO_ID, ReplicationFigure } from '../state/replication-state.js';
import { monotonicMs } from '../system/clock.js';
import { discardBeside, endSnapshots, exchange, loadBeside } from './beside-load.js';
import type { ReplicationCore } from './core.js';
import type { Primary } from './primary.js';
import { LinkError, ProtocolError, StreamApplier } from './stream-applier.js';

const ACK_INTERVAL_MS = 1000;
const RECONNECT_MS = 1000;
const MARK_BYTES = 40;
/** Interval of the line feeds that tell the primary that this server is still there. */
const KEEP_ALIVE_MS = 1000;
/** Time for workers to notice that data is being loaded, before locks are taken. */
const LOADING_GRACE_MS = 20;
const LINE_BYTES_MAX = 64 * 1024;
const NEWLINE = Buffer.from('\n');
/** Minimum time between two log lines about a disk that takes nothing. */
const DISK_LOG_INTERVAL_MS = 10_000;

type Step = (line: string) => void;

/** A snapshot that is being received. */
interface Transfer {
  readonly fd: number;
  readonly fileName: string;
  /** It has no name in a directory, and is gone when its descriptor is closed. */
  readonly isInMemory: boolean;
  /** Length of the snapshot; -1: it ends with the mark. */
  readonly lengthBytes: number;
  readonly mark: Buffer | null;
  received: number;
  tail: Buffer;
}

export class PrimaryLink {
  private readonly core: ReplicationCore;
  private readonly primary: Primary;
  private readonly rows: ClientRows;
  private socket: net.Socket | null = null;
  private session: Session | null = null;
  private applier: StreamApplier | null = null;
  private host = '';
  private port = 0;
  private buffer = Buffer.alloc(0);
  private readonly steps: Step[] = [];
  private transfer: Transfer | null = null;
  /** The snapshot is received, or loaded, beside the data. */
  private isBeside = false;
  /** Id and offset of the full sync that is under way. */
  private newId = '';
  private newOffset = 0;
  private lastIoMs = 0;
  private nextAckMs = 0;
  private nextConnectMs = 0;
  private nextDiskLogMs = 0;
  /** Whether the data here belongs to a history that the primary may be able to continue. */
  private hasHistory = false;
  /** In which the primary's stream goes on. */
  private streamDatabase = 0;
  /** Set during a failover, until the other side has taken over. */
  private isTakingOver = false;
  /** Requests to take over; the other side may have done so even if its answer was lost. */
  private takeOverRequests = 0;
  onTakeOver: (isDone: boolean) => void = () => {};

  constructor(core: ReplicationCore, primary: Primary, rows: ClientRows) {
    this.core = core;
    this.primary = primary;
    this.rows = rows;
  }

  get isOn(): boolean {
    return this.host !== '';
  }

  /** Begins to be a replica of a server. */
  follow(host: string, port: number, hasHistory: boolean, database: number, takesOver = false): void {
    this.drop();
    this.host = host;
    this.port = port;
    this.hasHistory = hasHistory;
    this.streamDatabase = database;
    this.isTakingOver = takesOver;
    this.takeOverRequests = 0;
    this.nextConnectMs = 0;
    const { state } = this.core;
    state.linkState = LinkState.Connect;
    state.figures[ReplicationFigure.LinkDownMs] = 0;
    this.connect();
  }

  /** Ends replication from a primary: the server is a primary from now on. */
  leave(): void {
    this.drop();
    this.host = '';
    this.core.state.linkState = LinkState.None;
  }

  private drop(): void {
    const { socket, session, transfer } = this;
    this.socket = null;
    this.session = null;
    if (this.applier !== null) this.streamDatabase = Math.max(0, this.core.state.streamDatabase);
    this.applier = null;
    this.steps.length = 0;
    this.buffer = Buffer.alloc(0);
    this.transfer = null;
    if (session !== null) this.rows.close(session);
    if (transfer !== null) this.discard(transfer);
    this.endBeside();
    socket?.destroy();
  }

  private discard({ fd, fileName, isInMemory }: Transfer): void {
    closeSync(fd);
    if (!isInMemory) rmSync(fileName, { force: true });
  }

  private connect(): void {
    const { host, port, core } = this;
    core.log(`Connecting to MASTER ${host}:${port}`);
    const { config } = core;
    const source = config.value('bind-source-addr');
    const address = { host, port, ...(source === '' ? {} : { localAddress: source }) };
    const usesTls = config.value('tls-replication') === 'yes';
    let socket: net.Socket;
    try {
      socket = usesTls ? connectTls(address, readTlsSettings(config)) : net.connect(address);
    } catch (error) {
      this.lost(`Unable to connect to MASTER: ${(error as Error).message}`);
      return;
    }
    this.socket = socket;
    this.lastIoMs = monotonicMs();
    core.state.linkState = LinkState.Connecting;
    core.log('MASTER <-> REPLICA sync started');
    socket.setNoDelay(true);
    socket.on(usesTls ? 'secureConnect' : 'connect', () => {
      if (this.socket !== socket) return;
      core.log('Non blocking connect for SYNC fired the event.');
      this.greet();
    });
    socket.on('data', (bytes: Buffer) => {
      if (this.socket === socket) this.orLose(() => this.receive(bytes));
    });
    socket.on('error', (error) => {
      if (this.socket === socket) this.lost(`Error condition on socket for SYNC: ${error.message}`);
    });
    socket.on('close', () => {
      if (this.socket === socket) this.lost('');
    });
  }

  /** Handles something that the primary has sent; gives the link up if that is invalid. */
  private orLose(action: () => void): void {
    try {
      action();
    } catch (error) {
      // Whatever else happens here is a fault of this server.
      if (!(error instanceof LinkError)) throw error;
      this.lost(error.message);
    }
  }

  /** The link is lost; it is tried again. */
  private lost(reason: string): void {
    const { state, log } = this.core;
    const wasConnected = state.linkState === LinkState.Connected;
    if (reason !== '') log(reason, 'warning');
    if (wasConnected) log('Connection with master lost.');
    if (wasConnected) log('Caching the disconnected master state.');
    this.drop();
    if (!this.isOn) return;
    state.linkState = LinkState.Connect;
    if (state.figures[ReplicationFigure.LinkDownMs] === 0)
      state.figures[ReplicationFigure.LinkDownMs] = monotonicMs();
    this.nextConnectMs = wasConnected ? 0 : monotonicMs() + RECONNECT_MS;
  }

  // The handshake.

  private command(...words: readonly string[]): void {
    const text = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('');
    this.socket?.write(`*${words.length}\r\n${text}`);
  }

  private greet(): void {
    const { core, steps } = this;
    core.state.linkState = LinkState.Handshake;
    this.command('PING');
    steps.push((line) => {
      if (line.startsWith('+') || /^-(NOAUTH|NOPERM|ERR operation not permitted)/.test(line)) {
        core.log('Master replied to PING, replication can continue...');
        this.introduce();
      } else {
        this.lost(`Error reply to PING from master: '${line}'`);
      }
    });
  }

  private introduce(): void {
    const { core, steps } = this;
    const { config } = core;
    if (config.primaryPassword !== '') {
      const password = Buffer.from(config.primaryPassword, 'latin1').toString();
      if (config.primaryUser !== '') this.command('AUTH', config.primaryUser, password);
      else this.command('AUTH', password);
      steps.push((line) => {
        if (line.startsWith('-')) this.lost(`Unable to AUTH to MASTER: ${line}`);
      });
    }
    const optional = (line: string): void => {
      if (line.startsWith('-')) core.log(`(Non critical) Master does not understand REPLCONF: ${line}`);
    };
    // If servers connect with TLS, announce the TLS port to them.
    const ownPort = config.value('tls-replication') === 'yes' ? config.tlsPort || config.port : config.port;
    this.command('REPLCONF', 'listening-port', String(config.replicaAnnouncePort || ownPort));
    steps.push(optional);
    if (config.replicaAnnounceIp !== '') {
      this.command('REPLCONF', 'ip-address', config.replicaAnnounceIp);
      steps.push(optional);
    }
    this.command('REPLCONF', 'capa', 'eof', 'capa', 'psync2', 'capa', 'damselfly');
    // Only after the reply to the last command: Redis refuses PSYNC while it has replies to send.
    steps.push((line) => {
      optional(line);
      this.ask();
    });
  }

  private ask(): void {
    const { core, steps } = this;
    const { state } = core;
    const offset = state.offsetAt(core.ring.head) + 1;
    if (this.hasHistory) core.log(`Trying a partial resynchronization (request ${state.id}:${offset}).`);
    else core.log('Partial resynchronization not possible (no cached master)');
    const words = this.hasHistory ? [state.id, String(offset)] : ['?', '-1'];
    this.command('PSYNC', ...words, ...(this.isTakingOver ? ['FAILOVER'] : []));
    steps.push((line) => this.answered(line));
    if (this.isTakingOver) this.takeOverRequests++;
  }

  /** The primary has answered PSYNC. */
  private answered(line: string): void {
    const { core, steps } = this;
    const full = /^\+FULLRESYNC ([0-9a-zA-Z]{40}) (\d+)/.exec(line);
    if (full !== null) {
      core.log(`Full resync from master: ${full[1]}:${full[2]}`);
      this.tookOver();
      this.newId = full[1].toLowerCase();
      this.newOffset = Number(full[2]);
      this.hasHistory = false;
      steps.push((header) => this.beginTransfer(header));
    } else if (line.startsWith('+CONTINUE')) {
      core.log('Successful partial resynchronization with master.');
      this.tookOver();
      this.goOn(/^\+CONTINUE ([0-9a-zA-Z]{40})/.exec(line)?.[1]?.toLowerCase() ?? '');
    } else if (this.isTakingOver) {
      this.refusedToTakeOver(line);
    } else if (/^-(NOMASTERLINK|LOADING)/.test(line)) {
      core.log(`Master is currently unable to PSYNC but should be in the future: ${line}`);
      this.lost('');
    } else {
      core.log(`Master does not support PSYNC or is in error state (reply: ${line})`);
      core.log('Retrying with SYNC...');
      this.newId = '';
      this.newOffset = 0;
      this.command('SYNC');
      steps.push((header) => this.beginTransfer(header));
    }
  }

  private refusedToTakeOver(line: string): void {
    const { log } = this.core;
    if (this.takeOverRequests > 1 && line.includes("can't be sent to a master")) {
      // An earlier request was granted, but the connection was lost before its answer.
      log('The failover target has taken over already.');
      this.tookOver();
      this.lost('');
      this.nextConnectMs = 0;
      return;
    }
    log(`Unexpected reply to PSYNC from master: ${line}`, 'warning');
    this.isTakingOver = false;
    this.lost('');
    this.onTakeOver(false);
  }

  private tookOver(): void {
    if (!this.isTakingOver) return;
    this.isTakingOver = false;
    this.onTakeOver(true);
  }

  /** The primary continues the stream from where this server is. */
  private goOn(id: string): void {
    const { core } = this;
    const { state, keyspace, ring } = core;
    if (id !== '' && id !== state.id) {
      keyspace.lockAll();
      state.setHistory(id, state.id, state.offsetAt(ring.head) + 1);
      keyspace.unlockAll();
      core.log(`Master replication ID changed to ${id}`);
      // Replicas have to learn the new id, so they must reconnect.
      this.primary.closeAll();
    }
    this.online(this.streamDatabase);
    core.log('MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.');
  }

  private online(database: number): void {
    const { core } = this;
    const { state, control } = core;
    const socket = this.socket as net.Socket;
    const nowMs = monotonicMs();
    const address = `${this.host}:${this.port}`;
    const connection: ClientConnection = {
      ...NO_CONNECTION,
      peerAddress: () => address,
      localAddress: () => `${socket.localAddress ?? ''}:${socket.localPort ?? 0}`,
      fd: descriptorOf(socket),
    };
    const session = new Session(control.takeClientId(), connection, nowMs);
    session.isPrimary = true;
    this.rows.open(session);
    this.session = session;
    this.hasHistory = true;
    this.applier = new StreamApplier(core.context, session, state, core.log, {
      onAckWanted: () => this.acknowledge(),
      onDiskFailing: () => this.heedDisk(),
    });
    this.applier.begin(database);
    state.figures[ReplicationFigure.ReadOffset] = state.offsetAt(core.ring.head);
    state.figures[ReplicationFigure.LastIoMs] = nowMs;
    state.figures[ReplicationFigure.LinkDownMs] = 0;
    state.linkState = LinkState.Connected;
    core.wakeWorkers();
    this.acknowledge();
    if (this.buffer.length > 0) {
      const { buffer } = this;
      this.buffer = Buffer.alloc(0);
      this.apply(buffer);
    }
  }

  /** What the primary sends is applied although the disk does not take it, or the process ends, as configured. */
  private heedDisk(): void {
    const { core } = this;
    if (!core.config.replicaIgnoresDiskErrors)
      throw new Error('Replica was unable to write command to disk.');
    const nowMs = monotonicMs();
    if (nowMs < this.nextDiskLogMs) return;
    this.nextDiskLogMs = nowMs + DISK_LOG_INTERVAL_MS;
    core.log('Replica is applying a command even though it is unable to write to disk.', 'warning');
  }

  private acknowledge(): void {
    const { core, socket } = this;
    if (socket === null || core.state.linkState !== LinkState.Connected) return;
    this.nextAckMs = monotonicMs() + ACK_INTERVAL_MS;
    const offset = String(core.state.offsetAt(core.ring.head));
    const { ring } = core;
    // Without a base, what is in the append-only file would not be loaded.
    if (core.appendOnly.mode !== AppendOnlyMode.On) {
      this.command('REPLCONF', 'ACK', offset);
      return;
    }
    this.command('REPLCONF', 'ACK', offset, 'FACK', String(core.state.offsetAt(ring.synced)));
  }

  // What comes.

  private receive(bytes: Buffer): void {
    this.lastIoMs = monotonicMs();
    this.core.state.figures[ReplicationFigure.LastIoMs] = this.lastIoMs;
    if (this.applier !== null) {
      this.apply(bytes);
      return;
    }
    if (this.transfer !== null) {
      this.receiveSnapshot(this.transfer, bytes);
      return;
    }
    this.buffer = Buffer.concat([this.buffer, bytes]);
    while (this.steps.length > 0 && this.transfer === null && this.applier === null) {
      const end = this.buffer.indexOf('\n');
      if (end < 0) {
        if (this.buffer.length > LINE_BYTES_MAX) throw new ProtocolError('too long a line');
        return;
      }
      const line = this.buffer.toString('latin1', 0, end).replace(/\r$/, '');
      this.buffer = this.buffer.subarray(end + 1);
      // A line feed only keeps the link alive.
      if (line !== '') this.steps.shift()?.(line);
      if (this.socket === null) return;
    }
    const { transfer, buffer } = this;
    if (transfer !== null && buffer.length > 0 && this.applier === null) {
      this.buffer = Buffer.alloc(0);
      this.receiveSnapshot(transfer, buffer);
    }
  }

  private apply(bytes: Buffer): void {
    const { figures } = this.core.state;
    figures[ReplicationFigure.ReadOffset] += bytes.length;
    this.applier?.add(bytes);
    this.primary.take();
  }

  /** Applies what CLIENT PAUSE has held back, if the pause is over. */
  private applyHeldBack(): void {
    this.applier?.apply();
    this.primary.take();
  }

  private beginTransfer(header: string): void {
    const { core } = this;
    if (header.startsWith('-')) {
      this.lost(`MASTER aborted replication with an error: ${header.slice(1)}`);
      return;
    }
    if (!header.startsWith('$')) {
      this.lost(`Bad protocol from MASTER, the first byte is not '$' (we received '${header.slice(0, 40)}')`);
      return;
    }
    const isMarked = header.startsWith('$EOF:');
    const lengthBytes = isMarked ? -1 : Number(header.slice(1));
    const diskless = core.config.value('repl-diskless-load');
    const isInMemory = diskless === 'swapdb' || (diskless === 'on-empty-db' && this.keyCount() === 0);
    const target = isInMemory ? 'memory' : 'disk';
    core.log(
      isMarked
        ? `MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to ${target}`
        : `MASTER <-> REPLICA sync: receiving ${lengthBytes} bytes from master to ${target}`,
    );
    const named = path.join(core.config.dir, `temp-${process.pid}-from-primary.rdb`);
    let fd: number;
    try {
      fd = isInMemory ? core.openMemoryFile() : openSync(named, 'w', 0o600);
    } catch (error) {
      this.lost(
        `Opening the temp file needed for MASTER <-> REPLICA synchronization: ${(error as Error).message}`,
      );
      return;
    }
    this.transfer = {
      fd,
      fileName: isInMemory ? `/proc/self/fd/${fd}` : named,
      isInMemory,
      lengthBytes,
      mark: isMarked ? Buffer.from(header.slice(5, 5 + MARK_BYTES), 'latin1') : null,
      received: 0,
      tail: Buffer.alloc(0),
    };
    const { figures } = core.state;
    figures[ReplicationFigure.SyncTotalBytes] = lengthBytes;
    figures[ReplicationFigure.SyncReadBytes] = 0;
    figures[ReplicationFigure.SyncLastIoMs] = monotonicMs();
    core.state.linkState = LinkState.Transfer;
    // A later state of the data that is here: that may be read until the other is complete.
    this.isBeside = diskless === 'swapdb' && this.newId === core.state.id;
    if (!this.isBeside) return;
    core.persistence.loadTotalBytes = Math.max(0, lengthBytes);
    core.persistence.loadedBytes = 0;
    core.persistence.beginAsyncLoading(Date.now());
    core.wakeWorkers();
  }

  private endBeside(): void {
    if (!this.isBeside) return;
    this.isBeside = false;
    this.core.persistence.endLoading();
    this.core.wakeWorkers();
  }

  private receiveSnapshot(transfer: Transfer, bytes: Buffer): void {
    const { figures } = this.core.state;
    figures[ReplicationFigure.SyncLastIoMs] = monotonicMs();
    const { mark } = transfer;
    if (mark === null) {
      const length = Math.min(bytes.length, transfer.lengthBytes - transfer.received);
      this.write(transfer, bytes.subarray(0, length));
      figures[ReplicationFigure.SyncReadBytes] = transfer.received;
      if (transfer.received < transfer.lengthBytes) return;
      this.buffer = Buffer.from(bytes.subarray(length));
      void this.finish(transfer);
      return;
    }
    // The last bytes may be the mark, or the beginning of it.
    const all = Buffer.concat([transfer.tail, bytes]);
    if (all.length >= MARK_BYTES && all.subarray(all.length - MARK_BYTES).equals(mark)) {
      this.write(transfer, all.subarray(0, all.length - MARK_BYTES));
      figures[ReplicationFigure.SyncReadBytes] = transfer.received;
      this.buffer = Buffer.alloc(0);
      void this.finish(transfer);
      return;
    }
    const kept = Math.min(MARK_BYTES, all.length);
    this.write(transfer, all.subarray(0, all.length - kept));
    transfer.tail = Buffer.from(all.subarray(all.length - kept));
    figures[ReplicationFigure.SyncReadBytes] = transfer.received;
  }

  private write(transfer: Transfer, bytes: Uint8Array): void {
    try {
      for (let at = 0; at < bytes.length; ) at += writeSync(transfer.fd, bytes, at);
    } catch (error) {
      throw new LinkError(
        `Write error or short write writing to the DB dump file needed for MASTER <-> REPLICA synchronization: ${(error as Error).message}`,
      );
    }
    transfer.received += bytes.length;
  }

  /** A snapshot has arrived: checks it and makes it the data. */
  private async finish(transfer: Transfer): Promise<void> {
    const { core } = this;
    const { config, keyspace, log } = core;
    this.transfer = null;
    // No bytes of the stream may be handed over while it is loaded.
    this.socket?.pause();
    const options = {
      fileName: transfer.fileName,
      hasChecksum: config.rdbChecksum,
      nowMs: Date.now(),
      dropsExpired: false,
    };
    const { socket } = this;
    const examined = examineFile(keyspace, options);
    const held = this.keyCount();
    const { replication } = examined;
    if (this.newId === '' && replication !== null) {
      // The answer to SYNC does not name the history, but the snapshot may.
      this.newId = replication.id;
      this.newOffset = replication.offset;
    }
    if (examined.failure !== '') {
      this.discard(transfer);
      this.lost(`Failed trying to load the MASTER synchronization DB from disk: ${examined.failure}`);
      return;
    }
    if (config.guardsFullSync && examined.keysSeen < held) {
      this.discard(transfer);
      this.lost(
        `The full sync is refused: it brings ${examined.keysSeen} keys in the place of ${held} (replica-full-sync-guard). ` +
          'Stop replicating from this primary, or set replica-full-sync-guard to no',
      );
      return;
    }
    core.persistence.loadTotalBytes = transfer.received;
    core.persistence.loadedBytes = 0;
    const beside = this.isBeside ? await this.loadBeside(options, socket) : null;
    if (beside === null && this.socket === socket) {
      core.persistence.beginLoading(Date.now());
      core.wakeWorkers();
      await delay(LOADING_GRACE_MS);
      if (this.socket !== socket) core.persistence.endLoading();
    }
    if (this.socket !== socket || socket === null) {
      if (beside?.failure === '') discardBeside(core, options.nowMs);
      this.discard(transfer);
      return;
    }
    const failure = beside?.failure || this.replaceData(beside, options, socket);
    this.isBeside = false;
    core.persistence.endLoading();
    core.wakeWorkers();
    this.discard(transfer);
    if (failure !== '') {
      this.hasHistory = false;
      this.lost(`Failed trying to load the MASTER synchronization DB from disk: ${failure}`);
      return;
    }
    log('MASTER <-> REPLICA sync: Finished with success');
    this.online(this.streamDatabase);
    socket.resume();
  }

  /** Loads a file beside the data. Null: there is no memory for both, or the link was lost. */
  private async loadBeside(options: LoadOptions, socket: net.Socket | null): Promise<LoadResult | null> {
    const { core } = this;
    await endSnapshots(core, () => this.socket === socket);
    if (this.socket !== socket || socket === null) return null;
    const loaded = loadBeside(core, options, this.keepAlive(socket));
    if (!loaded.lacksMemory) return loaded;
    core.log(
      'There is no memory for the old and the new data at once: the old data is flushed first',
      'warning',
    );
    this.endBeside();
    return null;
  }

  private keyCount(): number {
    const { keyspace } = this.core;
    let count = 0;
    for (let database = 0; database < keyspace.databaseCount; database++)
      count += keyspace.keyCount(database);
    return count;
  }

  /**
   * Makes the data that of the file, which was loaded beside it, or is loaded now (`beside` is null). Returns why that is not
   * possible, '' if it is done.
   */
  private replaceData(beside: LoadResult | null, options: LoadOptions, socket: net.Socket): string {
    const { core, primary } = this;
    const { keyspace, persistence, state, ring } = core;
    primary.closeAll();
    keyspace.lockAll();
    this.giveUpFiles();
    const loaded = beside ?? this.loadAnew(options, socket);
    const { failure, keysLoaded, keysExpired, functions, replication } = loaded;
    const problem = failure || core.context.scripts.functions.restore(functions, RestorePolicy.Flush);
    if (problem === '') {
      if (beside !== null) exchange(core, options.nowMs);
      persistence.noteLoaded(keysLoaded, keysExpired);
      state.setHistory(this.newId === '' ? NO_ID : this.newId, NO_ID, -1);
      state.countFrom(ring.head, this.newOffset);
      this.streamDatabase = replication?.database ?? 0;
      ring.database = this.streamDatabase;
      core.log(describeLoad(loaded));
    }
    primary.forgetBacklog();
    keyspace.unlockAll();
    if (beside !== null) {
      core.log('MASTER <-> REPLICA sync: Discarding old DB in background');
      discardBeside(core, options.nowMs);
    }
    return problem;
  }

  /** No snapshot of the old data is taken any more, and its append-only file ends. The locks of all shards are held. */
  private giveUpFiles(): void {
    const { keyspace, persistence, appendOnly, ring } = this.core;
    if (persistence.isBusy) {
      persistence.cancel();
      keyspace.cancelSnapshot();
    }
    if (!ring.isFileOn) return;
    // The file begins anew, with the loaded data as its base; until that is written, it consists of the old files.
    ring.turnOff();
    appendOnly.mode = AppendOnlyMode.Off;
    ring.request(JournalRequest.Close);
  }

  /** Empties the keyspace and loads a file. The locks of all shards are held. */
  private loadAnew(options: LoadOptions, socket: net.Socket): LoadResult {
    const { keyspace, log, context } = this.core;
    log('MASTER <-> REPLICA sync: Flushing old data');
    keyspace.flush(0, keyspace.databaseCount, options.nowMs);
    context.scripts.functions.flush();
    log('MASTER <-> REPLICA sync: Loading DB in memory');
    keyspace.useReserve(true);
    const loaded = loadFile(keyspace, options, log, { onProgress: this.keepAlive(socket) });
    keyspace.useReserve(false);
    keyspace.noteLoaded();
    return loaded;
  }

  /** Notes how much is loaded and, from time to time, tells the primary that this server is still there. */
  private keepAlive(socket: net.Socket): (offset: number) => void {
    const { persistence } = this.core;
    const fd = descriptorOf(socket);
    let nextMs = 0;
    return (offset) => {
      persistence.loadedBytes = offset;
      const nowMs = monotonicMs();
      if (nowMs < nextMs || fd < 0) return;
      nextMs = nowMs + KEEP_ALIVE_MS;
      try {
        writeSync(fd, NEWLINE);
      } catch {
        // The socket is full or closed.
      }
    };
  }

  /** Called ten times a second. */
  tick(nowMs: number): void {
    if (!this.isOn) return;
    const { core, session } = this;
    const { config, state } = core;
    if (this.socket === null) {
      if (nowMs >= this.nextConnectMs) this.connect();
      return;
    }
    if (session !== null && core.clients.isKillRequested(session.clientSlot)) {
      this.lost('');
      return;
    }
    if (this.socket.isPaused()) return;
    if (this.applier?.isHeldBack) this.orLose(() => this.applyHeldBack());
    if (this.socket === null) return;
    const { linkState } = state;
    if (nowMs - this.lastIoMs > config.replicationTimeoutSeconds * 1000) {
      this.lost(
        linkState === LinkState.Connected
          ? 'MASTER timeout: no data nor PING received...'
          : linkState === LinkState.Transfer
            ? "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in redis.conf to a larger value."
            : 'Timeout connecting to the MASTER...',
      );
      return;
    }
    if (linkState !== LinkState.Connected) return;
    if (session !== null) {
      session.lastInteractionMs = this.lastIoMs;
      this.rows.publish(session, 0, 0);
    }
    if (nowMs >= this.nextAckMs) this.acknowledge();
  }
}

/** The descriptor of a socket that carries the bytes as they are, -1 if there is none, as with TLS. */
function descriptorOf(socket: net.Socket): number {
  if (socket instanceof TLSSocket) return -1;
  return (socket as unknown as { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
}

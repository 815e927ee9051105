/**
 * This server as a primary, or as a replica that has replicas: sends snapshots and the journal to them.
 *
 * A full sync is a snapshot like any other (persistence/background-save.ts), together with the journal's position at
 * that moment. It goes to the replicas through a pipe, or to a file first. Meanwhile the journal's bytes from that
 * position on gather in the backlog, which all replicas share.
 */

import { randomBytes } from 'node:crypto';
import { createReadStream, openSync, rmSync, statSync } from 'node:fs';
import type net from 'node:net';
import path from 'node:path';
import type { ClientRows } from '../execution/client-rows.js';
import type { Handover } from '../execution/session.js';
import { commandBytes } from '../journal/journal-ring.js';
import { RDB_MAGIC, RDB_VERSION, RdbOpcode } from '../persistence/rdb-format.js';
import { RdbOutput } from '../persistence/rdb-output.js';
import { replicaFileName } from '../persistence/snapshot-file.js';
import { SnapshotPurpose } from '../state/persistence-state.js';
import { NO_ID, newReplicationId, ReplicaState, ReplicationFigure } from '../state/replication-state.js';
import { monotonicMs } from '../system/clock.js';
import { Backlog } from './backlog.js';
import type { ReplicationCore } from './core.js';
import { Replica, type ReplicaEvents } from './replica.js';

const MARK_BYTES = 40;
const LOG_INTERVAL_MS = 10_000;
const PING = commandBytes('PING');
const GETACK = commandBytes('REPLCONF', 'GETACK', '*');

/** A snapshot that is being sent. */
interface Sync {
  readonly replicas: Replica[];
  /** The end of the pipe that it comes from; null if it goes to a file. */
  readonly pipe: net.Socket | null;
  readonly mark: string;
  readonly position: number;
}

/** A replica that waits for bytes which it has, but this server has not. */
interface Ahead {
  readonly handover: Handover;
  readonly untilMs: number;
}

const NO_INPUT = new Uint8Array(0);

export class Primary implements ReplicaEvents {
  readonly replicas = new Set<Replica>();
  readonly backlog = new Backlog();
  private readonly core: ReplicationCore;
  private readonly rows: ClientRows;
  private sync: Sync | null = null;
  /**
   * Replicas of this server, itself a replica, that are further in the history of both. A full sync would take writes from
   * them that they may have acknowledged, so they wait until this server has caught up.
   */
  private readonly ahead = new Map<Replica, Ahead>();
  /** When the first of the replicas came that wait for a snapshot. */
  private waitsSinceMs = 0;
  /** Replicas to which workers may write now. */
  private fed: readonly Replica[] = [];
  private lastPingMs = monotonicMs();
  private nextPresyncPingMs = 0;
  private lastReplicaMs = monotonicMs();
  private nextLogMs = 0;
  /** Called when a replica has acknowledged something. */
  onAck: () => void = () => {};

  constructor(core: ReplicationCore, rows: ClientRows) {
    this.core = core;
    this.rows = rows;
  }

  /** Starts recording for replicas, unless that is on already. The locks of all shards are held. */
  turnOnLocked(): void {
    const { ring, state } = this.core;
    if (ring.isReplicationOn) return;
    const position = ring.turnOnReplication();
    state.countFrom(position, state.figures[ReplicationFigure.FrozenOffset]);
    state.isBacklogOn = true;
    this.backlog.reset(position);
  }

  private turnOn(): void {
    const { ring, state, keyspace, log } = this.core;
    if (ring.isReplicationOn) return;
    keyspace.lockAll();
    this.turnOnLocked();
    keyspace.unlockAll();
    if (!state.isReplica) {
      // Changes were not counted before, so no replica can have this history.
      state.setHistory(newReplicationId(), NO_ID, -1);
      log(`Replication backlog created, my new replication IDs are '${state.id}' and '${state.secondId}'`);
    }
  }

  /** Called when the thread starts: what was recorded before is the beginning of the backlog. */
  adoptBacklog(): void {
    const { ring } = this.core;
    if (ring.isReplicationOn) this.backlog.reset(ring.sentPosition);
  }

  /** Stops recording for replicas, since there have been none for long. */
  private turnOff(): void {
    const { ring, state, keyspace, log, config } = this.core;
    keyspace.lockAll();
    state.stopCounting(ring.head);
    ring.turnOffReplication();
    keyspace.unlockAll();
    state.isBacklogOn = false;
    state.setHistory(newReplicationId(), NO_ID, -1);
    this.backlog.reset(ring.head);
    this.publish();
    log(`Replication backlog freed after ${config.backlogTtlSeconds} seconds without connected replicas.`);
  }

  /** Drops the backlog: its bytes belong to another history than those that follow. */
  forgetBacklog(): void {
    const { ring } = this.core;
    this.stopFeeding();
    ring.sent(ring.head - ring.sentPosition);
    this.backlog.reset(ring.head);
  }

  /** A connection has asked for synchronization. */
  accept(
    fd: number,
    slot: number,
    handover: Handover,
    addresses: { peer: string; local: string },
    input: Uint8Array,
  ): void {
    const { log, config } = this.core;
    const replica = new Replica(fd, slot, handover.traits, addresses, this.rows, this.core.libc, this);
    this.replicas.add(replica);
    this.lastReplicaMs = monotonicMs();
    replica.socket.setNoDelay(!config.delaysSmallPackets);
    if (handover.traits.wantsNoKeys) {
      this.sendEmpty(replica, handover);
      return;
    }
    this.turnOn();
    this.take();
    if (!this.isAhead(handover)) {
      this.synchronize(replica, handover, input);
      return;
    }
    log(
      `Replica ${replica.name} is ahead of this server in the same history: it asks for offset ${handover.offset} and waits until that is here`,
    );
    const untilMs = monotonicMs() + config.replicationTimeoutSeconds * 1000;
    this.ahead.set(replica, { handover, untilMs });
    if (input.length > 0) replica.receive(input);
    this.publish();
  }

  private isAhead({ isPartial, id, offset }: Handover): boolean {
    const { state } = this.core;
    if (!isPartial || !state.isReplica || id.toLowerCase() !== state.id) return false;
    return state.positionOf(offset) - 1 > this.backlog.end;
  }

  /** Continues with replicas that this server has caught up with, or that have waited for too long. */
  private resumeAhead(nowMs: number): void {
    for (const [replica, { handover, untilMs }] of this.ahead) {
      if (this.isAhead(handover) && nowMs < untilMs) continue;
      this.ahead.delete(replica);
      this.synchronize(replica, handover, NO_INPUT);
    }
  }

  /** Continues where a replica has stopped or, if that is not possible, has it wait for a snapshot. */
  private synchronize(replica: Replica, handover: Handover, input: Uint8Array): void {
    const { log } = this.core;
    if (handover.isPartial && this.resume(replica, handover)) {
      if (input.length > 0) replica.receive(input);
      return;
    }
    log(`Full resync requested by replica ${replica.name}`);
    replica.ackMs = monotonicMs();
    if (this.waitsSinceMs === 0) this.waitsSinceMs = monotonicMs();
    if (!handover.isPartial) replica.traits.knowsIds = false;
    this.handshakes.set(replica, handover);
    if (input.length > 0) replica.receive(input);
    this.startSync();
    this.publish();
  }

  private readonly handshakes = new WeakMap<Replica, Handover>();

  /** Continues where a replica has stopped, if that is possible. */
  private resume(replica: Replica, { id, offset }: Handover): boolean {
    const { state, log } = this.core;
    const { backlog } = this;
    const isFirst = id.toLowerCase() === state.id;
    const isSecond = id === state.secondId && offset <= state.secondOffset;
    const position = state.positionOf(offset) - 1;
    if (id === '?') return false;
    if (!isFirst && !isSecond) {
      log(
        id === state.secondId
          ? `Partial resynchronization not accepted: Requested offset for second ID was ${offset}, but I can reply up to ${state.secondOffset}`
          : `Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '${id}', my replication IDs are '${state.id}' and '${state.secondId}')`,
      );
      state.countPartialSync(false);
      return false;
    }
    if (position < backlog.end - this.historyBytes || position > backlog.end) {
      log(
        `Unable to partial resync with replica ${replica.name} for lack of backlog (Replica request was: ${offset}).`,
      );
      state.countPartialSync(false);
      return false;
    }
    // A snapshot may still do: by then these hashes may be gone.
    if (!this.isUnderstood(replica, position)) return false;
    replica.send(replica.traits.knowsIds ? `+CONTINUE ${state.id}\r\n` : '+CONTINUE\r\n');
    replica.startAt(position);
    replica.state = ReplicaState.Online;
    replica.ackMs = monotonicMs();
    replica.ackOffset = offset - 1;
    state.countPartialSync(true);
    log(
      `Partial resynchronization request from ${replica.name} accepted. Sending ${backlog.end - position} bytes of backlog starting from offset ${offset}.`,
    );
    replica.pump(backlog);
    this.publish();
    return true;
  }

  private get backlogBytes(): number {
    return Math.max(this.core.config.replicationBacklogBytes, 16 * 1024);
  }

  /** Whether a replica understands the stream from a position on; if not, closes it, with a line in the log. */
  private understands(replica: Replica, position: number): boolean {
    if (this.isUnderstood(replica, position)) return true;
    this.refuse(replica);
    return false;
  }

  private isUnderstood(replica: Replica, position: number): boolean {
    return replica.traits.isDamselfly || this.core.ring.newerPosition < position;
  }

  private refuse(replica: Replica): void {
    this.complain(
      `Replica ${replica.name} is refused: there are hashes whose fields expire, which only a Damselfly can replicate. Delete these hashes, or HPERSIST their fields, to let it come`,
    );
    if (replica.state === ReplicaState.WaitStart) {
      replica.send(
        '-ERR the primary has hashes whose fields expire, which this replica would not understand\r\n',
      );
    }
    replica.socket.destroySoon();
  }

  private complain(text: string): void {
    const nowMs = monotonicMs();
    if (nowMs < this.nextLogMs) return;
    this.nextLogMs = nowMs + LOG_INTERVAL_MS;
    this.core.log(text, 'warning');
  }

  private sendEmpty(replica: Replica, handover: Handover): void {
    const output = new RdbOutput();
    output.rawText(RDB_MAGIC + String(RDB_VERSION).padStart(4, '0'));
    output.byte(RdbOpcode.Eof);
    output.addToChecksum();
    output.writeChecksum();
    if (handover.isPartial) replica.send(`+FULLRESYNC ${this.core.state.id} 0\r\n`);
    replica.send(`$${output.length}\r\n`);
    replica.send(Buffer.from(output.bytes.subarray(0, output.length)));
    replica.socket.destroySoon();
  }

  private get waiting(): Replica[] {
    return [...this.replicas].filter(
      (replica) => replica.state === ReplicaState.WaitStart && !this.ahead.has(replica),
    );
  }

  /** Begins a snapshot for the replicas that wait for one, if it is time. */
  private startSync(): void {
    const { config, log, persistence } = this.core;
    let waiting = this.waiting;
    if (waiting.length === 0 || this.sync !== null) return;
    const isDiskless = config.isDiskless && waiting.every(({ traits }) => traits.knowsEnd);
    if (isDiskless && config.disklessDelaySeconds > 0) {
      const isFull = config.disklessReplicasMax > 0 && waiting.length >= config.disklessReplicasMax;
      if (!isFull && monotonicMs() - this.waitsSinceMs < config.disklessDelaySeconds * 1000) return;
    }
    if (persistence.isBusy) return;
    const { keyspace, ring, state } = this.core;
    keyspace.lockAll();
    if (keyspace.hasExpiringHashes) {
      for (const replica of waiting) if (!replica.traits.isDamselfly) this.refuse(replica);
      waiting = waiting.filter(({ traits }) => traits.isDamselfly);
    }
    if (waiting.length === 0 || !persistence.reserve(SnapshotPurpose.Replicas)) {
      keyspace.unlockAll();
      return;
    }
    const pipe = isDiskless ? this.core.openPipe() : null;
    persistence.replicaDescriptor = pipe?.writer ?? -1;
    const position = ring.head;
    // The stream after the snapshot has to begin with a SELECT; a replica passes its primary's stream on as it is.
    if (!state.isReplica) ring.forgetDatabase();
    persistence.start(0, keyspace.beginSnapshot(), Date.now());
    keyspace.unlockAll();
    log(`Starting BGSAVE for SYNC with target: ${isDiskless ? 'replicas sockets' : 'disk'}`);
    this.waitsSinceMs = 0;
    const mark = randomBytes(MARK_BYTES / 2).toString('hex');
    this.sync = { replicas: waiting, pipe: pipe?.reader ?? null, mark, position };
    for (const replica of waiting) {
      const handover = this.handshakes.get(replica);
      if (handover?.isPartial) replica.send(`+FULLRESYNC ${state.id} ${state.offsetAt(position)}\r\n`);
      replica.startAt(position);
      replica.state = ReplicaState.WaitEnd;
      state.countFullSync();
      if (isDiskless) replica.send(`$EOF:${mark}\r\n`);
    }
    if (pipe !== null) this.relay(pipe.reader, this.sync);
    this.publish();
  }

  /** Sends the bytes from a pipe to all replicas of a sync, as fast as the slowest one takes them. */
  private relay(reader: net.Socket, sync: Sync): void {
    const goOn = (): void => {
      if (sync.replicas.every((replica) => replica.isClosed || replica.takesMore)) reader.resume();
    };
    for (const replica of sync.replicas) {
      replica.socket.on('drain', goOn);
      replica.socket.on('close', goOn);
    }
    reader.on('data', (bytes: Buffer) => {
      let isAnyLeft = false;
      for (const replica of sync.replicas) {
        if (replica.isClosed) continue;
        isAnyLeft = true;
        replica.send(bytes);
      }
      // All replicas are gone: closing the pipe makes its writer give up.
      if (!isAnyLeft) reader.destroy();
      else if (!sync.replicas.every((replica) => replica.isClosed || replica.takesMore)) reader.pause();
    });
    reader.on('error', () => {});
    reader.on('close', () => {
      for (const replica of sync.replicas) {
        replica.socket.off('drain', goOn);
        replica.socket.off('close', goOn);
      }
      this.transferred(sync);
    });
  }

  /** A snapshot through a pipe has ended: completes the sync, or closes the replicas if it failed. */
  private transferred(sync: Sync): void {
    const { persistence, log } = this.core;
    this.sync = null;
    const isGood = persistence.isReplicaSnapshotGood;
    const left = sync.replicas.filter(({ isClosed }) => !isClosed);
    if (isGood) log(`Diskless rdb transfer, done reading from pipe, ${left.length} replicas still up.`);
    for (const replica of left) {
      if (!isGood) {
        log('Diskless rdb transfer failed: closing the replica', 'warning');
        replica.close();
        continue;
      }
      replica.send(sync.mark);
      this.snapshotSent(replica, true);
    }
    this.publish();
    this.startSync();
  }

  /** A snapshot is complete in its file: sends it to the replicas. */
  private sendFile(sync: Sync): void {
    const { persistence, config, log } = this.core;
    this.sync = null;
    const name = path.join(config.dir, replicaFileName());
    if (!persistence.isReplicaSnapshotGood) {
      log('SYNC failed. BGSAVE child returned an error', 'warning');
      for (const replica of sync.replicas) replica.close();
      return;
    }
    try {
      const lengthBytes = statSync(name).size;
      for (const replica of sync.replicas) {
        if (replica.isClosed) continue;
        replica.state = ReplicaState.SendBulk;
        replica.send(`$${lengthBytes}\r\n`);
        const stream = createReadStream(name, { fd: openSync(name, 'r') });
        stream.on('error', () => replica.close());
        stream.on('end', () => this.snapshotSent(replica, false));
        stream.pipe(replica.socket, { end: false });
      }
    } catch (error) {
      log(`SYNC failed. Can't open/stat DB after BGSAVE: ${(error as Error).message}`, 'warning');
      for (const replica of sync.replicas) replica.close();
    }
    rmSync(name, { force: true });
    this.publish();
  }

  private snapshotSent(replica: Replica, waitsForAck: boolean): void {
    const { log } = this.core;
    if (replica.isClosed) return;
    if (replica.traits.wantsSnapshotOnly) {
      log(`RDB transfer completed, rdb only replica (${replica.name}) should be disconnected asap`);
      // The replica closes the connection itself; if it does not, it is closed here.
      replica.state = ReplicaState.WaitEnd;
      if (!waitsForAck) replica.socket.destroySoon();
      else setTimeout(() => replica.close(), 10_000).unref();
      return;
    }
    replica.state = ReplicaState.Online;
    replica.waitsForAck = waitsForAck;
    replica.ackMs = monotonicMs();
    replica.ackOffset = 0;
    log(
      waitsForAck
        ? `Streamed replica with replica ${replica.name} via socket. Waiting for REPLCONF ACK from replica to enable streaming`
        : `Synchronization with replica ${replica.name} succeeded`,
    );
    replica.pump(this.backlog);
    this.publish();
  }

  onCommand(replica: Replica, command: readonly string[]): void {
    const [name, option, value] = command.map((word) => word.toLowerCase());
    if (name === 'ping') return;
    if (name !== 'replconf') return;
    for (let index = 1; index + 1 < command.length; index += 2) {
      const word = command[index].toLowerCase();
      if (word === 'fack') {
        const offset = Number(command[index + 1]);
        if (offset > replica.fileOffset) replica.fileOffset = offset;
      }
    }
    if (option !== 'ack') return;
    const offset = Number(value);
    if (!Number.isSafeInteger(offset)) return;
    if (offset > replica.ackOffset) replica.ackOffset = offset;
    const wasGood = this.isGood(replica, monotonicMs());
    replica.ackMs = monotonicMs();
    if (replica.state === ReplicaState.Online && replica.waitsForAck) {
      replica.waitsForAck = false;
      this.core.log(`Synchronization with replica ${replica.name} succeeded`);
      replica.pump(this.backlog);
    }
    if (wasGood) this.core.state.noteAck([...this.replicas].indexOf(replica), replica);
    else this.publish();
    const { state, confirmations, wakeWorker, wakeWorkers } = this.core;
    const { waiters } = state;
    const served = state.isReplica
      ? 0
      : confirmations.serve(this.confirmedReplicas, this.writeConfirmed, wakeWorker);
    this.onAck();
    if (waiters > served) wakeWorkers();
  }

  /** How many replicas have acknowledged an offset. */
  private readonly confirmedReplicas = (offset: number): number => {
    let count = 0;
    for (const { state, ackOffset } of this.replicas)
      if (state === ReplicaState.Online && ackOffset >= offset) count++;
    return count;
  };

  /** Replies to a client of WAIT through its socket; returns how many bytes that has taken. */
  private readonly writeConfirmed = (descriptor: number, replicas: number): number => {
    const { control, libc } = this.core;
    const reply = Buffer.from(`:${replicas}\r\n`);
    // Before the reply: who has read it finds that the client is not blocked.
    control.addBlockedClients(-1);
    return Math.max(0, libc.write(descriptor, libc.addressOf(reply), reply.length));
  };

  onClose(replica: Replica): void {
    const { log } = this.core;
    if (!this.replicas.delete(replica)) return;
    this.ahead.delete(replica);
    this.stopFeeding();
    if (replica.feedDescriptor >= 0) this.core.libc.close(replica.feedDescriptor);
    this.lastReplicaMs = monotonicMs();
    if (replica.state === ReplicaState.Online)
      log(`Connection with replica ${replica.name} lost.`, 'warning');
    const { sync } = this;
    if (sync?.pipe != null && sync.replicas.every(({ isClosed }) => isClosed)) {
      log('Diskless rdb transfer, last replica dropped, killing fork child.');
      sync.pipe.destroy();
      this.core.persistence.cancel();
    }
    // What only this replica still needed.
    this.trim();
    this.publish();
    this.onAck();
  }

  closeAll(): void {
    for (const replica of [...this.replicas]) replica.close();
  }

  /** Moves what was recorded to the backlog, and sends it to the replicas. */
  take(): void {
    const { ring } = this.core;
    this.stopFeeding();
    this.closeKilled();
    if (!ring.isReplicationOn) return;
    let took = false;
    for (;;) {
      const bytes = ring.peekForReplicas();
      if (bytes.length === 0) break;
      this.backlog.append(bytes);
      ring.sent(bytes.length);
      took = true;
    }
    if (!took) return;
    for (const replica of this.replicas) {
      if (replica.state !== ReplicaState.Online) continue;
      if (!this.understands(replica, replica.position)) continue;
      replica.pump(this.backlog);
    }
    if (this.ahead.size > 0) this.resumeAhead(monotonicMs());
    this.trim();
    this.publishBacklog();
  }

  onSettled(): void {
    this.allowFeeding();
  }

  /** If all replicas have got everything that was taken from the journal, lets workers write what follows to them. */
  allowFeeding(): void {
    const { ring, feed, state } = this.core;
    if (this.fed.length > 0 || this.replicas.size === 0 || state.isReplica || !ring.isReplicationOn) return;
    const replicas = [...this.replicas];
    const position = ring.sentPosition;
    for (const replica of replicas) {
      if (!replica.isSettled || replica.position !== position || replica.feedDescriptor < 0) return;
      if (!this.isUnderstood(replica, position)) return;
    }
    const isAllowed = feed.allow(
      replicas.map(({ feedDescriptor, session }) => ({
        descriptor: feedDescriptor,
        clientSlot: session.clientSlot,
      })),
    );
    if (isAllowed) this.fed = replicas;
  }

  /** From now on only this thread writes to replicas; notes what workers have written. */
  private stopFeeding(): void {
    const { feed } = this.core;
    if (this.fed.length === 0) return;
    feed.forbid();
    for (const [index, replica] of this.fed.entries()) replica.noteFed(feed.writtenBytes(index));
    this.fed = [];
  }

  /** CLIENT KILL comes before what is recorded after it: a replica that was killed gets no more. */
  private closeKilled(): void {
    for (const replica of this.replicas) {
      if (this.core.clients.isKillRequested(replica.session.clientSlot)) replica.close();
    }
  }

  private trim(): void {
    this.backlog.trim(this.neededFrom, this.backlogBytes);
  }

  /** The first position that a replica has not got yet. */
  private get neededFrom(): number {
    let needed = this.backlog.end;
    for (const replica of this.replicas)
      if (replica.state !== ReplicaState.WaitStart) needed = Math.min(needed, replica.sentPosition);
    return needed;
  }

  /** So many of the last bytes can be had by who reconnects: `repl-backlog-size`, or what is kept for a slow replica. */
  private get historyBytes(): number {
    const { backlog } = this;
    return Math.min(backlog.keptBytes, Math.max(this.backlogBytes, backlog.end - this.neededFrom));
  }

  private publishBacklog(): void {
    const { state } = this.core;
    const { historyBytes } = this;
    const { figures } = state;
    figures[ReplicationFigure.BacklogBytes] = historyBytes;
    figures[ReplicationFigure.BacklogStart] = state.isBacklogOn
      ? state.offsetAt(this.backlog.end - historyBytes) + 1
      : 0;
    figures[ReplicationFigure.BufferBytes] = Math.max(0, historyBytes - this.backlogBytes);
  }

  /** Appends a command that is no change to the stream. */
  private append(bytes: Uint8Array): void {
    const { ring, state, keyspace } = this.core;
    // A replica passes on what its primary sends, and nothing else.
    if (state.isReplica || !ring.isReplicationOn) return;
    // Under a lock: at shutdown the server keeps all locks from its last snapshot on. What was appended after that
    // would be missing after a restart, and replicas that have it could not continue.
    const [shard] = keyspace.shards;
    shard.lock();
    ring.appendRaw(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, true);
    shard.unlock();
    this.take();
  }

  askForAcks(): void {
    if ([...this.replicas].some(({ state }) => state === ReplicaState.Online)) this.append(GETACK);
  }

  /** Called ten times a second. */
  tick(nowMs: number): void {
    const { config, persistence, ring } = this.core;
    this.take();
    this.resumeAhead(nowMs);
    this.limitLag(nowMs);
    const { sync } = this;
    if (sync !== null && sync.pipe === null && !persistence.isBusy) this.sendFile(sync);
    this.startSync();
    if (nowMs >= this.nextPresyncPingMs) {
      this.nextPresyncPingMs = nowMs + 1000;
      for (const replica of this.replicas) {
        const isWaiting =
          replica.state === ReplicaState.WaitStart ||
          (replica.state === ReplicaState.WaitEnd && sync?.pipe === null && sync.replicas.includes(replica));
        if (isWaiting) replica.send('\n');
      }
    }
    if (this.replicas.size === 0) {
      this.lastPingMs = nowMs;
    } else if (nowMs - this.lastPingMs >= config.pingPeriodSeconds * 1000) {
      this.lastPingMs = nowMs;
      if ([...this.replicas].some(({ state }) => state === ReplicaState.Online)) this.append(PING);
    }
    if (
      this.replicas.size === 0 &&
      !this.core.state.isReplica &&
      ring.isReplicationOn &&
      config.backlogTtlSeconds > 0 &&
      nowMs - this.lastReplicaMs > config.backlogTtlSeconds * 1000
    ) {
      this.turnOff();
    }
    this.publish();
  }

  /** Closes replicas that are silent for too long, or too far behind. */
  private limitLag(nowMs: number): void {
    const { config, log } = this.core;
    const { hardBytes, softBytes, softSeconds } = config.replicaOutputLimit;
    const hard = hardBytes === 0 ? Number.POSITIVE_INFINITY : Math.max(hardBytes, this.backlogBytes);
    for (const replica of [...this.replicas]) {
      replica.publish();
      if (replica.state === ReplicaState.WaitStart) continue;
      const lag = this.backlog.end - replica.position + replica.socket.writableLength;
      const isOverSoft = softBytes > 0 && lag > softBytes;
      if (!isOverSoft) replica.overSoftSinceMs = 0;
      else if (replica.overSoftSinceMs === 0) replica.overSoftSinceMs = nowMs;
      if (lag > hard || (isOverSoft && nowMs - replica.overSoftSinceMs > softSeconds * 1000)) {
        log(
          `Client id=${replica.session.id} addr=${replica.name} scheduled to be closed ASAP for overcoming of output buffer limits.`,
          'warning',
        );
        replica.close();
        continue;
      }
      const timeoutMs = config.replicationTimeoutSeconds * 1000;
      if (replica.state === ReplicaState.Online && nowMs - replica.ackMs > timeoutMs) {
        log(`Disconnecting timedout replica (streaming sync): ${replica.name}`, 'warning');
        replica.close();
      }
    }
  }

  /** Whether it is online and has answered within min-replicas-max-lag. */
  private isGood({ state, ackMs }: Replica, nowMs: number): boolean {
    return state === ReplicaState.Online && nowMs - ackMs <= this.core.config.minReplicasMaxLagSeconds * 1000;
  }

  private publish(): void {
    const { state } = this.core;
    const nowMs = monotonicMs();
    let good = 0;
    for (const replica of this.replicas) if (this.isGood(replica, nowMs)) good++;
    state.goodReplicas = good;
    state.publishReplicas([...this.replicas].map((replica) => replica.row));
    this.publishBacklog();
  }
}

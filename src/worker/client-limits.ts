/**
 * What a client may take, and for how long: the limits of its class (normal, replica, pubsub), those of all clients
 * together, and the narrow ones of a client that has not authenticated. A client that exceeds one is closed.
 *
 * | limit | normal | pubsub | replica | MONITOR |
 * |---|---|---|---|---|
 * | `client-output-buffer-limit` | of its class | of its class | of its class, but no less than the backlog | as normal |
 * | `client-query-buffer-limit` | yes | yes | yes | yes |
 * | `maxmemory-clients` | yes, unless CLIENT NO-EVICT | the same | no | as normal |
 * | `timeout` | yes, unless it waits for something | no | no | no |
 * | `auth-timeout` and what follows here | until it has authenticated | | | |
 *
 * A client that has not authenticated yet may get replies of the size of Redis's static buffer, with next to nothing
 * left unread, and may send as much as AUTH and HELLO need. All such clients together have half of `maxclients`, and a
 * fixed amount of memory for incomplete input, for which no key is evicted.
 */

import type { Config, OutputBufferLimit } from '../config/config.js';
import { SESSION_BYTES } from '../execution/client-rows.js';
import { ClientClass, type Session } from '../execution/session.js';
import type { Connection } from '../network/connection.js';
import type { Transport } from '../network/transport.js';
import { REPLY_BYTES_MAX } from '../protocol/reply-writer.js';
import type { ClientTable } from '../state/client-table.js';
import { ServerCounter } from '../state/command-statistics.js';
import type { Log } from '../system/log.js';

/** How often connections are checked for the limits that depend on time. */
const CHECK_MS = 1000;
/** Limit of the replies to one read of an unauthenticated client; Redis has a buffer of this size. */
const UNAUTHENTICATED_REPLY_BYTES_MAX = 16 * 1024;
/** Limit of its replies that wait because its socket does not take them. */
const UNAUTHENTICATED_PENDING_BYTES_MAX = 1024;
/** Its input that waits for the rest of a command: the longest inline request. */
const UNAUTHENTICATED_INPUT_BYTES_MAX = 64 * 1024;
/** Buffers of all clients that have not authenticated. */
const UNAUTHENTICATED_BUFFERS_BYTES_MAX = 16 * 1024 * 1024;
/** How long an unauthenticated client has before it may be closed in favour of other such clients. */
const UNAUTHENTICATED_GRACE_MS = 1000;

export interface ClientLimitsOptions {
  readonly worker: number;
  readonly config: Config;
  readonly clients: ClientTable;
  /** The worker's counters, by ServerCounter. */
  readonly counters: Float64Array;
  /** The worker's connections, by client id. */
  readonly connections: ReadonlyMap<number, Connection>;
  readonly transport: Pick<Transport, 'reply' | 'close'>;
  readonly log: Log;
  /** A client of any worker as CLIENT LIST shows it, by its slot in the table. */
  describeSlot(slot: number): string;
  /** A client of this worker, as it is now. */
  describe(session: Session): string;
  wakeWorker(worker: number): void;
}

/** The limits of one worker's clients. */
export class ClientLimits {
  private readonly options: ClientLimitsOptions;
  /** By ClientClass. */
  private outputLimits: readonly OutputBufferLimit[] = [];
  /** Connections with more pending output than the soft limit, and since when (ms, monotonic). */
  private readonly overSoftLimit = new Map<Connection, number>();
  /** Connections that have not authenticated, the oldest first, and since when (ms, monotonic). */
  private readonly unauthenticated = new Map<Connection, number>();
  private nextCheckMs = 0;

  constructor(options: ClientLimitsOptions) {
    this.options = options;
    this.configurationChanged();
  }

  configurationChanged(): void {
    const { config } = this.options;
    const { normalOutputLimit, replicaOutputLimit, pubSubOutputLimit, replicationBacklogBytes } = config;
    const limits: OutputBufferLimit[] = [];
    limits[ClientClass.Normal] = normalOutputLimit;
    limits[ClientClass.PubSub] = pubSubOutputLimit;
    // A replica whose waiting output is no more than the backlog is not behind yet.
    const { hardBytes } = replicaOutputLimit;
    limits[ClientClass.Replica] = {
      ...replicaOutputLimit,
      hardBytes: hardBytes === 0 ? 0 : Math.max(hardBytes, replicationBacklogBytes),
    };
    this.outputLimits = limits;
  }

  /** The users have changed: clients may not have to authenticate any more. */
  usersChanged(): void {
    for (const connection of [...this.unauthenticated.keys()]) {
      if (connection.session !== null) this.followAuthentication(connection, connection.session);
    }
  }

  opened(connection: Connection, session: Session): void {
    if (!session.authenticated) this.followAuthentication(connection, session);
  }

  closed(connection: Connection): void {
    this.overSoftLimit.delete(connection);
    if (this.unauthenticated.delete(connection)) this.publishCount();
  }

  /** Commands of a client are about to run, which reply into the transport's reply writer. */
  beforeCommands(session: Session): void {
    const { hardBytes } = this.outputLimits[session.clientClass];
    this.options.transport.reply.limitBytes =
      hardBytes > 0 ? Math.min(hardBytes, REPLY_BYTES_MAX) : REPLY_BYTES_MAX;
  }

  /** Commands of a client have run: closes it if its replies exceed a limit. */
  afterCommands(connection: Connection, session: Session): void {
    if (connection.isClosed) return;
    if (!session.authenticated || this.unauthenticated.size > 0) {
      this.followAuthentication(connection, session);
    }
    this.closeIfOverOutputLimit(connection, session);
  }

  /**
   * Whether replies to a part of what has been read may be sent before the rest has run: with a hard limit they count
   * together, so no part is sent early. Closes the client if the replies exceed a limit.
   */
  maySendPart(connection: Connection, session: Session): boolean {
    if (this.closeIfOverOutputLimit(connection, session)) return false;
    return this.outputLimits[session.clientClass].hardBytes === 0;
  }

  /** So many bytes of input wait for the rest of their command. */
  inputWaits(connection: Connection, session: Session, lengthBytes: number): void {
    if (lengthBytes === 0 || connection.isClosed) return;
    const { config, log, describe } = this.options;
    const isOver = session.authenticated
      ? lengthBytes > config.clientQueryBufferLimitBytes
      : lengthBytes > UNAUTHENTICATED_INPUT_BYTES_MAX || this.isUnauthenticatedMemoryFull();
    if (!isOver || connection.isClosing) return;
    log(`Closing client that reached max query buffer length: ${describe(session)}`, 'warning');
    connection.closeAfterReply();
  }

  private isUnauthenticatedMemoryFull(): boolean {
    const { clients } = this.options;
    const idleBytes = SESSION_BYTES * clients.unauthenticatedCount();
    return clients.unauthenticatedBytes() - idleBytes > UNAUTHENTICATED_BUFFERS_BYTES_MAX;
  }

  /** Called when output waits because the client does not read. */
  outputWaits(connection: Connection, session: Session): void {
    if (this.closeIfOverOutputLimit(connection, session)) return;
    const { softBytes } = this.outputLimits[session.clientClass];
    if (softBytes === 0 || connection.pendingOutputBytes < softBytes) return;
    if (!this.overSoftLimit.has(connection)) this.overSoftLimit.set(connection, performance.now());
  }

  /** Closes a client whose waiting output and new replies exceed a limit; returns whether it was closed. */
  private closeIfOverOutputLimit(connection: Connection, session: Session): boolean {
    const { reply } = this.options.transport;
    const { pendingOutputBytes } = connection;
    const { hardBytes } = this.outputLimits[session.clientClass];
    const isOver =
      reply.overflowed ||
      (hardBytes > 0 && pendingOutputBytes + reply.size > hardBytes) ||
      (!session.authenticated &&
        (reply.size > UNAUTHENTICATED_REPLY_BYTES_MAX ||
          pendingOutputBytes > UNAUTHENTICATED_PENDING_BYTES_MAX));
    if (!isOver) return false;
    this.closeForOutput(connection, session, 'scheduled to be closed ASAP');
    return true;
  }

  /** Closes a client; it gets nothing of what was just replied. */
  private closeForOutput(connection: Connection, session: Session, what: string): void {
    const { transport, counters, log, describe } = this.options;
    log(`Client ${describe(session)} ${what} for overcoming of output buffer limits.`, 'warning');
    counters[ServerCounter.OutputLimitDisconnections]++;
    transport.reply.overflowed = false;
    transport.reply.drop();
    transport.close(connection, false);
  }

  /** Notes since when a connection has not been authenticated, or that it is now. */
  private followAuthentication(connection: Connection, session: Session): void {
    const { unauthenticated } = this;
    if (session.authenticated === !unauthenticated.has(connection)) return;
    if (session.authenticated) unauthenticated.delete(connection);
    else unauthenticated.set(connection, performance.now());
    this.publishCount();
  }

  private publishCount(): void {
    this.options.clients.setUnauthenticatedCount(this.options.worker, this.unauthenticated.size);
  }

  /** Closes the clients that take most if all together take more than `maxmemory-clients`. */
  evictClients(): void {
    const { clients, config, counters, worker, log, describeSlot, wakeWorker } = this.options;
    const limitBytes = config.maxMemoryClientsBytes;
    if (limitBytes === 0 || clients.evictableBytes() <= limitBytes) return;
    for (const slot of clients.evictionVictims(limitBytes)) {
      const description = describeSlot(slot);
      const owner = clients.requestKill(slot, clients.id(slot));
      if (owner < 0) continue;
      counters[ServerCounter.EvictedClients]++;
      log(`Evicting client: ${description}`);
      if (owner !== worker) wakeWorker(owner);
    }
  }

  /** Looks at the limits that depend on time (monotonic ms). Call it often. */
  tick(nowMs: number): void {
    this.closeSurplusUnauthenticated();
    if (nowMs >= this.nextCheckMs) {
      this.nextCheckMs = nowMs + CHECK_MS;
      this.checkSoftLimits();
      this.checkAuthentication();
      this.checkIdle(nowMs);
    }
  }

  private checkSoftLimits(): void {
    const nowMs = performance.now();
    for (const [connection, sinceMs] of this.overSoftLimit) {
      const { session } = connection;
      if (session === null || connection.isClosed) {
        this.overSoftLimit.delete(connection);
        continue;
      }
      const { softBytes, softSeconds } = this.outputLimits[session.clientClass];
      if (softBytes === 0 || connection.pendingOutputBytes < softBytes) this.overSoftLimit.delete(connection);
      else if (nowMs - sinceMs > softSeconds * 1000) this.closeForOutput(connection, session, 'closed');
    }
  }

  /** Closes clients that have had `auth-timeout` to authenticate. */
  private checkAuthentication(): void {
    const { config, log, describe, transport } = this.options;
    const { authTimeoutSeconds } = config;
    if (authTimeoutSeconds === 0) return;
    const oldestMs = performance.now() - authTimeoutSeconds * 1000;
    for (const [connection, sinceMs] of this.unauthenticated) {
      if (sinceMs > oldestMs) return;
      if (connection.session !== null) {
        log(`Closing client that has not authenticated in time: ${describe(connection.session)}`, 'verbose');
      }
      transport.close(connection, false);
    }
  }

  /**
   * Keeps half of `maxclients` for authenticated clients: if the others exceed the other half, closes the oldest of
   * them, in each worker in proportion to those that it has.
   */
  private closeSurplusUnauthenticated(): void {
    const { unauthenticated } = this;
    if (unauthenticated.size === 0) return;
    const { clients, config, log, transport } = this.options;
    const most = Math.ceil(config.maxClients / 2);
    const all = clients.unauthenticatedCount();
    if (all <= most) return;
    const mostHere = Math.floor((most * unauthenticated.size) / all);
    const oldestMs = performance.now() - UNAUTHENTICATED_GRACE_MS;
    let closed = 0;
    for (const [connection, sinceMs] of unauthenticated) {
      if (unauthenticated.size <= mostHere || sinceMs > oldestMs) break;
      transport.close(connection, false);
      closed++;
    }
    if (closed > 0) {
      log(`Closed ${closed} clients that have not authenticated: they may be half of maxclients`, 'warning');
    }
  }

  /** Closes clients that have neither sent nor taken anything for `timeout`. */
  private checkIdle(nowMs: number): void {
    const { config, connections, log, transport } = this.options;
    const { timeoutSeconds } = config;
    if (timeoutSeconds === 0) return;
    for (const connection of connections.values()) {
      const { session } = connection;
      if (session === null || isExemptFromTimeout(session)) continue;
      if (connection.hasTakenOutput) {
        connection.hasTakenOutput = false;
        session.lastInteractionMs = nowMs;
      } else if (nowMs - session.lastInteractionMs > timeoutSeconds * 1000) {
        log('Closing idle client', 'verbose');
        transport.close(connection, false);
      }
    }
  }
}

/** Whether a client is silent because it listens, or waits for the server. */
function isExemptFromTimeout(session: Session): boolean {
  return session.isMonitor || session.postponed !== null || session.clientClass !== ClientClass.Normal;
}

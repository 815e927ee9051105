/** Replication commands of clients, replicas and Sentinel; the replication thread carries them out. */

import type { CommandContext } from '../../execution/context.js';
import { DEMOTED, SYNTAX_ERROR, UNBLOCKED } from '../../execution/errors.js';
import {
  ConfirmationWork,
  type Confirmed,
  type FailoverRequest,
  ReplicationWork,
  requestReplication,
  type Wanted,
} from '../../execution/replication-requests.js';
import type { ReplicaTraits } from '../../execution/session.js';
import type { Handler } from '../../execution/table/command-table.js';
import { WaitEnd } from '../../execution/wait-room.js';
import { AppendOnlyMode } from '../../state/append-only-state.js';
import { ServerCounter } from '../../state/command-statistics.js';
import { FailoverState, LinkState, type ReplicaRow, ReplicaState } from '../../state/replication-state.js';

const PORT_MAX = 65535;
const TIMEOUT_MS_MAX = Number.MAX_SAFE_INTEGER;
const NO_TIMEOUT = 'ERR timeout is not an integer or out of range';

function traitsOf(context: CommandContext): ReplicaTraits {
  const { session } = context;
  session.replicaTraits ??= {
    port: 0,
    ip: '',
    knowsEnd: false,
    knowsIds: false,
    isDamselfly: false,
    wantsSnapshotOnly: false,
    wantsNoKeys: false,
    version: '',
  };
  return session.replicaTraits;
}

/** REPLCONF name value [name value ...]: what a replica says of itself before it asks for data. */
function replconf(context: CommandContext): void {
  const { reply, argCount } = context;
  if (argCount % 2 === 0) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const traits = traitsOf(context);
  for (let index = 1; index < argCount; index += 2) {
    const value = index + 1;
    if (context.argIs(index, 'LISTENING-PORT')) {
      if (!context.integer(value)) return;
      traits.port = context.number.value;
    } else if (context.argIs(index, 'IP-ADDRESS')) {
      traits.ip = context.argLatin1(value).slice(0, 100);
    } else if (context.argIs(index, 'CAPA')) {
      if (context.argIs(value, 'EOF')) traits.knowsEnd = true;
      else if (context.argIs(value, 'PSYNC2')) traits.knowsIds = true;
      else if (context.argIs(value, 'DAMSELFLY')) traits.isDamselfly = true;
    } else if (context.argIs(index, 'RDB-ONLY')) {
      if (!context.integer(value)) return;
      traits.wantsSnapshotOnly = context.number.value === 1;
    } else if (context.argIs(index, 'RDB-FILTER-ONLY')) {
      const words = context.argLatin1(value).toLowerCase().split(' ').filter(Boolean);
      const unknown = words.find((word) => word !== 'functions');
      if (unknown !== undefined) {
        reply.error(`ERR Unsupported rdb-filter-only option: ${unknown}`);
        return;
      }
      traits.wantsNoKeys = true;
    } else if (context.argIs(index, 'VERSION')) {
      traits.version = context.argLatin1(value);
    } else if (context.argIs(index, 'ACK') || context.argIs(index, 'GETACK')) {
      // Ignored: those of replicas go to the replication thread instead.
      return;
    } else {
      reply.error(`ERR Unrecognized REPLCONF option: ${context.argQuoted(index)}`);
      return;
    }
  }
  reply.ok();
}

/** PSYNC id offset [FAILOVER], SYNC: the connection goes to the replication thread, which replies. */
function sync(context: CommandContext): void {
  const { reply, session, services } = context;
  const { replication } = services.state;
  if (session.isReplica) return;
  if (session.postponedWork instanceof ReplicationWork) {
    // The failover that the primary has asked for is done.
    session.postponedWork = null;
    session.postponed = null;
  } else if (context.argCount > 3) {
    if (context.argCount > 4 || !context.argIs(3, 'FAILOVER')) {
      reply.error(SYNTAX_ERROR);
      return;
    }
    services.log(`Failover request received for replid ${context.argLatin1(1)}.`, 'warning');
    if (!replication.isReplica) {
      reply.error("ERR PSYNC FAILOVER can't be sent to a master.");
      return;
    }
    if (context.argLatin1(1) !== replication.id) {
      reply.error('ERR PSYNC FAILOVER replid must match my replid.');
      return;
    }
    requestReplication(context, { kind: 'take-over' });
    return;
  }
  if (replication.isReplica && replication.linkState !== LinkState.Connected) {
    reply.error("NOMASTERLINK Can't SYNC while not connected with my master");
    return;
  }
  if (!services.hasReplication) {
    reply.error('ERR replicas need the transport io_uring or epoll');
    return;
  }
  const isPartial = context.argCount >= 3;
  if (isPartial && !context.integer(2)) return;
  services.log(`Replica ${session.connection.peerAddress()} asks for synchronization`);
  session.isReplica = true;
  replication.wantThread();
  session.handover = {
    traits: traitsOf(context),
    isPartial,
    id: isPartial ? context.argLatin1(1) : '',
    offset: isPartial ? context.number.value : -1,
  };
  session.postponed = { command: context.command, request: context.request.copy() };
}

/** REPLICAOF host port, REPLICAOF NO ONE */
function replicaOf(context: CommandContext): void {
  const { reply, services, session } = context;
  const { config, state, log } = services;
  if (session.postponedWork instanceof ReplicationWork) {
    session.postponedWork = null;
    reply.ok();
    return;
  }
  if (state.replication.failoverState !== FailoverState.None) {
    reply.error('ERR REPLICAOF not allowed while failing over.');
    return;
  }
  const isNoOne = context.argIs(1, 'NO') && context.argIs(2, 'ONE');
  let host = '';
  let port = 0;
  if (!isNoOne) {
    if (session.isReplica) {
      reply.error('ERR Command is not valid when client is a replica.');
      return;
    }
    if (!context.integer(2, 'ERR Invalid master port')) return;
    port = context.number.value;
    if (port < 0 || port > PORT_MAX) {
      reply.error('ERR Invalid master port');
      return;
    }
    host = context.argText(1);
    const { replicaOf: current } = config;
    if (current !== null && current.host.toLowerCase() === host.toLowerCase() && current.port === port) {
      log(
        'REPLICAOF would result into synchronization with the master we are already connected with. No operation performed.',
      );
      reply.simple('OK Already connected to specified master');
      return;
    }
  }
  state.config.update((json) => {
    config.adopt(JSON.parse(json));
    config.setReplicaOf(host, port);
    return JSON.stringify(config);
  });
  services.followConfig();
  const by = `user request from '${session.connection.peerAddress()}'`;
  log(isNoOne ? `MASTER MODE enabled (${by})` : `REPLICAOF ${host}:${port} enabled (${by})`);
  requestReplication(context, { kind: 'replicaof', host, port });
  if (session.postponedWork === null) reply.ok();
}

/** FAILOVER [TO host port [FORCE]] [ABORT] [TIMEOUT ms] */
function failover(context: CommandContext): void {
  const { reply, services, session, argCount } = context;
  const { replication } = services.state;
  if (session.postponedWork instanceof ReplicationWork) {
    session.postponedWork = null;
    reply.ok();
    return;
  }
  let target: { host: string; port: number } | null = null;
  let isForced = false;
  let isAbort = false;
  let timeoutMs = 0;
  for (let index = 1; index < argCount; index++) {
    const isLast = index + 1 === argCount;
    if (context.argIs(index, 'TIMEOUT') && !isLast && timeoutMs === 0) {
      if (!context.integer(++index)) return;
      timeoutMs = context.number.value;
      if (timeoutMs <= 0) {
        reply.error('ERR FAILOVER timeout must be greater than 0');
        return;
      }
    } else if (context.argIs(index, 'ABORT') && argCount === 2) {
      isAbort = true;
    } else if (context.argIs(index, 'TO') && index + 2 < argCount && target === null) {
      if (!context.integer(index + 2)) return;
      target = { host: context.argText(index + 1), port: context.number.value };
      index += 2;
    } else if (context.argIs(index, 'FORCE') && !isForced) {
      isForced = true;
    } else {
      reply.error(SYNTAX_ERROR);
      return;
    }
  }
  if (replication.failoverState !== FailoverState.None) {
    if (!isAbort) {
      reply.error('ERR FAILOVER already in progress.');
      return;
    }
    requestReplication(context, { kind: 'abort-failover' });
    if (session.postponedWork === null) reply.ok();
    return;
  }
  if (isAbort) {
    reply.error('ERR No failover in progress.');
    return;
  }
  if (replication.isReplica) {
    reply.error('ERR FAILOVER is not valid when server is a replica.');
    return;
  }
  const replicas = replication.replicas();
  if (replicas.length === 0) {
    reply.error('ERR FAILOVER requires connected replicas.');
    return;
  }
  if (isForced && (timeoutMs === 0 || target === null)) {
    reply.error('ERR FAILOVER with force option requires both a timeout and target HOST and IP.');
    return;
  }
  if (target !== null) {
    const wanted = target;
    const replica = replicas.find((row) => isAt(row, wanted));
    if (replica === undefined) {
      reply.error('ERR FAILOVER target HOST and PORT is not a replica.');
      return;
    }
    if (replica.state !== ReplicaState.Online) {
      reply.error('ERR FAILOVER target replica is not online.');
      return;
    }
  }
  services.log(`FAILOVER requested to ${target === null ? 'any replica' : `${target.host}:${target.port}`}.`);
  const request: FailoverRequest = { host: target?.host ?? '', port: target?.port ?? 0, timeoutMs, isForced };
  requestReplication(context, { kind: 'failover', failover: request });
  if (session.postponedWork === null) reply.ok();
}

function isAt({ ip, port }: ReplicaRow, target: { host: string; port: number }): boolean {
  const host = target.host === 'localhost' ? '127.0.0.1' : target.host;
  return ip === host && port === target.port;
}

const LINK_NAMES: Readonly<Record<LinkState, string>> = {
  [LinkState.None]: 'none',
  [LinkState.Connect]: 'connect',
  [LinkState.Connecting]: 'connecting',
  [LinkState.Handshake]: 'handshake',
  [LinkState.Transfer]: 'sync',
  [LinkState.Connected]: 'connected',
};

function role(context: CommandContext): void {
  const { reply, services, keyspace } = context;
  const { replication } = services.state;
  const offset = replication.offsetAt(keyspace.journal.ring.head);
  if (replication.isReplica) {
    const { linkState } = replication;
    reply.array(5);
    reply.bulkString('slave');
    reply.bulkString(replication.primaryHost);
    reply.integer(replication.primaryPort);
    reply.bulkString(LINK_NAMES[linkState]);
    reply.integer(linkState === LinkState.Connected ? offset : -1);
    return;
  }
  const replicas = replication.replicas().filter(({ state }) => state === ReplicaState.Online);
  reply.array(3);
  reply.bulkString('master');
  reply.integer(offset);
  reply.array(replicas.length);
  for (const { ip, port, ackOffset } of replicas) {
    reply.array(3);
    reply.bulkString(ip);
    reply.bulkString(String(port));
    reply.bulkString(String(ackOffset));
  }
}

/** The position in the journal up to which a client has written: also in commands before this one, in the same turn. */
function writtenPosition({ session, keyspace }: CommandContext): number {
  const { journal } = keyspace;
  return journal.hasRecorded ? journal.recordedUntil : session.writtenUntil;
}

/** The offset up to which a client has written. */
function writtenOffset(context: CommandContext): number {
  const position = writtenPosition(context);
  const { replication } = context.services.state;
  return position === 0 || !replication.counts ? 0 : replication.offsetAt(position);
}

function readTimeout(context: CommandContext, index: number): number {
  if (!context.integer(index, NO_TIMEOUT)) return -1;
  const { value } = context.number;
  if (value >= 0 && value <= TIMEOUT_MS_MAX) return value;
  context.reply.error(value < 0 ? 'ERR timeout is negative' : 'ERR timeout is out of range');
  return -1;
}

/** Postpones the command until the writes are confirmed often enough, or the timeout; `answer` replies. */
function waitFor(
  context: CommandContext,
  timeoutMs: number,
  measure: () => Confirmed,
  isEnough: (confirmed: Confirmed) => boolean,
  answer: (confirmed: Confirmed) => void,
  wanted: Wanted | null = null,
): void {
  const { services, session } = context;
  const work = session.postponedWork;
  if (work instanceof ConfirmationWork) {
    work.abandon();
    session.postponedWork = null;
    // Not measured anew: others may have written since it began.
    answer(work.confirmed());
    return;
  }
  const now = measure();
  if (isEnough(now) || context.inTransaction) {
    answer(now);
    return;
  }
  session.postponedWork = new ConfirmationWork(
    services.state,
    session.clientSlot,
    timeoutMs,
    measure,
    isEnough,
    wanted,
  );
  session.postponed = { command: context.command, request: context.request.copy() };
  services.askForAcks();
}

/**
 * Ends a wait if the replication thread has replied to the client, or with an error: CLIENT UNBLOCK wants that, or the server has
 * become a replica and can't fulfil it. Returns whether it did.
 */
function isWaitOver({ reply, services, session }: CommandContext): boolean {
  const work = session.postponedWork;
  if (!(work instanceof ConfirmationWork)) return false;
  const { isReplica } = services.state.replication;
  work.stopReplies();
  const isError = isReplica || work.unblockedBy === WaitEnd.Unblocked;
  if (!work.isRepliedTo && !isError) return false;
  work.abandon();
  session.postponedWork = null;
  if (work.isRepliedTo) {
    const { reply: text, writtenBytes } = work;
    reply.raw(Buffer.from(text), writtenBytes, text.length - writtenBytes);
    services.state.counters.server[ServerCounter.OutputBytes] += writtenBytes;
    return true;
  }
  reply.error(isReplica ? DEMOTED : UNBLOCKED);
  if (isReplica) session.connection.closeAfterReply();
  return true;
}

/** WAIT numreplicas timeout */
function wait(context: CommandContext): void {
  const { reply, services } = context;
  const { replication } = services.state;
  if (isWaitOver(context)) return;
  if (replication.isReplica) {
    reply.error(
      'ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.',
    );
    return;
  }
  if (!context.integer(1)) return;
  const wanted = context.number.value;
  const timeoutMs = readTimeout(context, 2);
  if (timeoutMs < 0) return;
  const offset = writtenOffset(context);
  waitFor(
    context,
    timeoutMs,
    () => ({ local: 0, replicas: replication.acknowledged(offset) }),
    ({ replicas }) => replicas >= wanted,
    ({ replicas }) => reply.integer(replicas),
    { offset, replicas: wanted },
  );
}

/** WAITAOF numlocal numreplicas timeout */
function waitAof(context: CommandContext): void {
  const { reply, services, keyspace, session } = context;
  const { replication, appendOnly } = services.state;
  const { ring } = keyspace.journal;
  if (isWaitOver(context)) return;
  if (!context.integer(1)) return;
  const local = context.number.value;
  if (local < 0 || local > 1) {
    reply.error('ERR value is out of range, must be between 0 and 1');
    return;
  }
  if (!context.integer(2)) return;
  const wanted = context.number.value;
  if (wanted < 0) {
    reply.error('ERR value is out of range, must be positive');
    return;
  }
  const timeoutMs = readTimeout(context, 3);
  if (timeoutMs < 0) return;
  if (replication.isReplica) {
    reply.error(
      'ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated.',
    );
    return;
  }
  if (local > 0 && !services.config.appendOnly) {
    // The append-only file may have been turned off while the client waited.
    if (session.postponedWork instanceof ConfirmationWork) {
      session.postponedWork.abandon();
      session.postponedWork = null;
    }
    reply.error('ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.');
    return;
  }
  const position = writtenPosition(context);
  const offset = writtenOffset(context);
  // Without a base, what is in the file would not be loaded.
  const localNow = (): number =>
    services.config.appendOnly && appendOnly.mode === AppendOnlyMode.On && ring.synced >= position ? 1 : 0;
  waitFor(
    context,
    timeoutMs,
    () => ({ local: localNow(), replicas: replication.acknowledged(offset, true) }),
    (confirmed) =>
      (local > 0 && !services.config.appendOnly) ||
      (confirmed.local >= local && confirmed.replicas >= wanted),
    (confirmed) => {
      reply.array(2);
      reply.integer(confirmed.local);
      reply.integer(confirmed.replicas);
    },
  );
}

function clusterOnly(context: CommandContext): void {
  context.reply.error('ERR This instance has cluster support disabled');
}

export const replicationHandlers: Readonly<Record<string, Handler>> = {
  FAILOVER: failover,
  PSYNC: sync,
  READONLY: clusterOnly,
  READWRITE: clusterOnly,
  REPLCONF: replconf,
  REPLICAOF: replicaOf,
  ROLE: role,
  SLAVEOF: replicaOf,
  SYNC: sync,
  WAIT: wait,
  WAITAOF: waitAof,
};

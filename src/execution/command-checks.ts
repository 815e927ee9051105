/** The checks that may refuse a command before it runs or is queued, in Redis's order. */

import type { ClientTable } from '../state/client-table.js';
import { PauseKind } from '../state/control-block.js';
import { monotonicMs } from '../system/clock.js';
import { Refusal } from './access-check.js';
import { refusalError } from './access-control.js';
import { KEY_OVERHEAD_BYTES } from './batch.js';
import type { CommandTimer } from './command-timer.js';
import type { CommandContext } from './context.js';
import {
  busyError,
  LOADING,
  NOT_AUTHENTICATED,
  NOT_ENOUGH_REPLICAS,
  OUT_OF_MEMORY,
  PRIMARY_IS_DOWN,
  READ_ONLY_REPLICA,
  wrongArity,
} from './errors.js';
import type { CommandRequest } from './request.js';
import { type Command, CommandFlag, CommandTrait } from './table/command-table.js';
import { MAY_WRITE } from './transactions.js';
import { whyWritesAreStopped } from './write-stops.js';

/** A client in MONITOR, which Redis counts among the replicas, may not run these. */
const KEYSPACE_FLAGS = CommandFlag.Write | CommandFlag.Readonly | CommandFlag.MayReplicate;

/** First words of lines of an HTTP request that a foreign site may have made a browser send, with a body. */
const CROSS_PROTOCOL_NAME = /^(?:post|host:)$/i;

/** Memory that an argument of a command may take besides its bytes. */
const ARGUMENT_OVERHEAD_BYTES = 16;

/** How much of a client's input an error quotes. */
const QUOTED_BYTES_MAX = 128;

export class CommandChecks {
  private readonly context: CommandContext;
  private readonly timer: CommandTimer;
  private readonly clients: ClientTable;
  /** The dataset is being loaded, by threads that take no locks: commands that could touch a key are refused. */
  isLoading = false;
  /** A full sync is loaded beside the dataset. */
  isAsyncLoading = false;

  constructor(context: CommandContext, timer: CommandTimer) {
    this.context = context;
    this.timer = timer;
    this.clients = context.services.state.clients;
  }

  /**
   * Checks the command whose request the context holds, as it was looked up by its name. Returns the command, or the
   * subcommand; null after an error reply.
   */
  check(found: Command | null): Command | null {
    const { context } = this;
    const { session } = context;
    const command = this.resolve(found);
    if (command === null) return null;
    if (!session.authenticated && (command.flags & CommandFlag.NoAuth) === 0) {
      return this.refuse(NOT_AUTHENTICATED, command);
    }
    if (session.queue !== null && (command.flags & CommandFlag.NoMulti) !== 0) {
      return this.refuse('ERR Command not allowed inside a transaction', command);
    }
    if (session.isRestricted) {
      const refusal = context.services.access.check(session, command, context.request);
      if (refusal !== Refusal.None) return this.refuse(refusalError(refusal, command), command);
    }
    if (this.isLoading && this.needsData(command)) return this.refuse(LOADING, command);
    if (this.isAsyncLoading && this.has(command, CommandFlag.NoAsyncLoading))
      return this.refuse(LOADING, command);
    if (context.keyspace.lockOrder.slowScripts !== 0 && (command.flags & CommandFlag.AllowBusy) === 0) {
      return this.refuseBusy(command);
    }
    if (context.keyspace.settings.maxMemoryBytes !== 0 && this.mayEvict()) {
      const hasRoom = context.keyspace.makeRoom(this.clientBytes(), this.neededBytes(command), context.nowMs);
      if (!hasRoom && this.needsMemory(command)) return this.refuse(OUT_OF_MEMORY, command);
    }
    const { config } = context.services;
    const { persistence, appendOnly, replication } = context.services.state;
    const isReplica = replication.isReplica;
    if (!isReplica && config.needsReplicas && this.has(command, CommandFlag.Write) && this.lacksReplicas()) {
      return this.refuse(NOT_ENOUGH_REPLICAS, command);
    }
    if (isReplica && config.replicaReadOnly && this.has(command, CommandFlag.Write)) {
      return this.refuse(READ_ONLY_REPLICA, command);
    }
    if (
      isReplica &&
      replication.isStale &&
      !config.replicaServesStaleData &&
      this.lacks(command, CommandFlag.Stale)
    ) {
      return this.refuse(PRIMARY_IS_DOWN, command);
    }
    if ((persistence.hasFailed || appendOnly.writeError !== 0) && this.isStoppable(command)) {
      const reason = whyWritesAreStopped(context.services);
      if (reason !== '') return this.refuse(reason, command);
    }
    if (
      session.subscribed !== null &&
      session.protocol === 2 &&
      (command.traits & CommandTrait.WhileSubscribed) === 0
    ) {
      return this.refuse(
        `ERR Can't execute '${command.fullName}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context`,
        command,
      );
    }
    if (session.isMonitor && (command.flags & KEYSPACE_FLAGS) !== 0) {
      return this.refuse("ERR Replica can't interact with the keyspace", command);
    }
    return command;
  }

  /** The command or subcommand that is meant, if it exists and has the right number of arguments. */
  private resolve(found: Command | null): Command | null {
    const { context } = this;
    if (found === null) {
      return CROSS_PROTOCOL_NAME.test(context.argText(0))
        ? this.abortCrossProtocol()
        : this.refuse(this.unknownCommand(), null);
    }
    let command = found;
    if (found.subcommands !== null && context.argCount > 1) {
      const subcommand = found.subcommands.get(context.argText(1).toLowerCase());
      if (subcommand === undefined) {
        return this.refuse(this.unknownSubcommand(found), null);
      }
      command = subcommand;
    }
    if (!hasArity(command, context.argCount)) return this.refuse(wrongArity(command.fullName), command);
    return command;
  }

  private lacksReplicas(): boolean {
    const { config, state } = this.context.services;
    return state.replication.goodReplicas < config.minReplicasToWrite;
  }

  /** Whether a command, or one in the queue that it runs, lacks a flag. The state may have changed since it was queued. */
  private lacks(command: Command, flag: CommandFlag): boolean {
    return this.some(command, (some, request) => (this.flagsOf(some, request) & flag) === 0);
  }

  /** Makes room for so many more bytes if need be; false if it can't. The caller knows that evictions are allowed. */
  hasRoom(neededBytes: number): boolean {
    const { keyspace, nowMs } = this.context;
    return (
      !keyspace.mustMakeRoom(this.clients.memoryBytes() + this.scriptBytes, neededBytes) ||
      keyspace.makeRoom(this.clientBytes(), neededBytes, nowMs)
    );
  }

  /** Memory that a command may need for the data in its request. */
  private neededBytes(command: Command): number {
    const { session, request, argCount } = this.context;
    if ((command.traits & CommandTrait.RunsQueue) !== 0) return session.queuedBytes;
    if ((command.flags & CommandFlag.DenyOom) === 0) return 0;
    const last = argCount - 1;
    const requestBytes = request.offset(last) + request.length(last) - request.offset(0);
    return requestBytes + KEY_OVERHEAD_BYTES + last * ARGUMENT_OVERHEAD_BYTES;
  }

  /**
   * Evicts for at most about `budgetMs` while memory is above the limit, for a worker that has nothing else to do. Returns
   * whether more is to be done.
   */
  evictInBackground(budgetMs: number, nowMs: number): boolean {
    const { keyspace } = this.context;
    if (keyspace.settings.maxMemoryBytes === 0 || !this.mayEvict()) return false;
    return keyspace.evictInBackground(this.clientBytes(), budgetMs, nowMs);
  }

  /** Whether CLIENT PAUSE holds a command back. */
  isPaused(command: Command): boolean {
    const { control } = this.context.services.state;
    if (!control.mayBePaused) return false;
    const kind = control.pauseKind(monotonicMs());
    return kind === PauseKind.All || (kind === PauseKind.Write && this.has(command, MAY_WRITE));
  }

  /** Whether a command, or one in the queue that it runs, has one of some flags. */
  private has(command: Command, flags: number): boolean {
    const { request, session } = this.context;
    const { queue } = session;
    if ((this.flagsOf(command, request) & flags) !== 0) return true;
    if ((command.traits & CommandTrait.RunsQueue) === 0 || queue === null) return false;
    return queue.some((queued) => (this.flagsOf(queued.command, queued.request) & flags) !== 0);
  }

  /** Whether something holds for a command, or for one in the queue that it runs. */
  private some(command: Command, holds: (command: Command, request: CommandRequest) => boolean): boolean {
    const { request, session } = this.context;
    if (holds(command, request)) return true;
    if ((command.traits & CommandTrait.RunsQueue) === 0) return false;
    return session.queue?.some((queued) => holds(queued.command, queued.request)) ?? false;
  }

  /** A command's flags; those of EVAL and the like depend on the script. */
  private flagsOf(command: Command, request: CommandRequest): number {
    const runsScript = (command.traits & CommandTrait.RunsScript) !== 0;
    return runsScript ? this.context.scripts.flagsOf(command, request) : command.flags;
  }

  /**
   * Memory of clients and scripts for which keys may be evicted. That is without the memory of unauthenticated clients,
   * and without what exceeds maxmemory-clients, since clients are closed for that.
   */
  private clientBytes(): number {
    const { clients } = this;
    const limitBytes = this.context.services.config.maxMemoryClientsBytes;
    const strangerBytes = clients.unauthenticatedBytes();
    const excessBytes =
      limitBytes === 0 ? 0 : Math.max(0, clients.evictableBytes() - strangerBytes - limitBytes);
    return clients.memoryBytes() + this.scriptBytes - strangerBytes - excessBytes;
  }

  private get scriptBytes(): number {
    const { services, keyspace } = this.context;
    return services.state.scriptCache.usedBytes + keyspace.functions.usedBytes;
  }

  /** Whether a command is refused when memory is full. Queueing a command takes memory, too. */
  private needsMemory(command: Command): boolean {
    if (this.has(command, CommandFlag.DenyOom)) return true;
    return this.context.session.queue !== null && (command.traits & CommandTrait.Immediate) === 0;
  }

  /** Whether a command, or one in the queue that it runs, has to wait until the dataset is loaded. */
  private needsData(command: Command): boolean {
    return this.some(
      command,
      ({ flags, traits }) => (flags & CommandFlag.Loading) === 0 || (traits & CommandTrait.NeedsData) !== 0,
    );
  }

  /** Nothing is evicted while the dataset is loaded or a slow script runs, nor while only commands may delete keys. */
  private mayEvict(): boolean {
    const { keyspace } = this.context;
    return !this.isLoading && keyspace.lockOrder.slowScripts === 0 && keyspace.mayEvict;
  }

  /** Whether the command is refused while nothing can be saved. */
  private isStoppable(command: Command): boolean {
    return (command.traits & CommandTrait.Stoppable) !== 0 || this.has(command, CommandFlag.Write);
  }

  /** Replies BUSY, since a slow script runs. */
  refuseBusy(command: Command): null {
    return this.refuse(busyError(this.context.services.state.runningScripts), command);
  }

  private refuse(error: string, command: Command | null): null {
    const { session, reply } = this.context;
    if (command !== null && (command.traits & CommandTrait.RunsQueue) !== 0) {
      // A refused EXEC ends the transaction all the same.
      session.discardTransaction();
      reply.error(`EXECABORT Transaction discarded because of: ${error.replace(/^ERR /, '')}`);
    } else {
      if (session.queue !== null) session.transactionFailed = true;
      reply.error(error);
    }
    this.timer.countRefused(command);
    return null;
  }

  /** Closes the connection without a reply: a browser was made to send HTTP here, whose body must not be executed. */
  private abortCrossProtocol(): null {
    const { session, reply, services } = this.context;
    services.log(
      'Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Damselfly. ' +
        'This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise it. ' +
        'Connection aborted.',
      'warning',
    );
    session.closing = true;
    reply.drop();
    return null;
  }

  private unknownSubcommand(container: Command): string {
    const { context } = this;
    const quoted = context.argQuoted(1).slice(0, QUOTED_BYTES_MAX);
    const name = container.name.toUpperCase();
    const isMissing = context.table.isMissing(`${name} ${quoted}`);
    return `ERR unknown subcommand '${quoted}'${isMissing ? ': not supported yet' : ''}. Try ${name} HELP.`;
  }

  private unknownCommand(): string {
    const { context } = this;
    const given = context.argQuoted(0);
    if (context.table.isMissing(given)) return `ERR unknown command '${given}': not supported yet`;
    let shown = '';
    for (let index = 1; index < context.argCount && shown.length < QUOTED_BYTES_MAX; index++) {
      shown += `'${context.argQuoted(index).slice(0, QUOTED_BYTES_MAX - shown.length)}' `;
    }
    const name = given.slice(0, QUOTED_BYTES_MAX);
    return `ERR unknown command '${name}', with args beginning with: ${shown}`;
  }
}

/** Whether a command takes so many arguments, its name among them. */
export function hasArity({ arity }: Command, argCount: number): boolean {
  return arity >= 0 ? argCount === arity : argCount >= -arity;
}

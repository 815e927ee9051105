/**
 * Runs the commands of a batch: looks them up, checks them, locks the shards of their keys in ascending
 * order, calls the handler, unlocks.
 */

import { performance } from 'node:perf_hooks';
import type { Journal } from '../journal/journal.js';
import { keySlot } from '../memory/hash.js';
import { MAX_BATCH_COMMANDS, type RequestParser } from '../protocol/request-parser.js';
import type { ClientTable } from '../state/client-table.js';
import { ServerCounter, type WorkerStatistics } from '../state/command-statistics.js';
import { PauseKind } from '../state/control-block.js';
import { equalBytes } from '../structures/copy.js';
import { releasePages } from '../system/page-release.js';
import type { CommandContext } from './context.js';
import { LOADING, NOT_AUTHENTICATED, OUT_OF_MEMORY, wrongArity } from './errors.js';
import { KeyPositions } from './key-positions.js';
import { LookAhead } from './look-ahead.js';
import { type QueuedCommand, ReplyMode, type Session } from './session.js';
import { noteDuration } from './slow-commands.js';
import { type Command, CommandFlag, KeyRule } from './table/command-table.js';
import { copyRequest, queueCommand, runsInsideTransaction } from './transactions.js';
import { whyWritesAreStopped } from './write-stops.js';

/** A batch shorter than this is not worth looking ahead. */
const LOOK_AHEAD_COMMANDS_MIN = 3;

/** Replies of a batch that are longer than this are sent before its next command runs. */
const FLUSH_BYTES = 64 * 1024;

/** Commands that run under one hold of a lock, unless those before have had so many arguments in all. */
const STRETCH_COMMANDS_MAX = 32;
const STRETCH_ARGUMENTS_MAX = 512;

/** Commands of a batch up to which each is timed by itself. */
const TIMED_COMMANDS_MAX = 2;
/** With a slow log that notes commands faster than this, each command is timed by itself. */
const SHARED_TIME_MICROSECONDS_MIN = 1000;
/** Commands that Redis does not call fast, but that are. */
const QUICK_COMMANDS = new Set(['set', 'setex', 'psetex']);

/** These look at keys although Redis runs them while it loads. */
const NEEDS_DATA = new Set(['watch', 'debug']);

/** A client in MONITOR, which Redis counts among the replicas, may not run these. */
const KEYSPACE_FLAGS = CommandFlag.Write | CommandFlag.Readonly | CommandFlag.MayReplicate;

/** What a log has around the commands of a transaction. */
const BRACKETS = new Set(['multi', 'exec']);

/** First words of HTTP requests and their headers that carry a body of a foreign site's choice. */
const CROSS_PROTOCOL_NAME = /^(?:post|host:)$/i;
/** Not shown to monitors: what administrators do is nobody else's business, or the command shows itself. */
const UNMONITORED_FLAGS = CommandFlag.Admin | CommandFlag.SkipMonitor;

const UNKNOWN_ARGUMENTS_BYTES_MAX = 128;

export class Executor {
  private readonly context: CommandContext;
  private readonly journal: Journal;
  private readonly keyPositions = new KeyPositions();
  private readonly commands: (Command | null)[] = new Array(MAX_BATCH_COMMANDS).fill(null);
  private readonly lookAhead: LookAhead;
  /** One flag per shard: locked by the running command or transaction. */
  private readonly lockedShards: Uint8Array;
  private readonly statistics: WorkerStatistics;
  private readonly clients: ClientTable;
  /** `reply.errors` when errors were last counted: EXEC does not count again what its commands have failed with. */
  private errorsCounted = 0;
  /** Quick commands of the running batch, counted per id; their time is shared out when the batch ends. */
  private readonly batchCalls: Int32Array;
  private readonly batchIds = new Int32Array(MAX_BATCH_COMMANDS);
  private batchIdCount = 0;
  private batchCommands = 0;
  /** When the running batch began, in ms of the monotonic clock. */
  private startedAt = 0;
  /** What the commands of the batch took that were timed by themselves. */
  private timedMs = 0;
  private isEachTimed = false;
  /** By command id: 1 if it is always quick, so that it may share the time of its batch. */
  private readonly isQuick: Uint8Array;
  /** After `executeBatch`: the client has got so much that others come before what is left of its commands. */
  mustPause = false;
  /** The dataset is being loaded, by threads that take no locks: what could touch a key is refused. */
  isLoading = false;

  constructor(context: CommandContext) {
    this.context = context;
    this.journal = context.keyspace.journal;
    this.lookAhead = new LookAhead(context.keyspace, this.commands);
    this.lockedShards = new Uint8Array(context.keyspace.shards.length);
    this.statistics = context.services.state.counters;
    this.clients = context.services.state.clients;
    this.batchCalls = new Int32Array(context.table.size);
    this.isQuick = new Uint8Array(context.table.size);
    for (let id = 0; id < context.table.size; id++) {
      const command = context.table.byId(id);
      const isQuick = (command.flags & CommandFlag.Fast) !== 0 || QUICK_COMMANDS.has(command.fullName);
      this.isQuick[id] = isQuick ? 1 : 0;
    }
  }

  /** Runs the commands that `parser` found in `bytes`. Returns how many were run: fewer if the session closes. */
  executeBatch(session: Session, bytes: Uint8Array, view: DataView, parser: RequestParser): number {
    const { context } = this;
    const count = parser.commandCount;
    context.session = session;
    context.bytes = bytes;
    context.view = view;
    context.pairs = parser.args;
    this.startTiming(count);
    this.prepare(0, count, session.database, parser);
    let isUnhindered = this.isUnhindered(session);
    this.mustPause = false;
    let index = 0;
    while (index < count) {
      if (isUnhindered && this.isSimple(index, parser) && this.hasRoom()) {
        index = this.runStretch(index, count, parser);
      } else {
        this.selectRequest(index, parser);
        this.execute(this.commands[index++]);
        if (session.closing || session.postponed !== null) break;
        isUnhindered = this.isUnhindered(session);
      }
      const { reply } = context;
      if (reply.size > FLUSH_BYTES || reply.spilledBytes > 0 || reply.overflowed) {
        this.mustPause = !context.services.flush(session);
        if (this.mustPause) break;
      }
    }
    this.endTiming();
    return index;
  }

  /** Makes the context's request that of a command of the batch. */
  private selectRequest(index: number, parser: RequestParser): void {
    const { context } = this;
    context.argStart = parser.commandArgStart[index];
    context.argCount = parser.commandArgCount[index];
    context.knownSlot = 0;
    const command = this.commands[index];
    if (command !== null && command.singleKey > 0 && context.argCount > command.singleKey) {
      context.knownKeyOffset = context.argOffset(command.singleKey);
      context.knownHash = this.lookAhead.hashes[index];
      context.knownShard = this.lookAhead.shards[index];
    } else {
      context.knownKeyOffset = -1;
    }
  }

  /** Whether there is nothing now that refuses, postpones, queues or shows one command of the client and not another. */
  private isUnhindered(session: Session): boolean {
    const { control, persistence, appendOnly } = this.context.services.state;
    return (
      !this.isLoading &&
      session.queue === null &&
      session.authenticated &&
      session.replyMode === ReplyMode.On &&
      !session.isMonitor &&
      !this.isEachTimed &&
      !control.mayBePaused &&
      control.monitorCount === 0 &&
      !persistence.hasFailed &&
      appendOnly.writeError === 0
    );
  }

  /** Whether a command of the batch is quick, has one key and the right number of arguments. */
  private isSimple(index: number, parser: RequestParser): boolean {
    const command = this.commands[index];
    if (command === null || command.singleKey === 0 || this.isQuick[command.id] === 0) return false;
    const { arity } = command;
    const count = parser.commandArgCount[index];
    return arity >= 0 ? count === arity : count >= -arity;
  }

  /** Whether memory is not full, as far as can be told without a lock. */
  private hasRoom(): boolean {
    const { keyspace } = this.context;
    if (keyspace.settings.maxMemoryBytes === 0 || !keyspace.mustMakeRoom(this.clients.memoryBytes()))
      return true;
    return !keyspace.mustMakeRoom(this.clientBytes());
  }

  /**
   * Runs simple commands from `first` on that are on the same shard, under one hold of its lock: many connections
   * that use one key would else pass its lock to and fro with each command. Returns the index after the last.
   */
  private runStretch(first: number, count: number, parser: RequestParser): number {
    const { context, lookAhead } = this;
    const { session, reply, keyspace, bytes, view } = context;
    const { shards, repeatsKey, keyOffsets } = lookAhead;
    const shard = shards[first];
    const end = Math.min(count, first + STRETCH_COMMANDS_MAX);
    let index = first;
    let argumentsDone = 0;
    shard.lock();
    lookAhead.readMembers(first, end, session.database, bytes, view, parser);
    context.forgetSlot();
    do {
      const command = this.commands[index] as Command;
      this.selectRequest(index, parser);
      if (repeatsKey[index] === 1) context.knownSlot = context.slotLeft(keyOffsets[index - 1]);
      context.command = command;
      session.lastCommandId = command.id;
      const errorsBefore = reply.errors;
      this.countQuick(command);
      command.handler(context);
      this.settle();
      this.journal.commit(true);
      if (reply.errors !== errorsBefore) this.countErrors(command);
      argumentsDone += context.argCount;
      index++;
    } while (
      index < end &&
      argumentsDone < STRETCH_ARGUMENTS_MAX &&
      shards[index] === shard &&
      reply.size <= FLUSH_BYTES &&
      reply.spilledBytes === 0 &&
      this.isSimple(index, parser)
    );
    keyspace.publishIfMoved(shard);
    keyspace.keptLock.keepOrRelease(shard, argumentsDone);
    return index;
  }

  /**
   * Runs commands of a log, from the batch's command `first` to `end`. They have run before, so nothing of what may
   * refuse a client's command is asked but whether there is such a command; nothing is counted, and no lock is taken,
   * since nobody else uses the keyspace. MULTI and EXEC mean nothing: whoever reads the log gives whole transactions.
   * Stops behind a command that replied with an error, or before one that can't be run, of which `replayProblem`
   * then says why. Returns the index of that command, or `end`.
   */
  replay(
    session: Session,
    bytes: Uint8Array,
    view: DataView,
    parser: RequestParser,
    first: number,
    end: number,
  ): number {
    const { context } = this;
    const { reply } = context;
    context.session = session;
    context.bytes = bytes;
    context.view = view;
    context.pairs = parser.args;
    this.replayProblem = '';
    this.prepare(first, end, session.database, parser);
    for (let index = first; index < end; index++) {
      this.selectRequest(index, parser);
      const command = this.replayable(this.commands[index]);
      if (command === null) return index;
      if (command.singleKey === 0 && BRACKETS.has(command.fullName)) continue;
      context.command = command;
      reply.reset();
      const errorsBefore = reply.errors;
      command.handler(context);
      if (reply.errors !== errorsBefore) return index;
    }
    return end;
  }

  /** Why `replay` could not run a command, '' if it could. */
  replayProblem = '';

  private replayable(found: Command | null): Command | null {
    const { context } = this;
    let command = found;
    if (command !== null && command.subcommands !== null && context.argCount > 1) {
      command = command.subcommands.get(context.argText(1).toLowerCase()) ?? null;
    }
    if (command === null) {
      this.replayProblem = `Unknown command '${context.argQuoted(0).slice(0, UNKNOWN_ARGUMENTS_BYTES_MAX)}'`;
      return null;
    }
    if ((command.flags & CommandFlag.Admin) !== 0 || command.keyRule === KeyRule.Migrate) {
      this.replayProblem = `Command '${command.fullName}', which no log has,`;
      return null;
    }
    const { arity } = command;
    if (arity >= 0 ? context.argCount === arity : context.argCount >= -arity) return command;
    this.replayProblem = `Wrong number of arguments for command '${command.fullName}'`;
    return null;
  }

  /** Runs the command that CLIENT PAUSE held back, or goes on with one that has waited for its work. */
  executePostponed(session: Session, postponed: QueuedCommand): void {
    const { context } = this;
    context.session = session;
    session.postponed = null;
    this.startTiming(1);
    this.setRequest(postponed.bytes, postponed.view, postponed.args, 0, postponed.argCount);
    if (session.postponedWork !== null) this.goOn(postponed.command);
    else this.execute(context.table.lookup(context.bytes, context.argOffset(0), context.argLength(0)));
    this.endTiming();
    if (session.postponed === null) releasePages(postponed.bytes);
  }

  /** Goes on with a command that has begun: nothing may refuse it any more. */
  private goOn(command: Command): void {
    const { session, reply } = this.context;
    const start = reply.hold();
    this.run(command);
    if (session.postponed !== null || session.replyMode === ReplyMode.On) return;
    reply.length = Math.min(start, reply.length);
    if (session.replyMode !== ReplyMode.Off) session.replyMode = ReplyMode.On;
  }

  /** A request without a command: to CLIENT REPLY SKIP it is the one whose reply is skipped. */
  skipEmpty(session: Session): void {
    const { replyMode } = session;
    if (replyMode === ReplyMode.SkipNext || replyMode === ReplyMode.Skip) session.replyMode = ReplyMode.On;
  }

  private startTiming(commandCount: number): void {
    const slowerThan = this.context.services.config.slowLogSlowerThanMicroseconds;
    this.isEachTimed =
      commandCount <= TIMED_COMMANDS_MAX || (slowerThan >= 0 && slowerThan < SHARED_TIME_MICROSECONDS_MIN);
    this.timedMs = 0;
    if (!this.isEachTimed) this.startedAt = performance.now();
  }

  /**
   * Statistics of a batch. Reading the clock twice per command would cost a good part of what a quick command
   * takes, so the quick commands of a batch share its time equally; any other is timed by itself.
   */
  private endTiming(): void {
    const { statistics, batchIds, batchCalls, batchCommands } = this;
    if (batchCommands === 0) return;
    const sharedMs = Math.max(0, performance.now() - this.startedAt - this.timedMs);
    const nanoseconds = (sharedMs * 1e6) / batchCommands;
    for (let index = 0; index < this.batchIdCount; index++) {
      const id = batchIds[index];
      statistics.recordCalls(id, batchCalls[id], nanoseconds * batchCalls[id]);
      batchCalls[id] = 0;
    }
    statistics.server[ServerCounter.CommandsProcessed] += batchCommands;
    this.batchIdCount = 0;
    this.batchCommands = 0;
  }

  private countQuick(command: Command): void {
    const { id } = command;
    this.batchCommands++;
    if (this.batchCalls[id]++ === 0) {
      if (this.batchIdCount === MAX_BATCH_COMMANDS) {
        this.batchCalls[id] = 0;
        this.statistics.recordCalls(id, 1, 0);
        return;
      }
      this.batchIds[this.batchIdCount++] = id;
    }
  }

  /** Looks up the commands from `first` to `end`, hashes their keys and reads ahead what they will need. */
  private prepare(first: number, end: number, database: number, parser: RequestParser): void {
    const { commands, lookAhead } = this;
    const { table, bytes, view } = this.context;
    lookAhead.begin(first);
    for (let index = first; index < end; index++) {
      if (index > first && this.repeatsName(index, parser)) {
        commands[index] = commands[index - 1];
      } else {
        const name = 2 * parser.commandArgStart[index];
        commands[index] = table.lookup(bytes, parser.args[name], parser.args[name + 1]);
      }
      lookAhead.prepare(index, bytes, view, parser);
    }
    if (end - first >= LOOK_AHEAD_COMMANDS_MIN) lookAhead.run(first, end, database);
  }

  /** Whether a command has the same name as the one before it, as is common in pipelines. */
  private repeatsName(index: number, { args, commandArgStart }: RequestParser): boolean {
    const { bytes, view } = this.context;
    const name = 2 * commandArgStart[index];
    const last = 2 * commandArgStart[index - 1];
    const lengthBytes = args[name + 1];
    return (
      args[last + 1] === lengthBytes &&
      equalBytes(bytes, view, args[last], bytes, view, args[name], lengthBytes)
    );
  }

  /** Checks and runs one command whose request the context holds. */
  private execute(command: Command | null): void {
    const { context } = this;
    const { session, reply } = context;
    if (session.replyMode !== ReplyMode.On) {
      this.executeSilently(command);
      return;
    }
    const resolved = this.check(command);
    if (resolved === null || this.isPostponed(resolved)) return;
    if (session.queue !== null && !runsInsideTransaction(resolved)) {
      queueCommand(context, resolved);
      reply.simple('QUEUED');
      return;
    }
    this.run(resolved);
  }

  /** Whether CLIENT PAUSE holds the command back; then it is kept in the session. */
  private isPostponed(command: Command): boolean {
    const { context } = this;
    const { control } = context.services.state;
    if (!control.mayBePaused) return false;
    const kind = control.pauseKind(context.nowMs);
    if (kind === PauseKind.Off) return false;
    if (kind === PauseKind.Write && !this.mayWrite(command)) return false;
    context.session.postponed = copyRequest(context, command);
    return true;
  }

  private mayWrite(command: Command): boolean {
    return this.writes(command, CommandFlag.Write | CommandFlag.MayReplicate);
  }

  /** Whether a command, or one in the queue that EXEC runs, has one of some flags. */
  private writes(command: Command, flags: number = CommandFlag.Write): boolean {
    if ((command.flags & flags) !== 0) return true;
    const { queue } = this.context.session;
    if (command.fullName !== 'exec' || queue === null) return false;
    return queue.some((queued) => (queued.command.flags & flags) !== 0);
  }

  /** CLIENT REPLY OFF and SKIP: what a command replies is taken back. */
  private executeSilently(command: Command | null): void {
    const { session, reply } = this.context;
    const mode = session.replyMode;
    const start = reply.hold();
    if (mode === ReplyMode.SkipNext) session.replyMode = ReplyMode.Skip;
    const resolved = this.check(command);
    if (resolved !== null && !this.isPostponed(resolved)) {
      if (session.queue !== null && !runsInsideTransaction(resolved)) queueCommand(this.context, resolved);
      else this.run(resolved);
    }
    if (session.postponed !== null) {
      session.replyMode = mode;
      return;
    }
    // CLIENT REPLY ON is the one command whose own reply is sent.
    if (session.replyMode === ReplyMode.On) return;
    reply.length = Math.min(start, reply.length);
    if (session.replyMode === ReplyMode.Skip) session.replyMode = ReplyMode.On;
  }

  /** Everything that may refuse a command before it runs or is queued. Returns the (sub)command or null. */
  private check(command: Command | null): Command | null {
    const { context } = this;
    const { session } = context;
    if (command === null) {
      return CROSS_PROTOCOL_NAME.test(context.argText(0))
        ? this.abortCrossProtocol()
        : this.refuse(this.unknownCommand());
    }
    if (command.subcommands !== null && context.argCount > 1) {
      const subcommand = command.subcommands.get(context.argText(1).toLowerCase());
      if (subcommand === undefined) {
        return this.refuse(
          `ERR unknown subcommand '${context.argQuoted(1).slice(0, 128)}'. Try ${command.name.toUpperCase()} HELP.`,
        );
      }
      command = subcommand;
    }
    const { arity } = command;
    if (arity >= 0 ? context.argCount !== arity : context.argCount < -arity) {
      return this.refuse(wrongArity(command.fullName), command);
    }
    if (!session.authenticated && (command.flags & CommandFlag.NoAuth) === 0) {
      return this.refuse(NOT_AUTHENTICATED, command);
    }
    if (session.queue !== null && (command.flags & CommandFlag.NoMulti) !== 0) {
      return this.refuse('ERR Command not allowed inside a transaction', command);
    }
    if (this.isLoading && this.needsData(command)) return this.refuse(LOADING, command);
    if (context.keyspace.settings.maxMemoryBytes !== 0 && !this.isPaused()) {
      const hasRoom = context.keyspace.makeRoom(this.clientBytes(), context.nowMs);
      if (!hasRoom && this.needsMemory(command)) return this.refuse(OUT_OF_MEMORY, command);
    }
    const { persistence, appendOnly } = context.services.state;
    if ((persistence.hasFailed || appendOnly.writeError !== 0) && this.isStoppable(command)) {
      const reason = whyWritesAreStopped(context.services);
      if (reason !== '') return this.refuse(reason, command);
    }
    if (session.isMonitor && (command.flags & KEYSPACE_FLAGS) !== 0) {
      return this.refuse("ERR Replica can't interact with the keyspace", command);
    }
    return command;
  }

  /**
   * What clients take, without that for which no key has to go: what those take that have not authenticated, and what
   * exceeds maxmemory-clients, since clients go for it.
   */
  private clientBytes(): number {
    const { clients } = this;
    const limitBytes = this.context.services.config.maxMemoryClientsBytes;
    const strangerBytes = clients.unauthenticatedBytes();
    const excessBytes =
      limitBytes === 0 ? 0 : Math.max(0, clients.evictableBytes() - strangerBytes - limitBytes);
    return clients.memoryBytes() - strangerBytes - excessBytes;
  }

  /** Whether a command is refused when memory is full; what would be queued takes memory, too. */
  private needsMemory(command: Command): boolean {
    if ((command.flags & CommandFlag.DenyOom) !== 0) return true;
    const { queue } = this.context.session;
    if (queue === null) return false;
    if (command.fullName === 'exec') {
      return queue.some((queued) => (queued.command.flags & CommandFlag.DenyOom) !== 0);
    }
    return !runsInsideTransaction(command);
  }

  /** Whether a command has to wait until the dataset is loaded. */
  private needsData(command: Command): boolean {
    return (command.flags & CommandFlag.Loading) === 0 || NEEDS_DATA.has(command.fullName);
  }

  /**
   * During a pause, and while nothing can be recorded, nothing is evicted: that would be a write, too. Nor while the
   * dataset is loaded.
   */
  private isPaused(): boolean {
    const { control, appendOnly } = this.context.services.state;
    if (this.isLoading || appendOnly.writeError !== 0) return true;
    return control.mayBePaused && control.pauseKind(this.context.nowMs) !== PauseKind.Off;
  }

  /** Whether the command is refused while nothing can be saved. */
  private isStoppable(command: Command): boolean {
    return command.fullName === 'ping' || this.writes(command);
  }

  private refuse(error: string, command: Command | null = null): null {
    const { session, reply } = this.context;
    if (command?.fullName === 'exec') {
      // A refused EXEC ends the transaction all the same.
      session.discardTransaction();
      reply.error(`EXECABORT Transaction discarded because of: ${error.replace(/^ERR /, '')}`);
    } else {
      if (session.queue !== null) session.transactionFailed = true;
      reply.error(error);
    }
    this.statistics.recordError(reply.lastError);
    if (command !== null) this.statistics.rejectedCalls[command.id]++;
    return null;
  }

  /** A browser that was made to send HTTP here: what its body says must not be executed. No reply is sent. */
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

  private unknownCommand(): string {
    const { context } = this;
    let shown = '';
    for (let index = 1; index < context.argCount && shown.length < UNKNOWN_ARGUMENTS_BYTES_MAX; index++) {
      shown += `'${context.argQuoted(index).slice(0, UNKNOWN_ARGUMENTS_BYTES_MAX - shown.length)}' `;
    }
    const name = context.argQuoted(0).slice(0, UNKNOWN_ARGUMENTS_BYTES_MAX);
    return `ERR unknown command '${name}', with args beginning with: ${shown}`;
  }

  /** Runs a command and counts it. */
  private run(command: Command): void {
    const { context } = this;
    const { reply } = context;
    const errorsBefore = reply.errors;
    context.command = command;
    context.session.lastCommandId = command.id;
    if (!this.isEachTimed && this.isQuick[command.id] === 1) {
      this.countQuick(command);
      this.runLocked(command);
    } else {
      const startedAt = performance.now();
      this.runLocked(command);
      const milliseconds = performance.now() - startedAt;
      this.timedMs += milliseconds;
      // It has begun, and counts when it is done.
      if (context.session.postponed !== null) return;
      this.countTimed(command, milliseconds);
    }
    if (reply.errors !== errorsBefore && reply.errors !== this.errorsCounted) this.countErrors(command);
    if (context.services.state.control.monitorCount !== 0) this.feedMonitors(command);
  }

  private feedMonitors(command: Command): void {
    const { context } = this;
    if ((command.flags & UNMONITORED_FLAGS) === 0) context.services.monitors.append(context, command);
  }

  private countTimed(command: Command, milliseconds: number): void {
    this.statistics.recordCall(command.id, milliseconds * 1e6);
    this.statistics.server[ServerCounter.CommandsProcessed]++;
    noteDuration(this.context, command, milliseconds);
  }

  private countErrors(command: Command): void {
    this.errorsCounted = this.context.reply.errors;
    this.statistics.recordError(this.context.reply.lastError);
    this.statistics.failedCalls[command.id]++;
  }

  /** Locks what the command needs, calls its handler, unlocks. */
  private runLocked(command: Command): void {
    const { context } = this;
    if (command.singleKey > 0) {
      context.selectKey(command.singleKey);
      const { shard } = context;
      shard.lock();
      command.handler(context);
      if ((command.flags & CommandFlag.Write) !== 0) context.keyspace.publishIfMoved(shard);
      this.settle();
      this.journal.commit(true);
      shard.unlock();
      return;
    }
    if (command.keySpecs.length === 0) {
      command.handler(context);
      // What such a command has to record, it has recorded under the locks that it took.
      this.journal.forget();
      return;
    }
    this.markShards(command);
    this.lockMarked();
    command.handler(context);
    this.settle();
    this.unlockMarked();
  }

  /** Has the journal record what the command that has just run did. */
  private settle(): void {
    const { journal, context } = this;
    if (journal.changes === 0) return;
    const { session, bytes, view, pairs, argStart, argCount } = context;
    journal.settle(session.database, bytes, view, pairs, argStart, argCount);
  }

  /** Marks the shards of all keys of the context's request. */
  private markShards(command: Command): void {
    const { context, keyPositions, lockedShards } = this;
    const { keyspace, bytes } = context;
    if (command.allShards) {
      lockedShards.fill(1);
      return;
    }
    keyPositions.collect(command, {
      bytes,
      pairs: context.pairs,
      start: context.argStart,
      count: context.argCount,
    });
    if (keyPositions.reachesOtherKeys) {
      lockedShards.fill(1);
      return;
    }
    for (let index = 0; index < keyPositions.count; index++) {
      const argument = keyPositions.indices[index];
      const slot = keySlot(bytes, context.argOffset(argument), context.argLength(argument));
      lockedShards[slot & keyspace.shardMask] = 1;
    }
  }

  private lockMarked(): void {
    const { lockedShards } = this;
    const { shards } = this.context.keyspace;
    for (let index = 0; index < lockedShards.length; index++)
      if (lockedShards[index] !== 0) shards[index].lock();
  }

  private unlockMarked(): void {
    const { lockedShards } = this;
    const { keyspace } = this.context;
    this.journal.commit(true);
    for (let index = 0; index < lockedShards.length; index++) {
      if (lockedShards[index] === 0) continue;
      lockedShards[index] = 0;
      keyspace.publishIfMoved(keyspace.shards[index]);
      keyspace.shards[index].unlock();
    }
  }

  /**
   * Runs a session's queued commands as one transaction: the shards of all their keys, and of all
   * watched keys, are locked until the last one is done. `isStillValid` is asked under the locks.
   */
  executeTransaction(session: Session, isStillValid: () => boolean): void {
    const { context } = this;
    const { reply, bytes, view, pairs, argStart, argCount } = context;
    const queue = session.queue ?? [];
    for (const { shard } of session.watched) this.lockedShards[shard.index] = 1;
    for (const queued of queue) {
      this.setRequest(queued.bytes, queued.view, queued.args, 0, queued.argCount);
      this.markShards(queued.command);
    }
    this.lockMarked();
    if (isStillValid()) {
      reply.array(queue.length);
      context.inTransaction = true;
      for (const queued of queue) {
        this.setRequest(queued.bytes, queued.view, queued.args, 0, queued.argCount);
        context.command = queued.command;
        const errorsBefore = reply.errors;
        const startedAt = performance.now();
        queued.command.handler(context);
        // A command without keys has recorded by itself what there is to record.
        if (queued.command.keySpecs.length === 0) this.journal.forget();
        else this.settle();
        context.isMidTransaction = true;
        this.countTimed(queued.command, performance.now() - startedAt);
        if (reply.errors !== errorsBefore) this.countErrors(queued.command);
        if (context.services.state.control.monitorCount !== 0) this.feedMonitors(queued.command);
      }
      context.inTransaction = false;
      context.isMidTransaction = false;
    } else {
      reply.nullArray();
    }
    this.unlockMarked();
    this.setRequest(bytes, view, pairs, argStart, argCount);
  }

  private setRequest(
    bytes: Uint8Array,
    view: DataView,
    pairs: Int32Array,
    start: number,
    count: number,
  ): void {
    const { context } = this;
    context.bytes = bytes;
    context.view = view;
    context.pairs = pairs;
    context.argStart = start;
    context.argCount = count;
    context.knownKeyOffset = -1;
  }
}

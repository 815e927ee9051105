/**
 * Runs the commands of a batch: checks them, locks the shards of their keys in ascending order, calls the handler, ends
 * the hold. The checks that may refuse a command are in command-checks.ts, the choice of shards in shard-locks.ts, the
 * counting in command-timer.ts.
 */

import { allowsKey } from '../access/permission.js';
import type { Journal } from '../journal/journal.js';
import { lockUnlessBusy } from '../keyspace/deferred-work.js';
import type { Attention } from '../memory/attention.js';
import type { LockOrder } from '../memory/lock-order.js';
import { ScriptRunsLong } from '../memory/lock-order.js';
import type { RequestParser } from '../protocol/request-parser.js';
import { DenialContext } from '../state/access-log.js';
import type { ControlBlock } from '../state/control-block.js';
import { releasePages } from '../system/page-release.js';
import { Refusal } from './access-check.js';
import { refusalErrorInExec } from './access-control.js';
import { Batch } from './batch.js';
import { CommandChecks } from './command-checks.js';
import { CommandTimer } from './command-timer.js';
import type { CommandContext } from './context.js';
import { LogReplay } from './log-replay.js';
import { ReadTracking } from './read-tracking.js';
import { ScriptRunner } from './scripts/script-runner.js';
import { ReplyMode, type Session } from './session.js';
import type { ShardLocks } from './shard-locks.js';
import { type Command, CommandFlag, CommandTrait, isQuick, onlyKey } from './table/command-table.js';
import { type QueuedCommand, queueCommand } from './transactions.js';

/** Replies of a batch that are longer than this are sent before its next command runs. */
const FLUSH_BYTES = 64 * 1024;

/** Limits of one hold of a lock: commands, and arguments of all of them. */
const STRETCH_COMMANDS_MAX = 32;
const STRETCH_ARGUMENTS_MAX = 512;

/** Not shown to monitors here: administrative commands are private, scripts append their own line. */
const UNMONITORED_FLAGS = CommandFlag.Admin | CommandFlag.SkipMonitor;

export class Executor {
  readonly checks: CommandChecks;
  readonly logReplay: LogReplay;
  private readonly context: CommandContext;
  private readonly journal: Journal;
  private readonly control: ControlBlock;
  private readonly batch: Batch;
  private readonly timer: CommandTimer;
  private readonly locks: ShardLocks;
  private readonly readTracking: ReadTracking;
  private readonly lockOrder: LockOrder;
  private readonly attention: Attention;
  private readonly worker: number;
  /** The attention version that `heed` handled last; -1: all conditions have to be checked again. */
  private heeded = -1;
  /** No condition of the whole process (loading, pause, MONITOR …) can affect a simple command. */
  private isProcessUnhindered = false;
  /** The pauses that the running command has been checked against (`ControlBlock.pauseGeneration`). */
  private pauseGeneration = 0;
  /** After `executeBatch`: the client was sent so much that others have their turn before the rest of its commands. */
  mustPause = false;

  constructor(context: CommandContext) {
    this.context = context;
    this.journal = context.keyspace.journal;
    this.control = context.services.state.control;
    this.attention = context.services.state.attention;
    this.worker = context.services.workerIndex;
    this.batch = new Batch(context);
    this.timer = new CommandTimer(context);
    this.checks = new CommandChecks(context, this.timer);
    this.locks = context.locks;
    this.readTracking = new ReadTracking(context);
    this.logReplay = new LogReplay(context, this.batch);
    this.lockOrder = context.keyspace.lockOrder;
    context.scripts = new ScriptRunner(context, this, this.timer, this.readTracking);
  }

  /** Runs the commands that `parser` found in `bytes`. Returns how many were run: fewer if the session closes. */
  executeBatch(session: Session, bytes: Uint8Array, view: DataView, parser: RequestParser): number {
    const { context, batch } = this;
    const count = parser.commandCount;
    this.begin(session);
    this.timer.beginBatch(count);
    batch.begin(bytes, view, parser, 0, count, session.database);
    // Before `isSimple`, which asks whether this server takes writes: this learns of it.
    let isUnhindered = this.isUnhindered(session);
    this.mustPause = false;
    let index = 0;
    while (index < count) {
      if (isUnhindered && this.isSimple(index) && this.hasRoom(index, count)) {
        const next = this.runStretch(index, count);
        if (next === index) isUnhindered = false;
        index = next;
      } else {
        batch.select(index);
        this.execute(batch.commands[index++]);
        if (session.closing || session.postponed !== null) break;
        isUnhindered = this.isUnhindered(session);
      }
      const { reply } = context;
      if (reply.size > FLUSH_BYTES || reply.spilledBytes > 0 || reply.overflowed) {
        this.mustPause = !context.services.flush(session);
        if (this.mustPause) break;
        this.timer.forgetEnd();
      }
    }
    this.timer.endBatch();
    return index;
  }

  private begin(session: Session): void {
    this.context.session = session;
    this.context.keyspace.gate.originClient = session.clientSlot;
  }

  /** Whether no check can apply that depends on the command: no MULTI, pause, MONITOR, loading or write errors. */
  private isUnhindered(session: Session): boolean {
    // Read before the attention: a pause raises the attention first, then moves the generation on.
    this.pauseGeneration = this.control.pauseGeneration;
    const attention = this.attention.version(this.worker);
    if (attention !== this.heeded) this.heed(attention);
    return (
      this.isProcessUnhindered &&
      session.queue === null &&
      session.authenticated &&
      session.replyMode === ReplyMode.On &&
      !session.isMonitor &&
      session.subscribed === null &&
      session.tracking === null &&
      !this.timer.isEachTimed
    );
  }

  /** Checks the conditions of the whole process again. */
  private heed(attention: number): void {
    const { control } = this;
    const { persistence, appendOnly, replication } = this.context.services.state;
    this.heeded = attention;
    this.batch.refusesWrites = replication.isReplica || this.context.services.config.needsReplicas;
    this.isProcessUnhindered =
      !replication.isStale &&
      !this.checks.isLoading &&
      !control.mayBePaused &&
      this.lockOrder.slowScripts === 0 &&
      control.monitorCount === 0 &&
      !persistence.hasFailed &&
      appendOnly.writeError === 0;
  }

  /** Called when this thread's configuration, or its view of whether the dataset is being loaded, has changed. */
  conditionsChanged(): void {
    this.heeded = -1;
  }

  /** Makes room, if need be, for the commands from `first` on that may run under one lock hold; false if it can't. */
  private hasRoom(first: number, count: number): boolean {
    if (this.context.keyspace.settings.maxMemoryBytes === 0) return true;
    return this.checks.hasRoom(this.batch.neededBytes(first, Math.min(count, first + STRETCH_COMMANDS_MAX)));
  }

  /** Whether a command of the batch is simple, and the user may run it. */
  private isSimple(index: number): boolean {
    const { batch, context } = this;
    if (!batch.isSimple(index)) return false;
    const { session } = context;
    if (!session.isRestricted) return true;
    const command = batch.commands[index] as Command;
    const { selector } = session;
    if (selector === null || command.keyPermission < 0) {
      batch.select(index);
      return context.services.access.allows(session, command, context.request);
    }
    const { args, commandArgStart, commandArgCount } = batch.parser;
    const key = 2 * (commandArgStart[index] + onlyKey(command, commandArgCount[index]));
    return (
      selector.commands.has(command.id) &&
      allowsKey(selector, command.keyPermission, context.bytes, args[key], args[key + 1])
    );
  }

  /**
   * Runs simple commands from `first` on that are on the same shard, under one hold of its lock: otherwise many
   * connections that use one key would pass its lock back and forth with each command. Returns the index after the
   * last; `first` if a pause has begun, or a slow script has the lock.
   */
  private runStretch(first: number, count: number): number {
    const { context, batch, timer } = this;
    const { session, reply, keyspace } = context;
    const { lookAhead, commands } = batch;
    const { shards, repeatsKey, keyOffsets } = lookAhead;
    const { ready } = keyspace.gate;
    const shard = shards[first];
    const end = Math.min(count, first + STRETCH_COMMANDS_MAX);
    let index = first;
    let argumentsDone = 0;
    if (!lockUnlessBusy(shard)) return first;
    if (this.control.pauseGeneration !== this.pauseGeneration) {
      shard.unlock();
      return first;
    }
    lookAhead.readMembers(first, end, session.database, context.bytes, context.view, batch.parser);
    context.forgetSlot();
    do {
      const command = commands[index] as Command;
      batch.select(index);
      if (repeatsKey[index] === 1) context.knownSlot = context.slotLeft(keyOffsets[index - 1]);
      context.command = command;
      session.lastCommandId = command.id;
      const errorsBefore = reply.errors;
      const start = reply.written;
      timer.countQuick(command);
      command.handler(context);
      this.settle();
      this.journal.commit(true);
      timer.noteSizes(command, start);
      timer.countErrors(command, errorsBefore);
      argumentsDone += context.argCount;
      index++;
    } while (
      index < end &&
      argumentsDone < STRETCH_ARGUMENTS_MAX &&
      shards[index] === shard &&
      // Clients that wait for a key that has become ready are served before the next command.
      ready.length === 0 &&
      reply.size <= FLUSH_BYTES &&
      reply.spilledBytes === 0 &&
      this.isSimple(index)
    );
    keyspace.endStretch(shard, 0);
    return index;
  }

  /** Runs a command that CLIENT PAUSE held back, or resumes one whose postponed work is done. */
  executePostponed(session: Session, postponed: QueuedCommand): void {
    const { context } = this;
    this.begin(session);
    session.postponed = null;
    this.timer.beginBatch(1);
    context.select(postponed.request);
    if (session.postponedWork !== null) this.goOn(session, postponed);
    else this.execute(context.table.lookup(context.bytes, context.argOffset(0), context.argLength(0)));
    this.timer.endBatch();
    if (session.postponed === null) releasePages(postponed.request.bytes);
  }

  /** Resumes a command that has begun: it is not checked again. */
  private goOn(session: Session, postponed: QueuedCommand): void {
    const { reply } = this.context;
    const start = reply.hold();
    try {
      this.run(postponed.command, false);
    } catch (error) {
      if (!(error instanceof ScriptRunsLong)) throw error;
      // It is resumed once the script has ended.
      session.postponed = postponed;
    }
    if (session.postponed !== null || session.replyMode === ReplyMode.On) return;
    reply.length = Math.min(start, reply.length);
    if (session.replyMode !== ReplyMode.Off) session.replyMode = ReplyMode.On;
  }

  /** Counts a command whose client had to wait for keys and has been served. `error`: the first word of its error, '' for none. */
  countServed(
    session: Session,
    { command, request }: QueuedCommand,
    milliseconds: number,
    error: string,
  ): void {
    const { context } = this;
    context.session = session;
    context.select(request);
    this.timer.countTimed(command, milliseconds);
    if (error !== '') this.timer.countError(command, error);
  }

  /** An empty request: CLIENT REPLY SKIP counts it as the command whose reply is skipped. */
  skipEmpty(session: Session): void {
    const { replyMode } = session;
    if (replyMode === ReplyMode.SkipNext || replyMode === ReplyMode.Skip) session.replyMode = ReplyMode.On;
  }

  /** Checks and runs one command whose request the context holds. */
  private execute(command: Command | null): void {
    const { session, reply } = this.context;
    if (session.replyMode !== ReplyMode.On) {
      this.executeSilently(command);
      return;
    }
    const resolved = this.checks.check(command);
    if (resolved !== null && this.queueOrRun(resolved)) reply.simple('QUEUED');
    if (session.tracking?.isCachingSet) this.endCaching(command);
  }

  /** Ends the effect of CLIENT CACHING, which holds for one command, or for one transaction. */
  private endCaching(command: Command | null): void {
    const { session } = this.context;
    if (command !== null && (command.traits & CommandTrait.KeepsCaching) !== 0) return;
    if (session.tracking !== null && session.queue === null) session.tracking.isCachingSet = false;
  }

  /** For CLIENT REPLY OFF and SKIP: checks and runs a command, and discards its reply. */
  private executeSilently(command: Command | null): void {
    const { session, reply } = this.context;
    const mode = session.replyMode;
    const start = reply.hold();
    if (mode === ReplyMode.SkipNext) session.replyMode = ReplyMode.Skip;
    const resolved = this.checks.check(command);
    if (resolved !== null) this.queueOrRun(resolved);
    if (session.tracking?.isCachingSet) this.endCaching(command);
    if (session.postponed !== null) {
      session.replyMode = mode;
      return;
    }
    // CLIENT REPLY ON is the one command whose own reply is sent.
    if (session.replyMode === ReplyMode.On) return;
    if (resolved === null || (resolved.traits & CommandTrait.Pushes) === 0) {
      reply.length = Math.min(start, reply.length);
    }
    if (session.replyMode === ReplyMode.Skip) session.replyMode = ReplyMode.On;
  }

  /** Postpones, queues or runs a command that is not refused. Returns whether it was queued. */
  private queueOrRun(command: Command): boolean {
    const { context, control } = this;
    const { session } = context;
    for (;;) {
      this.pauseGeneration = control.pauseGeneration;
      if (this.checks.isPaused(command)) {
        this.postpone(command);
        return false;
      }
      if (session.queue !== null && (command.traits & CommandTrait.Immediate) === 0) {
        queueCommand(context, command);
        return true;
      }
      if (this.tryToRun(command)) return false;
    }
  }

  /** `run`, unless a slow script has a lock that the command needs: then the reply is BUSY. */
  private tryToRun(command: Command): boolean {
    const { context } = this;
    const start = context.reply.length;
    try {
      return this.run(command, true);
    } catch (error) {
      if (!(error instanceof ScriptRunsLong)) throw error;
      context.reply.length = Math.min(start, context.reply.length);
      this.journal.forget();
      this.checks.refuseBusy(command);
      return true;
    }
  }

  /** Whether CLIENT PAUSE holds back a command that already has its locks; if so, postpones it in the session. */
  isHeldBack(command: Command): boolean {
    if (!this.hasPauseBegun) return false;
    this.pauseGeneration = this.control.pauseGeneration;
    if (!this.checks.isPaused(command)) return false;
    this.postpone(command);
    return true;
  }

  /** Keeps the command in the session until the pause is over. */
  private postpone(command: Command): void {
    const { context } = this;
    context.session.postponed = { command, request: context.request.copy() };
  }

  /** Runs a command and counts it. Returns false, with nothing done, if `heedsPause` and a pause has begun meanwhile. */
  private run(command: Command, heedsPause: boolean): boolean {
    const { context, timer } = this;
    const errorsBefore = context.reply.errors;
    const start = context.reply.written;
    context.command = command;
    context.session.lastCommandId = command.id;
    if (!timer.isEachTimed && isQuick(command, context.argCount)) {
      if (!this.runLocked(command, heedsPause, 0)) return false;
      if (context.session.postponed === null) timer.countQuick(command);
    } else {
      const startedAt = timer.beginTimed();
      const hasRun = this.runLocked(command, heedsPause, startedAt);
      const milliseconds = timer.endTimed(startedAt);
      timer.leaveOut(milliseconds);
      if (!hasRun) return false;
      // A postponed command has only begun; it is counted when it is done.
      if (context.session.postponed !== null) {
        if (context.session.isWaiting && this.control.monitorCount !== 0) this.feedMonitors(command);
        return true;
      }
      timer.countTimed(command, milliseconds);
    }
    timer.noteSizes(command, start);
    timer.countErrors(command, errorsBefore);
    if (this.control.monitorCount !== 0) this.feedMonitors(command);
    return true;
  }

  /** Whether nothing that a command is followed by, the slow log and MONITOR, could wait while a lock is kept. */
  private get mayKeepLock(): boolean {
    return this.control.monitorCount === 0 && !this.timer.isLogFine;
  }

  private feedMonitors(command: Command): void {
    const { context } = this;
    if ((command.flags & UNMONITORED_FLAGS) === 0) context.services.monitors.append(context, command);
  }

  /** Locks what the command needs, calls its handler, ends the hold. Returns false, with nothing done, as `run`. */
  private runLocked(command: Command, heedsPause: boolean, startedAtMs: number): boolean {
    const { context, locks } = this;
    const { keyspace } = context;
    const key = onlyKey(command, context.argCount);
    if (key > 0) {
      context.selectKey(key);
      const { shard } = context;
      shard.lock();
      if (heedsPause && this.hasPauseBegun) {
        shard.unlock();
        return false;
      }
      command.handler(context);
      this.settle();
      if (context.session.tracking !== null) this.readTracking.note(command);
      if (this.mayKeepLock) keyspace.endStretch(shard, startedAtMs);
      else keyspace.endHold(shard, true);
      return true;
    }
    if ((command.traits & CommandTrait.RunsScript) !== 0) {
      command.handler(context);
      return true;
    }
    // Such a command may wait for a disk or a thread: it must not keep a shard's lock meanwhile.
    keyspace.keptLock.letGo();
    const locksAll = (command.traits & CommandTrait.LocksAll) !== 0;
    if (command.keySpecs.length === 0 && !locksAll) {
      command.handler(context);
      // Such a command has already recorded its effects, under the locks that it took by itself.
      this.journal.forget();
      return true;
    }
    locks.lockFor(command, context.request, context.session.database);
    const isPaused = heedsPause && this.hasPauseBegun;
    if (!isPaused) {
      command.handler(context);
      this.settle();
      if (context.session.tracking !== null) this.readTracking.note(command);
    }
    locks.release();
    return !isPaused;
  }

  /** Whether a pause has begun since the running command was checked. Exact under a lock that the command needs. */
  private get hasPauseBegun(): boolean {
    return this.control.pauseGeneration !== this.pauseGeneration;
  }

  /** Has the journal record what the command that has just run did. */
  private settle(): void {
    const { journal, context } = this;
    if (journal.changes === 0) {
      // The command may have called `journal.settled` although it changed nothing: resets that.
      journal.forget();
      return;
    }
    const { bytes, view, pairs, start, count } = context.request;
    journal.settle(context.session.database, bytes, view, pairs, start, count);
  }

  /**
   * Runs a session's queued commands as one transaction: the shards of all their keys, and of all watched keys, are
   * locked until the last one is done. `isStillValid` is asked under the locks. Returns false if a pause that has just
   * begun holds the transaction back: the session has it postponed.
   */
  executeTransaction(session: Session, isStillValid: () => boolean): boolean {
    const { context, locks } = this;
    const { request, command, reply } = context;
    const queue = session.queue ?? [];
    // A script in the transaction may need further locks later, and wait for them: that takes the right.
    const takesRight = queue.some(({ command: { traits } }) => (traits & CommandTrait.RunsScript) !== 0);
    if (takesRight) this.lockOrder.takeRight();
    try {
      for (const { shard } of session.watched) locks.mark(shard);
      for (const queued of queue) locks.markKeys(queued.command, queued.request);
      locks.readAhead(session.database);
      locks.lock();
    } catch (error) {
      if (takesRight) this.lockOrder.keepOrReleaseRight();
      throw error;
    }
    if (this.isHeldBack(command)) {
      locks.release();
      if (takesRight) this.lockOrder.keepOrReleaseRight();
      return false;
    }
    const start = reply.length;
    if (isStillValid()) {
      reply.array(queue.length);
      this.takeBackIfSilent(start);
      context.inTransaction = true;
      this.timer.noteEnd();
      for (const queued of queue) this.runQueued(queued);
      context.inTransaction = false;
      context.isMidTransaction = false;
    } else {
      reply.nullArray();
    }
    locks.release();
    if (takesRight) this.lockOrder.keepOrReleaseRight();
    context.select(request);
    return true;
  }

  private runQueued({ command, request }: QueuedCommand): void {
    const { context, timer } = this;
    const { reply } = context;
    context.select(request);
    context.command = command;
    if (context.session.isRestricted && this.isDeniedNow(command)) return;
    const start = reply.length;
    const writtenBefore = reply.written;
    const errorsBefore = reply.errors;
    const startedAt = timer.beginTimed();
    command.handler(context);
    // A command without keys, or one that runs a script, has already recorded its effects.
    if (command.keySpecs.length === 0 || (command.traits & CommandTrait.RunsScript) !== 0)
      this.journal.forget();
    else this.settle();
    if (context.session.tracking !== null) this.readTracking.note(command);
    context.isMidTransaction = true;
    timer.countTimed(command, timer.endTimed(startedAt));
    timer.noteSizes(command, writtenBefore);
    timer.countErrors(command, errorsBefore);
    if ((command.traits & CommandTrait.Pushes) === 0) this.takeBackIfSilent(start);
    if (this.control.monitorCount !== 0) this.feedMonitors(command);
  }

  /** Whether the user has lost the right to run a queued command; if so, replies with the error. */
  private isDeniedNow(command: Command): boolean {
    const { session, request, reply, services } = this.context;
    const refusal = services.access.checkAccess(session, command, request, DenialContext.Multi);
    if (refusal === Refusal.None) return false;
    const start = reply.length;
    reply.error(refusalErrorInExec(refusal));
    this.timer.countRefused(null);
    this.takeBackIfSilent(start);
    return true;
  }

  /** Counts as refused a command whose client waited for keys and lost the right to them meanwhile. */
  countDenied(session: Session, { command, request }: QueuedCommand): void {
    const { context } = this;
    context.session = session;
    context.select(request);
    this.timer.countRefused(command);
  }

  /** Discards what was replied since `start` if CLIENT REPLY is OFF or SKIP now. */
  private takeBackIfSilent(start: number): void {
    const { session, reply } = this.context;
    if (session.replyMode === ReplyMode.Off || session.replyMode === ReplyMode.Skip) {
      reply.length = Math.min(start, reply.length);
    }
  }
}

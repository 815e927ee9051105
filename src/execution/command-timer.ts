/**
 * Statistics of the commands of one worker: how often each ran, for how long, and how it failed.
 *
 * Reading the clock twice per command would cost a good part of what a quick command takes, so the quick commands of a
 * batch share its time equally. Any other is timed by itself; it begins when the one before it has ended, unless quick
 * commands came between, so that takes one reading.
 */

import { performance } from 'node:perf_hooks';
import { MAX_BATCH_COMMANDS } from '../protocol/request-parser.js';
import { ServerCounter, type WorkerStatistics } from '../state/command-statistics.js';
import { noteDuration, noteSizes, requestBytesMax } from './command-logs.js';
import type { CommandContext } from './context.js';
import type { Session } from './session.js';
import type { Command } from './table/command-table.js';

/** Commands of a batch up to which each is timed by itself. */
const TIMED_COMMANDS_MAX = 2;
/** With a slow log threshold below this, each command is timed by itself. */
const SHARED_TIME_MICROSECONDS_MIN = 1000;
/** Larger requests and replies are looked at closely in any case; a number that V8 keeps in a register. */
const SIZE_CHECK_BYTES_MAX = 2 ** 30 - 1;

export class CommandTimer {
  private readonly context: CommandContext;
  private readonly statistics: WorkerStatistics;
  /** `reply.errors` when errors were last counted, so that EXEC does not count its commands' errors a second time. */
  private errorsCounted = 0;
  /** Quick commands of the running batch, counted by id. */
  private readonly batchCalls: Int32Array;
  private readonly batchIds = new Int32Array(MAX_BATCH_COMMANDS);
  private batchIdCount = 0;
  private batchCommands = 0;
  /** When the running batch began, in ms of the monotonic clock. */
  private startedAt = 0;
  /** Time taken by the commands of the batch that were timed by themselves. */
  private timedMs = 0;
  /** When the last command ended that was timed by itself, and the quick commands of the batch up to then. */
  private endedAt = 0;
  private quickUntilEnd = -1;
  /** Every command of the batch is timed by itself. */
  isEachTimed = false;
  /** Sizes from which a request or a reply is checked closely for the logs of large ones. */
  private largeRequestBytes = SIZE_CHECK_BYTES_MAX;
  private largeReplyBytes = SIZE_CHECK_BYTES_MAX;

  constructor(context: CommandContext) {
    this.context = context;
    this.statistics = context.services.state.counters;
    this.batchCalls = new Int32Array(context.table.size);
  }

  /** Whether the threshold of the slow log is so low that each command has to be timed by itself. */
  get isLogFine(): boolean {
    const slowerThan = this.context.services.config.slowLogSlowerThanMicroseconds;
    return slowerThan >= 0 && slowerThan < SHARED_TIME_MICROSECONDS_MIN;
  }

  beginBatch(commandCount: number): void {
    const { config } = this.context.services;
    this.largeRequestBytes = sizeToCheck(config.largeRequestBytes);
    this.largeReplyBytes = sizeToCheck(config.largeReplyBytes);
    this.isEachTimed = commandCount <= TIMED_COMMANDS_MAX || this.isLogFine;
    this.timedMs = 0;
    this.forgetEnd();
    if (!this.isEachTimed) this.startedAt = performance.now();
  }

  /** Begins to time a command. Returns when it begins, in ms, for `endTimed`. */
  beginTimed(): number {
    return this.quickUntilEnd === this.batchCommands ? this.endedAt : performance.now();
  }

  /** Ends timing a command. Returns how long it took, in ms. */
  endTimed(startedAt: number): number {
    this.noteEnd();
    return this.endedAt - startedAt;
  }

  /** The next command begins now, even if nothing was timed before it. */
  noteEnd(): void {
    this.endedAt = performance.now();
    this.quickUntilEnd = this.batchCommands;
  }

  /** Something else is done now, which is no part of the next command. */
  forgetEnd(): void {
    this.quickUntilEnd = -1;
  }

  /** Shares out the time of the batch among its quick commands. */
  endBatch(): void {
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

  /** Counts a quick command of the batch. */
  countQuick({ id }: Command): void {
    this.batchCommands++;
    if (this.batchCalls[id]++ !== 0) return;
    if (this.batchIdCount === MAX_BATCH_COMMANDS) {
      this.batchCalls[id] = 0;
      this.statistics.recordCalls(id, 1, 0);
      return;
    }
    this.batchIds[this.batchIdCount++] = id;
  }

  /** Counts a command that was timed by itself, outside the time of the batch. */
  countTimed(command: Command, milliseconds: number): void {
    this.statistics.recordCall(command.id, milliseconds * 1e6);
    this.statistics.server[ServerCounter.CommandsProcessed]++;
    noteDuration(this.context, command, milliseconds);
  }

  /** Logs the command that has just run if its request is large, or its reply, which begins at `replyStart`. */
  noteSizes(command: Command, replyStart: number): void {
    const { context } = this;
    const replyBytes = context.reply.written - replyStart;
    if (replyBytes < this.largeReplyBytes && requestBytesMax(context.request) < this.largeRequestBytes)
      return;
    noteSizes(context, command, replyBytes);
  }

  /** Notes a command that the script of a client has called, if it took long. */
  noteCall(caller: Session, command: Command, milliseconds: number): void {
    noteDuration(this.context, command, milliseconds, caller);
  }

  /** Counts a script's calls of a command. */
  countCalls(id: number, calls: number, milliseconds: number): void {
    this.statistics.recordCalls(id, calls, milliseconds * 1e6);
    this.statistics.server[ServerCounter.CommandsProcessed] += calls;
  }

  /** Counts a script as failed, but not its error: that was counted for the command that caused it. */
  countScriptFailure(command: Command): void {
    this.errorsCounted = this.context.reply.errors;
    this.statistics.failedCalls[command.id]++;
  }

  /** Excludes so much time from what the quick commands of the batch share. */
  leaveOut(milliseconds: number): void {
    this.timedMs += milliseconds;
  }

  /** Counts a command's error if it has replied one since `errorsBefore`. */
  countErrors(command: Command, errorsBefore: number): void {
    const { reply } = this.context;
    if (reply.errors === errorsBefore || reply.errors === this.errorsCounted) return;
    this.errorsCounted = reply.errors;
    this.countError(command, reply.lastError);
  }

  /** Counts an error of a command; `error` is its first word. */
  countError(command: Command, error: string): void {
    this.statistics.recordError(error);
    this.statistics.failedCalls[command.id]++;
  }

  /** Counts a command that was refused. Its error is the last one that was replied. */
  countRefused(command: Command | null): void {
    this.statistics.recordError(this.context.reply.lastError);
    if (command !== null) this.statistics.rejectedCalls[command.id]++;
  }
}

/** The size from which a request or reply is checked closely; `limitBytes` is negative for no limit. */
function sizeToCheck(limitBytes: number): number {
  return limitBytes < 0 ? SIZE_CHECK_BYTES_MAX : Math.min(limitBytes, SIZE_CHECK_BYTES_MAX);
}

/**
 * Runs scripts and functions: takes their locks, lets the engine run, and runs the commands that they call, with the
 * handlers that clients' commands have. A script is atomic: its locks are held until it has ended, then what it has
 * recorded is appended to the journal as a whole, and clients that wait for keys are served.
 *
 * `checkCommand` is the one place where a script's command may be refused.
 */

import { performance } from 'node:perf_hooks';
import type { Journal } from '../../journal/journal.js';
import { ReplyWriter } from '../../protocol/reply-writer.js';
import { type ScriptArguments, ScriptEngine } from '../../scripting/engine.js';
import { parseScriptHeader, ScriptFlag } from '../../scripting/flags.js';
import type { ScriptHost, ScriptMemory } from '../../scripting/host.js';
import { DenialContext } from '../../state/access-log.js';
import type { ControlBlock } from '../../state/control-block.js';
import { type RunningScripts, ScriptKind } from '../../state/running-scripts.js';
import { wallMicroseconds } from '../../system/clock.js';
import { releasePages } from '../../system/page-release.js';
import { REDIS_VERSION, REDIS_VERSION_NUMBER } from '../../system/version.js';
import { Refusal } from '../access-check.js';
import { refusalErrorInScript } from '../access-control.js';
import { hasArity } from '../command-checks.js';
import type { CommandTimer } from '../command-timer.js';
import type { CommandContext } from '../context.js';
import { NOT_ENOUGH_REPLICAS, OUT_OF_MEMORY, PRIMARY_IS_DOWN, READ_ONLY_REPLICA } from '../errors.js';
import { NO_CONNECTION } from '../no-connection.js';
import type { ReadTracking } from '../read-tracking.js';
import { CommandRequest, NO_REQUEST } from '../request.js';
import { Session } from '../session.js';
import {
  type Command,
  CommandFlag,
  CommandTrait,
  FIRST_SCRIPT_KEY,
  isQuick,
  onlyKey,
} from '../table/command-table.js';
import { MAY_WRITE } from '../transactions.js';
import { whyWritesAreStopped } from '../write-stops.js';
import { type KnownFunction, KnownFunctions } from './known-functions.js';
import { type KnownScript, KnownScripts, type LockNeeds, SHA_DIGITS } from './known-scripts.js';
import { ScriptHold } from './script-hold.js';

/** One of so many quick commands is timed: a prime number, so that each command of a script that runs often has its turn. */
const TIMED_INTERVAL = 31;
/** How much a timed command counts towards what its kind typically takes, and the most that it counts for. */
const TYPICAL_SHARE = 1 / 16;
const TYPICAL_FACTOR_MAX = 4;
/** How often other clients are served while a slow script runs. */
const SERVE_INTERVAL_MS = 5;
const KILLED = '-ERR Script killed by user with SCRIPT KILL...';
/** How long a library may take to load. */
const LOAD_MS_MAX = 500;
const LOAD_TIMEOUT = '-ERR FUNCTION LOAD timeout';
/** Never shown to a client: the script is run again, or the exception that ended it is rethrown. */
const ENDED = 'ERR ended';
/** First byte of a reply that makes the engine ask (`interrupt`) whether the script has to end. */
const ASK = 0;
const JOURNAL_FLAG = 1;
/** Scripts and transactions within scripts: not even DEBUG allows them. */
const NEVER_IN_SCRIPTS = CommandTrait.RunsScript | CommandTrait.RunsQueue | CommandTrait.Immediate;
const UNMONITORED_FLAGS = CommandFlag.Admin | CommandFlag.SkipMonitor;
const LOG_LEVELS = ['debug', 'verbose', 'notice', 'warning'] as const;
const COMMAND_ARGUMENTS_SHOWN = 32;
const ARGUMENT_BYTES_SHOWN = 200;
const MINUS = 0x2d;

/** The part of the executor that scripts use. */
export interface ScriptExecutor {
  /** Whether CLIENT PAUSE holds back a command that already has its locks; if so, postpones it in the session. */
  isHeldBack(command: Command): boolean;
}

/** A call of EVAL or FCALL. */
export interface ScriptCall {
  /** One of these two. */
  readonly script: KnownScript | null;
  readonly called: KnownFunction | null;
  /** Bits of `ScriptFlag`. */
  readonly flags: number;
  readonly needs: LockNeeds;
  /** By EVAL_RO and the like. */
  readonly isReadOnly: boolean;
  readonly keyCount: number;
}

export class ScriptRunner implements ScriptHost {
  readonly scripts: KnownScripts;
  readonly functions: KnownFunctions;
  readonly engine: ScriptEngine;
  private readonly context: CommandContext;
  private readonly executor: ScriptExecutor;
  private readonly timer: CommandTimer;
  private readonly readTracking: ReadTracking;
  private readonly journal: Journal;
  private readonly control: ControlBlock;
  private readonly running: RunningScripts;
  private readonly hold: ScriptHold;
  /** No other thread uses the keyspace: no locks are taken. */
  private readonly isReplaying: boolean;

  private readonly session = new Session(0, NO_CONNECTION, 0);
  private readonly reply = new ReplyWriter(64);
  private readonly request = new CommandRequest(NO_REQUEST.bytes, NO_REQUEST.view, NO_REQUEST.pairs, 0, 0);
  // Of the script that runs.
  private kind = ScriptKind.None;
  private name = '';
  private callRequest = NO_REQUEST;
  private caller!: Session;
  private isReadOnly = false;
  private allowsOom = false;
  private hasWritten = false;
  private isInTransaction = false;
  /** When it began, as far as that was looked at: some ms late at most. -1: not yet. */
  private startMs = -1;
  /** What TIME says in this script; -1: not asked yet. */
  private frozenMicroseconds = -1;
  /** This is a replica without its primary, which is configured not to serve stale data. */
  private needsFreshData = false;
  /** A script runs; if the engine calls `interrupt` otherwise, it loads a library. */
  private isRunning = false;
  private isSlow = false;
  /** The slow log's threshold is so low that every command is timed. */
  private timesAll = false;
  private lastServedMs = 0;
  /** Whether memory is full. -1: not asked yet; 0 no, 1 yes. */
  private memoryState = -1;
  // Its calls by command id, how many of them were timed, and how long these took.
  private readonly calls: Int32Array;
  private readonly timedCalls: Int32Array;
  private readonly timedMs: Float64Array;
  /** The ids of the commands that it has called. */
  private readonly calledIds: Int32Array;
  private calledIdCount = 0;
  /** What a call typically takes, by command id; 0: not known. */
  private readonly typicalMs: Float64Array;
  /** Calls until one is timed. */
  private untilTimed = 0;
  /** Arguments of the script that runs; one object for all. */
  private readonly args: ScriptArguments = {
    bytes: NO_REQUEST.bytes,
    pairs: NO_REQUEST.pairs,
    start: 0,
    keyCount: 0,
    argCount: 0,
  };

  constructor(
    context: CommandContext,
    executor: ScriptExecutor,
    timer: CommandTimer,
    readTracking: ReadTracking,
  ) {
    this.context = context;
    this.executor = executor;
    this.timer = timer;
    this.readTracking = readTracking;
    const { keyspace, table, services } = context;
    this.journal = keyspace.journal;
    this.control = services.state.control;
    this.running = services.state.runningScripts;
    this.hold = new ScriptHold(keyspace, context.locks);
    this.isReplaying = keyspace.settings.isReplaying === true;
    this.engine = new ScriptEngine(this, { version: REDIS_VERSION, versionNumber: REDIS_VERSION_NUMBER });
    this.scripts = new KnownScripts(services.state.scriptCache, this.engine, table);
    this.functions = new KnownFunctions(keyspace.functions, this.engine, () => this.beginLoading());
    this.calls = new Int32Array(table.size);
    this.timedCalls = new Int32Array(table.size);
    this.timedMs = new Float64Array(table.size);
    this.calledIds = new Int32Array(table.size);
    this.typicalMs = new Float64Array(table.size);
  }

  /** The flags of a command that runs a script, changed by the flags of the script. */
  flagsOf(command: Command, request: CommandRequest): number {
    const own = this.scriptFlagsOf(command, request);
    if (isCompatible(own)) return command.flags;
    let flags =
      command.flags &
      ~(CommandFlag.Write | CommandFlag.DenyOom | CommandFlag.Stale | CommandFlag.MayReplicate);
    if ((own & (ScriptFlag.AllowOom | ScriptFlag.NoWrites)) === 0) flags |= CommandFlag.DenyOom;
    if ((own & ScriptFlag.NoWrites) === 0) flags |= CommandFlag.Write;
    if ((own & ScriptFlag.AllowStale) !== 0) flags |= CommandFlag.Stale;
    return flags;
  }

  /** Bits of `ScriptFlag`; only `Compatible` for a script without a header, or an unknown one. */
  private scriptFlagsOf(command: Command, request: CommandRequest): number {
    const offset = request.offset(1);
    const length = request.length(1);
    const { bytes, view } = request;
    if (command.name.startsWith('fcall')) {
      const name = Buffer.from(bytes.buffer, bytes.byteOffset + offset, length).toString('latin1');
      return this.functions.find(name)?.registered.flags ?? ScriptFlag.Compatible;
    }
    if (!command.name.startsWith('evalsha')) {
      const header = parseScriptHeader(bytes.subarray(offset, offset + length));
      return typeof header === 'string' ? ScriptFlag.Compatible : header.flags;
    }
    const script = length === SHA_DIGITS ? this.scripts.bySha(bytes, view, offset) : null;
    return script === null || typeof script === 'string' ? ScriptFlag.Compatible : script.script.flags;
  }

  /** Runs the script or function of the context's request, and replies. */
  run(call: ScriptCall): void {
    const { context, hold } = this;
    const { request, command } = context;
    this.kind = call.script === null ? ScriptKind.Function : ScriptKind.Eval;
    this.name =
      call.script === null ? (call.called as KnownFunction).registered.name : call.script.script.sha;
    this.callRequest = request;
    this.caller = context.session;
    this.isInTransaction = context.inTransaction;
    this.isReadOnly =
      call.isReadOnly || (!isCompatible(call.flags) && (call.flags & ScriptFlag.NoWrites) !== 0);
    this.allowsOom = !isCompatible(call.flags) && (call.flags & ScriptFlag.AllowOom) !== 0;
    this.memoryState = -1;
    const { config, state } = context.services;
    this.needsFreshData = state.replication.isStale && !config.replicaServesStaleData && !this.isReplaying;
    if (this.needsFreshData && isCompatible(call.flags)) {
      context.reply.error(PRIMARY_IS_DOWN);
      return;
    }
    if (this.control.monitorCount !== 0) context.services.monitors.append(context, command);
    const holdsLocks = !this.isReplaying && !this.isInTransaction;
    if (holdsLocks) context.keyspace.keptLock.letLockGo();
    hold.begin(call.needs, this.isInTransaction);
    for (;;) {
      if (holdsLocks) {
        hold.lock(request, request.start + FIRST_SCRIPT_KEY, call.keyCount);
        if (this.executor.isHeldBack(command)) {
          hold.release();
          return;
        }
      }
      const hasReplied = this.runOnce(call);
      if (hold.mustRunAgain) {
        hold.mustRunAgain = false;
        if (holdsLocks) {
          hold.release();
          continue;
        }
      }
      this.putReply(hasReplied);
      if (holdsLocks) hold.release();
      return;
    }
  }

  /** Lets the engine run once. Returns whether it has a reply. */
  private runOnce(call: ScriptCall): boolean {
    const { context, session, reply, engine } = this;
    const { request, command } = context;
    const caller = context.session;
    const callerReply = context.reply;
    const { inTransaction } = context;
    session.database = caller.database;
    session.noTouch = caller.noTouch;
    session.writtenUntil = caller.writtenUntil;
    session.tracking = caller.tracking;
    session.clientSlot = caller.clientSlot;
    session.user = caller.user;
    session.isRestricted = caller.isRestricted;
    reply.protocol = 2;
    context.session = session;
    context.reply = reply;
    context.inTransaction = true;
    context.isInScript = true;
    this.isRunning = true;
    if (!this.isReplaying) this.running.turn(context.services.workerIndex);
    this.hasWritten = false;
    this.frozenMicroseconds = -1;
    this.isSlow = false;
    this.timesAll = !this.isReplaying && this.timer.isLogFine;
    this.startMs = -1;
    const { args } = this;
    args.bytes = request.bytes;
    args.pairs = request.pairs;
    args.start = request.start + FIRST_SCRIPT_KEY;
    args.keyCount = call.keyCount;
    args.argCount = request.count - FIRST_SCRIPT_KEY - call.keyCount;
    const { protocol } = callerReply;
    const hasReplied =
      call.script === null
        ? engine.callFunction((call.called as KnownFunction).library, this.name, args, protocol)
        : engine.run(call.script.script, args, protocol);
    if (this.isSlow) this.endSlow();
    this.journal.isMuted = false;
    context.session = caller;
    context.reply = callerReply;
    context.inTransaction = inTransaction;
    context.isInScript = false;
    this.isRunning = false;
    if (!this.isReplaying) this.running.turn(context.services.workerIndex);
    context.command = command;
    context.select(request);
    session.tracking = null;
    this.countCalls();
    return hasReplied;
  }

  /** Replies with the engine's reply or error. */
  private putReply(hasReplied: boolean): void {
    const { engine, context, timer } = this;
    const { reply } = context;
    if (hasReplied) {
      const { bytes, view } = engine.memory;
      if (bytes[engine.replyStart] === MINUS) reply.noteError(bytes, engine.replyStart + 1);
      reply.rawCopy(bytes, view, engine.replyStart, engine.replyLength);
    } else {
      reply.error(engine.failure);
    }
    if (engine.isCounted) timer.countScriptFailure(context.command);
  }

  // What the engine asks while it runs.

  call(memory: ScriptMemory, pairStart: number, count: number): void {
    const { context, request, reply } = this;
    request.bytes = memory.bytes;
    request.view = memory.view;
    request.pairs = memory.words;
    request.start = pairStart;
    request.count = count;
    reply.lend(memory.reply, memory.replyView);
    context.select(request);
    const command = this.checkCommand();
    if (command !== null) {
      if (!this.takeLocks(command)) {
        memory.reply[0] = ASK;
        return;
      }
      this.runCommand(command);
    }
    if (reply.bytes !== memory.reply) this.putLongReply(memory);
    else if (this.isEnding) memory.reply[0] = ASK;
  }

  /** A reply was too long for the window. */
  private putLongReply(memory: ScriptMemory): void {
    const { reply } = this;
    memory.putReply(reply.bytes, 0, reply.length);
    releasePages(reply.bytes);
  }

  /** The command of the request that the context holds, if the script may run it; null after an error reply. */
  private checkCommand(): Command | null {
    const { context, request } = this;
    const { table } = context;
    let command = table.lookup(request.bytes, request.offset(0), request.length(0));
    if (command !== null && command.subcommands !== null && request.count > 1) {
      command = table.lookupSubcommand(command, request.bytes, request.offset(1), request.length(1));
    }
    if (command === null) return this.refuse('ERR Unknown Redis command called from script', null);
    if (!hasArity(command, request.count)) {
      return this.refuse('ERR Wrong number of args calling Redis command from script', command);
    }
    const { flags } = command;
    const { allowsAnyCommand } = context.services.state.scriptCache;
    if (isForbidden(command) && (!allowsAnyCommand || (command.traits & NEVER_IN_SCRIPTS) !== 0)) {
      return this.refuse('ERR This Redis command is not allowed from script', command);
    }
    if (this.isReplaying) return command;
    if (this.needsFreshData && (flags & CommandFlag.Stale) === 0) {
      return this.refuse('ERR Can not execute the command on a stale replica', command);
    }
    const refusal = this.checkAccess(command);
    if (refusal !== Refusal.None) return this.refuse(refusalErrorInScript(refusal), command);
    if (this.isReadOnly && (flags & MAY_WRITE) !== 0) {
      return this.refuse('ERR Write commands are not allowed from read-only scripts.', command);
    }
    if (this.hasWritten) return command;
    if ((flags & CommandFlag.Write) !== 0) {
      const { state, config } = context.services;
      if (state.replication.isReplica) {
        if (config.replicaReadOnly) return this.refuse(READ_ONLY_REPLICA, command);
      } else if (config.needsReplicas && state.replication.goodReplicas < config.minReplicasToWrite) {
        return this.refuse(NOT_ENOUGH_REPLICAS, command);
      }
      const reason = whyWritesAreStopped(context.services);
      if (reason !== '') return this.refuse(reason, command);
    }
    if ((flags & CommandFlag.DenyOom) !== 0 && !this.allowsOom && this.isOutOfMemory()) {
      return this.refuse(OUT_OF_MEMORY, command);
    }
    return command;
  }

  /** Whether the caller may run a command of the script. */
  private checkAccess(command: Command): Refusal {
    const { caller, context, request, session } = this;
    const { access } = context.services;
    return access.checkAccess(caller, command, request, DenialContext.Script, session.database);
  }

  private refuse(error: string, command: Command | null): null {
    this.reply.error(error);
    this.timer.countRefused(command);
    return null;
  }

  /** Whether memory was full when the script began. */
  private isOutOfMemory(): boolean {
    const { keyspace, services } = this.context;
    if (keyspace.settings.maxMemoryBytes === 0) return false;
    if (this.memoryState < 0)
      this.memoryState = keyspace.isOverLimit(services.state.clients.memoryBytes()) ? 1 : 0;
    return this.memoryState === 1;
  }

  /** Takes the locks for a command, and the right if its write needs it; false if the script must run again or end. */
  private takeLocks(command: Command): boolean {
    const { context, hold, request } = this;
    if (!this.isReplaying) {
      const key = onlyKey(command, request.count);
      if (key > 0) {
        context.selectKey(key);
        const { shard } = context;
        // The handler selects the same key.
        context.knownKeyOffset = context.keyOffset;
        context.knownHash = context.hash;
        context.knownShard = shard;
        if (!context.locks.has(shard) && !hold.reach(shard, this.whileWaiting)) return false;
      } else if (!hold.covers(command, request, this.whileWaiting)) {
        return false;
      }
    }
    if ((command.flags & CommandFlag.Write) === 0 || this.hasWritten) return true;
    if (!this.isReplaying && !hold.beginWriting()) return false;
    this.hasWritten = true;
    return !this.isSlow || this.running.noteWrite(this.context.services.workerIndex);
  }

  private readonly whileWaiting = (): void => {
    this.look();
  };

  private runCommand(command: Command): void {
    const { context, reply, session, timer, calls } = this;
    const { id } = command;
    context.command = command;
    session.lastCommandId = id;
    if (this.control.monitorCount !== 0 && (command.flags & UNMONITORED_FLAGS) === 0) {
      context.services.monitors.append(context, command, 'lua');
    }
    const errorsBefore = reply.errors;
    if (calls[id]++ === 0) this.calledIds[this.calledIdCount++] = id;
    if (!isQuick(command, this.request.count)) {
      this.runTimed(command);
      this.look();
    } else if (--this.untilTimed < 0 || this.timesAll || this.typicalMs[id] === 0) {
      this.untilTimed = TIMED_INTERVAL - 1;
      this.runTimed(command);
    } else {
      command.handler(context);
    }
    this.settle(command);
    if (session.tracking !== null) this.readTracking.note(command);
    if (reply.errors !== errorsBefore) timer.countError(command, reply.lastError);
  }

  private runTimed(command: Command): void {
    const { id } = command;
    const startMs = performance.now();
    if (this.startMs < 0) this.startMs = startMs;
    command.handler(this.context);
    const milliseconds = performance.now() - startMs;
    this.timedMs[id] += milliseconds;
    this.timedCalls[id]++;
    const typicalMs = this.typicalMs[id];
    if (typicalMs === 0) this.typicalMs[id] = milliseconds;
    else
      this.typicalMs[id] +=
        (Math.min(milliseconds, TYPICAL_FACTOR_MAX * typicalMs) - typicalMs) * TYPICAL_SHARE;
    if (!this.isReplaying) this.timer.noteCall(this.caller, command, milliseconds);
  }

  /** Has the journal record what the command has done. */
  private settle(command: Command): void {
    const { journal, session, request } = this;
    if (command.keySpecs.length === 0 || journal.changes === 0) {
      journal.forget();
    } else {
      const { bytes, view, pairs, start, count } = request;
      journal.settle(session.database, bytes, view, pairs, start, count);
    }
  }

  /** Counts the script's commands. */
  private countCalls(): void {
    const { calledIds, calls, timedCalls, timedMs, typicalMs, timer } = this;
    for (let index = 0; index < this.calledIdCount; index++) {
      const id = calledIds[index];
      timer.countCalls(id, calls[id], timedMs[id] + (calls[id] - timedCalls[id]) * typicalMs[id]);
      calls[id] = 0;
      timedCalls[id] = 0;
      timedMs[id] = 0;
    }
    this.calledIdCount = 0;
  }

  private get isEnding(): boolean {
    return this.isSlow && this.running.isKilled(this.context.services.workerIndex) && !this.hasWritten;
  }

  interrupt(): string | undefined {
    if (!this.isRunning) return this.isReplaying || this.isLoadInTime ? undefined : LOAD_TIMEOUT;
    if (this.hold.mustRunAgain) return ENDED;
    this.look();
    if (!this.isEnding) return undefined;
    this.context.services.log('Lua script killed by user with SCRIPT KILL.');
    return KILLED;
  }

  /** Time stands still while a script runs. */
  get startMicroseconds(): number {
    if (this.frozenMicroseconds < 0) this.frozenMicroseconds = wallMicroseconds();
    return this.frozenMicroseconds;
  }

  /** A library is about to be loaded. */
  private beginLoading(): void {
    this.startMs = performance.now();
  }

  private get isLoadInTime(): boolean {
    return performance.now() - this.startMs < LOAD_MS_MAX;
  }

  /** Looks whether the script takes too long; if so, serves other clients now and then, so that they can end it. */
  private look(): void {
    if (this.isReplaying) return;
    const { services } = this.context;
    const nowMs = performance.now();
    if (this.startMs < 0) this.startMs = nowMs;
    if (!this.isSlow) {
      const thresholdMs = services.config.busyReplyThresholdMs;
      if (thresholdMs === 0 || nowMs - this.startMs < thresholdMs) return;
      this.beginSlow(nowMs);
    }
    if (nowMs - this.lastServedMs < SERVE_INTERVAL_MS) return;
    services.serveWhileBusy(this.caller);
    this.lastServedMs = performance.now();
  }

  private beginSlow(nowMs: number): void {
    const { context, running, callRequest } = this;
    const { services, keyspace } = context;
    this.isSlow = true;
    const elapsedMs = nowMs - this.startMs;
    running.begin(
      services.workerIndex,
      this.kind,
      this.name,
      Date.now() - elapsedMs,
      ...describeRequest(callRequest),
      this.hasWritten,
    );
    keyspace.lockOrder.addSlowScripts(1);
    const waiting = 'Slow script detected: still in execution after';
    services.log(
      `${waiting} ${Math.floor(elapsedMs)} milliseconds. You can try killing the script using the ${
        this.kind === ScriptKind.Eval ? 'SCRIPT KILL' : 'FUNCTION KILL'
      } command. Script name is: ${this.name}.`,
      'warning',
    );
  }

  private endSlow(): void {
    const { context, running } = this;
    this.isSlow = false;
    running.end(context.services.workerIndex);
    context.keyspace.lockOrder.addSlowScripts(-1);
  }

  mayCall(memory: ScriptMemory, pairStart: number, count: number): boolean | undefined {
    const { table } = this.context;
    const offset = memory.words[2 * pairStart];
    let command = table.lookup(memory.bytes, offset, memory.words[2 * pairStart + 1]);
    if (command !== null && command.subcommands !== null && count > 1) {
      const pair = 2 * pairStart + 2;
      command = table.lookupSubcommand(command, memory.bytes, memory.words[pair], memory.words[pair + 1]);
    }
    if (command === null) return undefined;
    const request = new CommandRequest(memory.bytes, memory.view, memory.words, pairStart, count);
    return this.context.services.access.allows(this.session, command, request);
  }

  log(level: number, text: Uint8Array): void {
    const { buffer, byteOffset, length } = text;
    this.context.services.log(Buffer.from(buffer, byteOffset, length).toString('utf8'), LOG_LEVELS[level]);
  }

  setProtocol(protocol: 2 | 3): void {
    this.reply.protocol = protocol;
  }

  setReplication(flags: number): void {
    this.journal.isMuted = (flags & JOURNAL_FLAG) === 0;
  }
}

function isCompatible(flags: number): boolean {
  return (flags & ScriptFlag.Compatible) !== 0;
}

/** Whether scripts may not call a command. Blocking commands may be called: they do not block in a script. */
function isForbidden(command: Command): boolean {
  const { flags, traits } = command;
  if ((flags & CommandFlag.Noscript) === 0) return false;
  return (flags & CommandFlag.Blocking) === 0 && (traits & CommandTrait.InScripts) === 0;
}

/** The first arguments of a request in RESP, as FUNCTION STATS shows them, and how many there are. */
function describeRequest(request: CommandRequest): [Uint8Array, number] {
  const parts: Uint8Array[] = [];
  const count = Math.min(request.count, COMMAND_ARGUMENTS_SHOWN);
  for (let index = 0; index < count; index++) {
    const offset = request.offset(index);
    const argument = request.bytes.subarray(
      offset,
      offset + Math.min(request.length(index), ARGUMENT_BYTES_SHOWN),
    );
    parts.push(Buffer.from(`$${argument.length}\r\n`, 'latin1'), argument, Buffer.from('\r\n', 'latin1'));
  }
  return [Buffer.concat(parts), count];
}

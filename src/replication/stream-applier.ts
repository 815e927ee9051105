/**
 * Applies the stream of a primary: runs its commands as effects, under the locks of what they change, and puts their
 * bytes into this server's own journal under the same locks. So a reader of the journal gets the primary's stream byte
 * for byte, offsets agree along a chain of replicas, and a snapshot of any moment has the offset of that moment. A
 * transaction is one hold of all its locks: no client sees a part of it.
 */

import { Batch } from '../execution/batch.js';
import { hasArity } from '../execution/command-checks.js';
import { CommandTimer } from '../execution/command-timer.js';
import type { CommandContext } from '../execution/context.js';
import type { Session } from '../execution/session.js';
import { type Command, CommandFlag } from '../execution/table/command-table.js';
import type { QueuedCommand } from '../execution/transactions.js';
import { whyWritesAreStopped } from '../execution/write-stops.js';
import { ParseState, ParseStatus, RequestParser } from '../protocol/request-parser.js';
import type { ReplicationState } from '../state/replication-state.js';
import type { Log } from '../system/log.js';

const BUFFER_BYTES = 256 * 1024;
const BULK_BYTES_MAX = 2 ** 31 - 1;
/** Simple commands that are run under one hold of their locks, at most: clients wait for these. */
const STRETCH_COMMANDS_MAX = 16;
/** Minimum time between two log lines about commands that failed. */
const LOG_INTERVAL_MS = 1000;

/** Why the link to the primary has to be given up, as it is logged. */
export class LinkError extends Error {}

export class ProtocolError extends LinkError {
  constructor(problem: string) {
    super(`Protocol error from the primary: ${problem}`);
  }
}

export interface StreamEvents {
  /** The primary wants to know how far this replica is. */
  onAckWanted(): void;
  /** Writes are about to be applied that a primary would refuse, since the disk does not take what is to be saved. */
  onDiskFailing(): void;
}

export class StreamApplier {
  private readonly context: CommandContext;
  private readonly session: Session;
  private readonly state: ReplicationState;
  private readonly log: Log;
  private readonly events: StreamEvents;
  private readonly batch: Batch;
  private readonly timer: CommandTimer;
  private readonly parser = new RequestParser();
  private readonly parseState = new ParseState();
  private bytes = new Uint8Array(BUFFER_BYTES);
  private view = new DataView(this.bytes.buffer);
  private start = 0;
  private end = 0;
  /** A pause has held back input: `apply` has to be called again. */
  isHeldBack = false;
  /** The commands of a transaction that is not complete yet, and its bytes. */
  private queue: QueuedCommand[] | null = null;
  private queuedBytes: Uint8Array[] = [];
  private nextLogMs = 0;

  constructor(
    context: CommandContext,
    session: Session,
    state: ReplicationState,
    log: Log,
    events: StreamEvents,
  ) {
    this.context = context;
    this.session = session;
    this.state = state;
    this.log = log;
    this.events = events;
    this.batch = new Batch(context);
    this.timer = new CommandTimer(context);
    this.parser.acceptsInline = false;
    this.parser.maxBulkLengthBytes = BULK_BYTES_MAX;
  }

  /** A stream begins, in a database: if there is none of this number here, in the first one, as in Redis. */
  begin(database: number): void {
    if (database >= this.context.keyspace.databaseCount) {
      this.complain(`its stream goes on in database ${database}, which this server does not have`);
      database = 0;
    }
    this.start = 0;
    this.end = 0;
    this.queue = null;
    this.queuedBytes = [];
    this.parseState.clear();
    this.session.database = database;
    this.noteDatabase();
  }

  /** Applies new bytes, or keeps them while CLIENT PAUSE holds writes back. Throws ProtocolError if they are invalid. */
  add(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.end);
    this.end += bytes.length;
    this.apply();
  }

  /** Applies the bytes that are there. Throws as `add`. */
  apply(): void {
    const { parser } = this;
    const { control } = this.context.services.state;
    this.isHeldBack = false;
    while (this.start < this.end) {
      if (control.areWritesPaused) {
        this.isHeldBack = true;
        break;
      }
      const next = parser.parse(this.bytes, this.start, this.end, this.parseState);
      if (parser.status === ParseStatus.ProtocolError) throw new ProtocolError(parser.errorText);
      if (parser.commandCount === 0) {
        if (parser.status === ParseStatus.NeedMore) break;
        // A line feed that keeps the link alive.
        if (this.bytes[this.start] !== 10 && this.bytes[this.start] !== 13)
          throw new ProtocolError('the stream has something that is no command');
        this.start++;
        continue;
      }
      this.run(this.start);
      this.start = next;
      if (parser.status === ParseStatus.NeedMore) break;
    }
    if (this.start === this.end) {
      this.start = 0;
      this.end = 0;
      if (this.bytes.length > 16 * BUFFER_BYTES) this.resize(BUFFER_BYTES);
    }
  }

  private reserve(lengthBytes: number): void {
    if (this.end + lengthBytes <= this.bytes.length) return;
    const held = this.end - this.start;
    this.bytes.copyWithin(0, this.start, this.end);
    this.start = 0;
    this.end = held;
    if (held + lengthBytes > this.bytes.length)
      this.resize(Math.max(2 * this.bytes.length, held + lengthBytes));
  }

  private resize(lengthBytes: number): void {
    const bytes = new Uint8Array(lengthBytes);
    bytes.set(this.bytes.subarray(this.start, this.end));
    this.end -= this.start;
    this.start = 0;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }

  /** Runs the commands that the parser has found from `start` on. */
  private run(start: number): void {
    const { batch, parser, context, session, timer } = this;
    timer.beginBatch(parser.commandCount);
    context.session = session;
    context.nowMs = Date.now();
    batch.begin(this.bytes, this.view, parser, 0, parser.commandCount, session.database);
    if (whyWritesAreStopped(context.services) !== '' && this.hasWrite()) this.events.onDiskFailing();
    let first = start;
    for (let index = 0; index < parser.commandCount; ) {
      const stretchEnd = this.queue === null ? this.stretchEnd(index) : index;
      if (stretchEnd - index > 1) {
        index = this.runStretch(index, stretchEnd, first);
      } else {
        batch.select(index);
        this.runOne(batch.commands[index], first, parser.commandEnd[index]);
        index++;
      }
      first = parser.commandEnd[index - 1];
    }
    timer.endBatch();
  }

  private hasWrite(): boolean {
    const commands = this.batch.commands.slice(0, this.parser.commandCount);
    return commands.some((command) => command !== null && (command.flags & CommandFlag.Write) !== 0);
  }

  /** The index behind the simple writes that begin at `first`: of those, one hold of all their locks can run several. */
  private stretchEnd(first: number): number {
    const { batch, parser } = this;
    const last = Math.min(parser.commandCount, first + STRETCH_COMMANDS_MAX);
    let index = first;
    while (index < last && batch.isSimple(index)) {
      if (((batch.commands[index] as Command).flags & CommandFlag.Write) === 0) break;
      index++;
    }
    return index;
  }

  /** Runs simple writes, whose bytes begin at `start`. Returns the index behind the last one that was run. */
  private runStretch(first: number, end: number, start: number): number {
    const { batch, context, parser } = this;
    const { ready } = context.keyspace.gate;
    for (let index = first; index < end; index++) context.locks.mark(batch.lookAhead.shards[index]);
    context.locks.lock();
    let index = first;
    do {
      batch.select(index);
      this.call(batch.commands[index] as Command);
      index++;
      // Clients that wait for a key that has become ready are served before the next command.
    } while (index < end && ready.length === 0);
    this.record(this.bytes, this.view, start, parser.commandEnd[index - 1] - start, false);
    context.locks.release();
    return index;
  }

  private runOne(found: Command | null, start: number, end: number): void {
    const { context } = this;
    if (this.queue !== null) {
      this.queuedBytes.push(this.bytes.slice(start, end));
      if (context.argIs(0, 'EXEC')) this.exec(this.queue);
      else {
        const command = this.resolve(found);
        if (command !== null) this.queue.push({ command, request: context.request.copy() });
      }
      return;
    }
    if (context.argIs(0, 'MULTI')) {
      this.queue = [];
      this.queuedBytes = [this.bytes.slice(start, end)];
      return;
    }
    const command = this.resolve(found);
    if (command === null) {
      context.locks.lock();
    } else {
      context.locks.lockFor(command, context.request, this.session.database);
      this.call(command);
    }
    this.record(this.bytes, this.view, start, end - start, !this.isForFile(command));
    context.locks.release();
    if (command === null || !context.argIs(0, 'REPLCONF')) return;
    if (context.argCount > 1 && context.argIs(1, 'GETACK')) this.events.onAckWanted();
  }

  private exec(queue: readonly QueuedCommand[]): void {
    const { context, queuedBytes } = this;
    this.queue = null;
    this.queuedBytes = [];
    for (const { command, request } of queue) context.locks.markKeys(command, request);
    context.locks.readAhead(this.session.database);
    context.locks.lock();
    for (const { command, request } of queue) {
      context.select(request);
      this.call(command);
    }
    const bytes = Buffer.concat(queuedBytes);
    this.record(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length, false);
    context.locks.release();
  }

  private call(command: Command): void {
    const { context, timer } = this;
    const { reply } = context;
    const startMs = timer.isEachTimed ? performance.now() : 0;
    context.command = command;
    context.inTransaction = true;
    reply.reset();
    const errorsBefore = reply.errors;
    command.handler(context);
    if (timer.isEachTimed) timer.countTimed(command, performance.now() - startMs);
    else timer.countQuick(command);
    context.inTransaction = false;
    context.keyspace.journal.forget();
    this.noteDatabase();
    if (reply.errors !== errorsBefore) {
      const text = Buffer.from(reply.bytes.subarray(0, reply.length)).toString('latin1');
      this.complain(
        `the command '${command.fullName}' of the primary failed: ${/^-(.*)\r$/m.exec(text)?.[1] ?? ''}`,
      );
    }
    reply.reset();
  }

  /** The stream is in the session's database. */
  private noteDatabase(): void {
    const { database } = this.session;
    this.state.streamDatabase = database;
    this.context.keyspace.journal.ring.database = database;
  }

  private record(
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    isGap: boolean,
  ): void {
    this.context.keyspace.journal.ring.appendRaw(bytes, view, offset, lengthBytes, isGap);
  }

  /** Whether a command belongs in the append-only file: writes, and SELECT for their database. */
  private isForFile(command: Command | null): boolean {
    return command === null || (command.flags & CommandFlag.Write) !== 0 || this.context.argIs(0, 'SELECT');
  }

  private resolve(found: Command | null): Command | null {
    const { context } = this;
    let command = found;
    if (command !== null && command.subcommands !== null && context.argCount > 1) {
      command = command.subcommands.get(context.argText(1).toLowerCase()) ?? null;
    }
    if (command !== null && hasArity(command, context.argCount)) return command;
    this.complain(`the primary has sent '${context.argQuoted(0)}', which can't be run`);
    return null;
  }

  private complain(text: string): void {
    const nowMs = Date.now();
    if (nowMs < this.nextLogMs) return;
    this.nextLogMs = nowMs + LOG_INTERVAL_MS;
    this.log(`== CRITICAL == This replica may differ from its primary: ${text}`, 'warning');
  }
}

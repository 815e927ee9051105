/**
 * The command layer on a keyspace of its own, in this thread and without the network: runs commands, hands out what they
 * record, and can go back to a state that it had.
 */

import { createCommandTable, createReplayTable } from '../../src/commands/commands.js';
import { Digest } from '../../src/commands/server/data-digest.js';
import { Config } from '../../src/config/config.js';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { CommandContext } from '../../src/execution/context.js';
import { Dispatcher } from '../../src/execution/dispatcher.js';
import { Executor } from '../../src/execution/executor.js';
import type { ServerServices } from '../../src/execution/services.js';
import { type ClientConnection, Session } from '../../src/execution/session.js';
import { AofInput } from '../../src/journal/aof-input.js';
import { KeyspaceCounter } from '../../src/keyspace/counters.js';
import {
  entryType,
  expiresAtMs,
  keyLength,
  keyOffset,
  ValueType,
  valueOffset,
} from '../../src/keyspace/entry.js';
import { createKeyspace, Keyspace, type KeyspaceHandle } from '../../src/keyspace/keyspace.js';
import type { Shard } from '../../src/keyspace/shard.js';
import { Attention } from '../../src/memory/attention.js';
import { HeaderWord } from '../../src/memory/shard-memory.js';
import { SnapshotImageWriter } from '../../src/persistence/image-writer.js';
import { ReplyWriter } from '../../src/protocol/reply-writer.js';
import { createProcessState, ProcessState } from '../../src/state/process-state.js';
import { TablePosition } from '../../src/structures/dictionary.js';
import type { ByteSource } from '../../src/system/files.js';
import { encodeCommand } from './raw-client.js';

export const DATABASES = 4;

export interface EngineOptions {
  readonly shards: number;
  readonly shardBytes: number;
  /** Directives. */
  readonly directives?: Readonly<Record<string, string>>;
  /** It only replays what another engine has recorded. */
  readonly isReplaying?: boolean;
  /** The shards, if there are some already. */
  readonly keyspace?: KeyspaceHandle;
}

/** What `save` has kept: of each shard, all below the top of its arena. */
export type EngineState = readonly Uint8Array[];

class BytesSource implements ByteSource {
  readonly lengthBytes: number;
  private readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.lengthBytes = bytes.length;
  }

  read(target: Uint8Array, offset: number, lengthBytes: number, position: number): number {
    const read = this.bytes.subarray(position, position + lengthBytes);
    target.set(read, offset);
    return read.length;
  }
}

export class Engine {
  readonly handle: KeyspaceHandle;
  readonly keyspace: Keyspace;
  readonly config = new Config();
  readonly state: ProcessState;
  private readonly context: CommandContext;
  private readonly executor: Executor;
  private readonly dispatcher: Dispatcher;
  private readonly reply = new ReplyWriter();
  private readonly session = new Session(1, {} as ClientConnection, 0);
  private readonly replaySession = new Session(2, {} as ClientConnection, 0);

  constructor({ shards, shardBytes, directives = {}, isReplaying = false, keyspace }: EngineOptions) {
    const { config } = this;
    const all = { 'slowlog-log-slower-than': '-1', ...directives };
    config.loadText(
      Object.entries(all)
        .map((directive) => `${directive.join(' ')}\n`)
        .join(''),
      'test',
    );
    const settings = { ...defaultSettings(), isReplaying };
    config.copyTo(settings);
    const counters = new Float64Array(KeyspaceCounter.COUNT);
    this.handle = keyspace ?? createKeyspace(shards, shardBytes, DATABASES, Attention.create(1));
    this.keyspace = new Keyspace(this.handle, settings, counters);
    const table = isReplaying ? createReplayTable([]) : createCommandTable();
    this.state = new ProcessState(createProcessState(Attention.create(2), 1, table.size), 0, () => {});
    const services = {
      state: this.state,
      config,
      maxBulkLengthBytes: 512 << 20,
      access: { mayReadAllKeys: () => true },
      flush: () => {},
    };
    this.context = new CommandContext(
      this.keyspace,
      table,
      this.reply,
      services as unknown as ServerServices,
      counters,
    );
    this.executor = new Executor(this.context);
    this.dispatcher = new Dispatcher(this.executor, this.reply);
    const images = new SnapshotImageWriter(settings, this.state.persistence);
    for (const { snapshot } of this.keyspace.shards) snapshot.imageWriter = images;
    if (!isReplaying) this.keyspace.journal.ring.turnOn();
  }

  /** Runs a command; what it replies, one character for each byte. */
  run(words: readonly (string | Uint8Array)[], nowMs = Date.now()): string {
    const { context, session, reply } = this;
    const bytes = encodeCommand(words);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    context.nowMs = nowMs;
    reply.reset();
    const connection = { session, parseState: null, closeAfterReply() {} };
    this.dispatcher.dispatch(connection, session, bytes, view, 0, bytes.length);
    return Buffer.from(reply.bytes.subarray(0, reply.length)).toString('latin1');
  }

  /** What has been recorded since the last call. */
  takeRecorded(): Uint8Array {
    const { ring } = this.keyspace.journal;
    const pieces: Uint8Array[] = [];
    for (let piece = ring.peek(1 << 20); piece.length > 0; piece = ring.peek(1 << 20)) {
      pieces.push(piece.slice());
      ring.taken(piece.length);
    }
    return Buffer.concat(pieces);
  }

  /** Runs what another engine has recorded; what went wrong, '' if nothing. */
  replay(recorded: Uint8Array, nowMs = Date.now()): string {
    const { context, executor, replaySession, reply } = this;
    const input = new AofInput(new BytesSource(recorded));
    context.nowMs = nowMs;
    while (input.next()) {
      const { bytes, view, parser, commandCount } = input;
      const next = executor.logReplay.run(replaySession, bytes, view, parser, 0, commandCount);
      if (next < commandCount) {
        const { problem } = executor.logReplay;
        return problem || Buffer.from(reply.bytes.subarray(0, reply.length)).toString('latin1');
      }
    }
    return '';
  }

  /** Every key with its type, its value and its expiry. */
  dataset(): Map<string, string> {
    const all = new Map<string, string>();
    const position = new TablePosition();
    for (const shard of this.keyspace.shards) {
      for (let database = 0; database < DATABASES; database++) {
        position.toStart();
        while (shard.dictionary.readLine(shard.root(database), position)) {
          const { scanned, scannedCount } = shard.dictionary;
          for (const entry of scanned.slice(0, scannedCount)) {
            const offset = keyOffset(shard.words, entry);
            const key = shard.bytes.slice(offset, offset + keyLength(shard.words, entry));
            all.set(`${database} ${Buffer.from(key).toString('latin1')}`, describe(shard, entry));
          }
        }
      }
    }
    return all;
  }

  /** Throws if an invariant is broken. */
  verify(): void {
    this.keyspace.lockAll();
    for (const shard of this.keyspace.shards) shard.verify();
    this.keyspace.unlockAll();
  }

  save(): EngineState {
    return this.keyspace.shards.map(({ bytes, words }) => bytes.slice(0, words[HeaderWord.ArenaTop]! + 8));
  }

  restore(state: EngineState): void {
    for (const [index, saved] of state.entries()) this.keyspace.shards[index]!.bytes.set(saved);
  }

  /** Begins a snapshot, for which keys that change leave images. */
  beginSnapshot(): void {
    this.keyspace.lockAll();
    this.keyspace.beginSnapshot();
    this.keyspace.unlockAll();
  }
}

function describe(shard: Shard, entry: number): string {
  const digest = new Digest();
  digest.mixEntry(shard, entry);
  const type = entryType(shard.words, entry);
  const fields: string[] = [];
  if (type === ValueType.Hash) {
    const { hashes } = shard;
    const reference = valueOffset(shard.words, entry);
    for (hashes.begin(reference); hashes.next(); ) {
      const expiresAt = hashes.expiresAt(reference, hashes.handle);
      const { bytes, offset, lengthBytes } = hashes.field;
      const name = Buffer.from(bytes.slice(offset, offset + lengthBytes)).toString('latin1');
      if (expiresAt >= 0) fields.push(`${name}=${expiresAt}`);
    }
  }
  return `${type} ${expiresAtMs(shard.words, entry)} ${digest} ${fields.sort().join()}`;
}

/** Has allocations fail as if there were no memory. */
export class AllocationFaults {
  /** Allocations so far. */
  count = 0;
  /** Whether what a command was promised is kept. */
  keepsPromises = true;
  private failsFrom = Number.POSITIVE_INFINITY;
  private failsTo = Number.POSITIVE_INFINITY;
  private readonly arenas: AttachedArena[];

  constructor(shards: readonly Shard[]) {
    this.arenas = shards.map(({ arena }) => arena as unknown as AttachedArena);
    for (const arena of this.arenas) this.attach(arena);
  }

  /** The allocation of this number fails, counted from 1, and with `lasting` all that follow. */
  arm(number: number, lasting: boolean): void {
    this.count = 0;
    this.failsFrom = number;
    this.failsTo = lasting ? Number.POSITIVE_INFINITY : number;
    for (const arena of this.arenas) arena.grantedBytes = 0;
  }

  disarm(): void {
    this.arm(Number.POSITIVE_INFINITY, true);
  }

  private fails(arena: AttachedArena, lengthBytes: number): boolean {
    if (arena.grantedBytes >= lengthBytes) {
      arena.grantedBytes -= lengthBytes;
      return false;
    }
    this.count++;
    return this.count >= this.failsFrom && this.count <= this.failsTo;
  }

  private attach(arena: AttachedArena): void {
    const { take, resizeInPlace, hasRoom, promise } = arena;
    arena.grantedBytes = 0;
    arena.take = (size) => (this.fails(arena, size) ? 0 : take.call(arena, size));
    arena.resizeInPlace = (block, oldLength, newLength) =>
      newLength > oldLength && this.fails(arena, newLength - oldLength)
        ? false
        : resizeInPlace.call(arena, block, oldLength, newLength);
    arena.hasRoom = (lengthBytes) => {
      if (arena.grantedBytes >= lengthBytes) return true;
      if (this.fails(arena, lengthBytes)) return false;
      arena.grantedBytes = lengthBytes;
      return hasRoom.call(arena, lengthBytes);
    };
    arena.promise = (lengthBytes) => !this.keepsPromises || promise.call(arena, lengthBytes);
  }
}

interface AttachedArena {
  /** What `hasRoom` has found and is not used yet. */
  grantedBytes: number;
  take(size: number): number;
  resizeInPlace(block: number, oldLengthBytes: number, newLengthBytes: number): boolean;
  hasRoom(lengthBytes: number): boolean;
  promise(lengthBytes: number): boolean;
}

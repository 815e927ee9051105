/**
 * DUMP and RESTORE: a key's value as bytes, the same as in an RDB file.
 *
 *   | type (1) | value | RDB version (2) | checksum of all before it (8) |
 */

import type { CommandContext } from '../../execution/context.js';
import { recordDelete, recordKeyCommand } from '../../execution/effects.js';
import { OUT_OF_MEMORY, SYNTAX_ERROR } from '../../execution/errors.js';
import type { Handler } from '../../execution/table/command-table.js';
import { lfuInitial, lruClock } from '../../keyspace/access-clock.js';
import { setEntryAccess, ValueType } from '../../keyspace/entry.js';
import { KeyEvent } from '../../keyspace/events.js';
import type { Shard } from '../../keyspace/shard.js';
import { Crc64 } from '../../persistence/crc64.js';
import { IncompleteSnapshotError } from '../../persistence/key-tally.js';
import {
  isKnownVersion,
  payloadVersion,
  RdbError,
  RdbMemoryError,
  rdbTypeOf,
} from '../../persistence/rdb-format.js';
import { RdbInput } from '../../persistence/rdb-input.js';
import { RdbOutput } from '../../persistence/rdb-output.js';
import { setLoadedAccess } from '../../persistence/rdb-reader.js';
import { ValueLoader, valueTypeOf } from '../../persistence/value-loader.js';
import { ValueWriter } from '../../persistence/value-writer.js';
import { copyBytes } from '../../structures/copy.js';

export const FOOTER_BYTES = 10;
const FREQUENCY_MAX = 255;

/** A buffer that a large value has made longer is not kept. */
const KEPT_BYTES_MAX = 1 << 20;

let output = new RdbOutput();
let values = new ValueWriter(output);

/** The buffer for a payload, empty. One per worker is enough: a payload is copied to the reply at once. */
function emptyOutput(): RdbOutput {
  if (output.bytes.length > KEPT_BYTES_MAX) {
    output = new RdbOutput();
    values = new ValueWriter(output);
  }
  output.length = 0;
  output.checksum.reset();
  return output;
}

/**
 * Writes a key's payload. Its shard is locked. The next payload reuses the buffer. Replies with an error and returns
 * null if the value lacks elements, since a client that has got the payload may delete the key.
 */
export function writePayload(context: CommandContext, shard: Shard, entry: number): RdbOutput | null {
  const payload = emptyOutput();
  payload.compresses = context.services.config.rdbCompression;
  const type = values.typeOf(shard, entry);
  payload.byte(type);
  try {
    values.write(shard, entry);
  } catch (error) {
    if (!(error instanceof IncompleteSnapshotError)) throw error;
    context.reply.error(`ERR the value is damaged: ${error.problem}`);
    return null;
  }
  payload.byte(payloadVersion(type));
  payload.byte(0);
  payload.addToChecksum();
  payload.writeChecksum();
  return payload;
}

function dump(context: CommandContext): void {
  const { reply } = context;
  const entry = context.findRead(1);
  if (entry === 0) {
    reply.nullBulk();
    return;
  }
  const payload = writePayload(context, context.shard, entry);
  if (payload === null) return;
  reply.bulkCopy(payload.bytes, payload.view, 0, payload.length);
}

/** What follows RESTORE's payload. */
interface RestoreOptions {
  replaces: boolean;
  isAbsolute: boolean;
  /** -1: not given. */
  idleSeconds: number;
  frequency: number;
}

/** Reads the options; replies with an error and returns null if they make no sense. */
function readOptions(context: CommandContext): RestoreOptions | null {
  const { reply, argCount, number } = context;
  const options: RestoreOptions = { replaces: false, isAbsolute: false, idleSeconds: -1, frequency: -1 };
  for (let index = 4; index < argCount; index++) {
    const hasNext = index + 1 < argCount;
    if (context.argIs(index, 'REPLACE')) {
      options.replaces = true;
    } else if (context.argIs(index, 'ABSTTL')) {
      options.isAbsolute = true;
    } else if (context.argIs(index, 'IDLETIME') && hasNext && options.frequency < 0) {
      if (!context.integer(++index)) return null;
      if (number.value < 0) {
        reply.error('ERR Invalid IDLETIME value, must be >= 0');
        return null;
      }
      options.idleSeconds = number.value;
    } else if (context.argIs(index, 'FREQ') && hasNext && options.idleSeconds < 0) {
      if (!context.integer(++index)) return null;
      if (number.value < 0 || number.value > FREQUENCY_MAX) {
        reply.error('ERR Invalid FREQ value, must be >= 0 and <= 255');
        return null;
      }
      options.frequency = number.value;
    } else {
      reply.error(SYNTAX_ERROR);
      return null;
    }
  }
  return options;
}

/** The version that an argument ends with; -1 if it can't be read, or if the checksum is wrong. */
export function versionOfPayload(context: CommandContext, index: number): number {
  const { bytes, view } = context;
  const lengthBytes = context.argLength(index);
  if (lengthBytes < FOOTER_BYTES) return -1;
  const offset = context.argOffset(index);
  const footer = offset + lengthBytes - FOOTER_BYTES;
  const version = view.getUint16(footer, true);
  if (!isKnownVersion(version)) return -1;
  if (context.services.state.control.ignoresChecksums) return version;
  const checksum = new Crc64();
  checksum.update(bytes, view, offset, lengthBytes - 8);
  const isIntact =
    view.getInt32(footer + 2, true) === checksum.low && view.getInt32(footer + 6, true) === checksum.high;
  return isIntact ? version : -1;
}

function restore(context: CommandContext): void {
  const { reply, nowMs } = context;
  const options = readOptions(context);
  if (options === null) return;
  const hasOld = context.findWrite(1) !== 0;
  if (hasOld && !options.replaces) {
    reply.error('BUSYKEY Target key name already exists.');
    return;
  }
  if (!context.integer(2)) return;
  const ttl = context.number.value;
  if (ttl < 0) {
    reply.error('ERR Invalid TTL value, must be >= 0');
    return;
  }
  const version = versionOfPayload(context, 3);
  if (version < 0) {
    reply.error('ERR DUMP payload version or checksum are wrong');
    return;
  }
  const offset = context.argOffset(3);
  const input = RdbInput.fromBytes(context.bytes, offset, context.argLength(3) - FOOTER_BYTES);
  const loader = new ValueLoader(input);
  const type = loadPayload(context, input, loader, version);
  if (type === null) return;
  const { shard } = context;
  const expiresAt =
    ttl === 0 ? -1 : Math.min(ttl + (options.isAbsolute ? 0 : nowMs), Number.MAX_SAFE_INTEGER);
  if (expiresAt >= 0 && context.isPast(expiresAt)) {
    if (type !== ValueType.String) shard.collection(type).release(shard.draft);
    if (hasOld) {
      context.remove();
      context.changed(KeyEvent.Delete);
      recordDelete(context);
    }
    reply.ok();
    return;
  }
  if (type !== ValueType.String) {
    if (!context.putDraft(type, expiresAt)) return;
  } else {
    const { string } = loader;
    if (!context.putValue(type, string.lengthBytes, expiresAt)) return;
    const { bytes, view, lengthBytes } = string;
    copyBytes(shard.bytes, shard.view, context.valueOffset, bytes, view, string.offset, lengthBytes);
  }
  const { usesLfu } = context.keyspace.settings;
  setEntryAccess(shard.words, context.entry, usesLfu ? lfuInitial(nowMs) : lruClock(nowMs));
  setLoadedAccess(shard, context.entry, usesLfu, options.idleSeconds, options.frequency, nowMs);
  context.recreated();
  context.changed(KeyEvent.Restore);
  context.overwritten();
  recordRestore(context, Math.max(0, expiresAt));
  reply.ok();
}

/** Records the payload, with the expiry as a moment (0: none). */
function recordRestore(context: CommandContext, expiresAt: number): void {
  const journal = recordKeyCommand(context, 'RESTORE', 4);
  if (journal === null) return;
  journal.integer(expiresAt);
  journal.argument(context.bytes, context.view, context.argOffset(3), context.argLength(3));
  journal.word('REPLACE');
  journal.word('ABSTTL');
}

/** Reads the value into the loader or into the shard's draft. Returns its type, or null after replying an error. */
function loadPayload(
  context: CommandContext,
  input: RdbInput,
  loader: ValueLoader,
  version: number,
): ValueType | null {
  try {
    const type = rdbTypeOf(input.byte(), version);
    if (loader.load(context.shard, type)) return valueTypeOf(type) as ValueType;
  } catch (error) {
    if (!(error instanceof RdbError)) throw error;
    if (error instanceof RdbMemoryError) {
      context.reply.error(OUT_OF_MEMORY);
      return null;
    }
  }
  context.reply.error('ERR Bad data format');
  return null;
}

export const dumpHandlers: Readonly<Record<string, Handler>> = {
  DUMP: dump,
  RESTORE: restore,
  'RESTORE-ASKING': restore,
};

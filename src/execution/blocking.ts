/**
 * Commands that wait for keys. A handler that finds nothing to take makes its client wait (`waitForKeys`); the thread
 * that later changes one of the keys serves the client under its own locks (wait-server.ts), through this interface.
 */

import type { ValueType } from '../keyspace/entry.js';
import type { WaitKind } from '../keyspace/waiters.js';
import { parseDouble } from '../memory/numbers.js';
import type { CommandContext } from './context.js';

/** How a client that waits is served by a key. */
export interface Blocking {
  readonly kind: WaitKind;
  /** The type that the key has to have. */
  readonly type: ValueType;
  /** The argument that names another key, which is changed too; 0 for none. */
  readonly destination: number;
  /** Whether the key, which is selected and of that type, has what the request wants. */
  isReady(context: CommandContext, keyArgument: number): boolean;
  /** Serves the request from the key: takes, records the effect, replies. */
  serve(context: CommandContext, keyArgument: number): void;
}

const INT64_LIMIT = 2 ** 63;

/**
 * Reads an argument as a timeout in seconds. Returns it in whole milliseconds, 0 for a wait without end; -1 after an
 * error reply.
 */
export function readTimeout(context: CommandContext, argument: number): number {
  const { reply, number } = context;
  // Nearly all are whole numbers.
  const isWhole = number.parse(context.bytes, context.argOffset(argument), context.argLength(argument));
  const seconds = isWhole && number.isSafe ? number.value : parseDouble(context.argLatin1(argument));
  if (Number.isNaN(seconds)) {
    reply.error('ERR timeout is not a float or out of range');
    return -1;
  }
  const timeoutMs = Math.ceil(seconds * 1000);
  if (timeoutMs < 0) {
    reply.error('ERR timeout is negative');
    return -1;
  }
  if (timeoutMs + context.nowMs >= INT64_LIMIT) {
    reply.error('ERR timeout is out of range');
    return -1;
  }
  return timeoutMs;
}

/**
 * Has the client wait until one of the keys that `keyCount` arguments from `firstKey` on name is ready, for at most
 * `timeoutMs` (0: without an end). Their shards are locked. Returns false, with nothing replied, if the client must not
 * wait, since the command is part of a transaction or a script.
 */
export function waitForKeys(
  context: CommandContext,
  firstKey: number,
  keyCount: number,
  timeoutMs: number,
): boolean {
  if (!context.mayBlock) return false;
  context.services.waitRoom.begin(context, firstKey, keyCount, timeoutMs);
  return true;
}

/** Reading expiry times: EX, PX, EXAT, PXAT and the arguments of the EXPIRE family. */

import type { CommandContext } from '../../execution/context.js';
import { NOT_AN_INTEGER } from '../../execution/errors.js';

const INT64_MAX = 2n ** 63n - 1n;

/** The largest expiry that is kept exactly, a few hundred thousand years on; later times become this one. */
const EXPIRES_AT_MS_MAX = Number.MAX_SAFE_INTEGER;

export interface TimeUnit {
  readonly isSeconds: boolean;
  readonly isAbsolute: boolean;
}

export const TIME_UNITS: Readonly<Record<string, TimeUnit>> = {
  EX: { isSeconds: true, isAbsolute: false },
  PX: { isSeconds: false, isAbsolute: false },
  EXAT: { isSeconds: true, isAbsolute: true },
  PXAT: { isSeconds: false, isAbsolute: true },
};

/**
 * Reads a time argument into ms since the epoch. Replies with an error and returns -1 if it is no integer,
 * overflows, or (unless `allowPast`) is not positive; a time before the epoch becomes 0.
 */
export function readExpiry(
  context: CommandContext,
  index: number,
  unit: TimeUnit,
  allowPast = false,
): number {
  if (!context.integer(index, NOT_AN_INTEGER)) return -1;
  const { number } = context;
  const invalid = () => {
    context.reply.error(`ERR invalid expire time in '${context.command.fullName}' command`);
    return -1;
  };
  if (!allowPast && number.isSafe && number.value <= 0) return invalid();
  let ms = number.toBigInt();
  if (!allowPast && ms <= 0n) return invalid();
  if (unit.isSeconds) {
    if (ms > INT64_MAX / 1000n || ms < -INT64_MAX / 1000n) return invalid();
    ms *= 1000n;
  }
  if (!unit.isAbsolute) {
    if (ms > INT64_MAX - BigInt(context.nowMs)) return invalid();
    ms += BigInt(context.nowMs);
  }
  return Math.max(0, Math.min(EXPIRES_AT_MS_MAX, Number(ms)));
}

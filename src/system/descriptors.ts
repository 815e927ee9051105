/**
 * The system's limit of open descriptors, and how many clients it leaves room for. The rest of the process keeps a
 * reserve: what it has from the start, and what starts late (a save, the append-only file, MIGRATE).
 *
 * Node.js raises the soft limit to the hard one when it starts. Only root can raise the hard one.
 */

import { readdirSync } from 'node:fs';
import type { Libc } from './libc.js';

const RLIMIT_NOFILE = 7;
const UINT64_MAX = 2 ** 64 - 1;
/** Assumed where /proc/self/fd can't be read. */
const OPEN_AT_START = 32;
/** How much less is asked for each time that the system refuses, as Redis does. */
const STEP = 16;

/** The outcome of `DescriptorLimit.makeRoom`. */
export interface DescriptorRoom {
  /** Clients that there is room for: those asked for, or fewer, or none. */
  readonly clients: number;
  /** Descriptors that all of them need, with the reserve. */
  readonly wanted: number;
  /** The limit now, and before. */
  readonly limit: number;
  readonly limitBefore: number;
  /** Why the limit is lower than wanted; '' if it is not. */
  readonly reason: string;
}

export class DescriptorLimit {
  private readonly libc: Libc | null;
  /** What the process needs besides its clients. */
  readonly reserved: number;

  constructor(libc: Libc | null, reserved: number) {
    this.libc = libc;
    this.reserved = reserved;
  }

  /** Raises the limit for so many clients, as far as the system lets it. */
  makeRoom(clients: number): DescriptorRoom {
    const wanted = clients + this.reserved;
    const limitBefore = this.read();
    let limit = limitBefore;
    let reason = '';
    for (let next = wanted; next > limit; next = Math.max(limit, next - STEP)) {
      const failure = this.raiseTo(next);
      if (failure === '') limit = next;
      else reason ||= failure;
    }
    if (limit >= wanted) reason = '';
    return {
      clients: Math.max(0, Math.min(clients, limit - this.reserved)),
      wanted,
      limit,
      limitBefore,
      reason,
    };
  }

  /** The soft limit. */
  private read(): number {
    const { libc } = this;
    if (libc === null) return reportedLimit();
    const limits = new BigUint64Array(2);
    const failed = libc.getResourceLimit(RLIMIT_NOFILE, libc.addressOf(new Uint8Array(limits.buffer))) !== 0;
    return failed ? reportedLimit() : Number(limits[0]);
  }

  /** Raises the limit; returns the reason if that fails, otherwise ''. */
  private raiseTo(limit: number): string {
    const { libc } = this;
    if (libc === null) return 'Operation not supported';
    const limits = new BigUint64Array([BigInt(limit), BigInt(limit)]);
    const failed = libc.setResourceLimit(RLIMIT_NOFILE, libc.addressOf(new Uint8Array(limits.buffer))) !== 0;
    return failed ? libc.errorText(libc.errno()) : '';
  }
}

/** The soft limit as Node.js knows it, for systems without `getrlimit`. */
function reportedLimit(): number {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | string } };
  };
  const soft = userLimits?.open_files?.soft;
  return typeof soft === 'number' ? soft : UINT64_MAX;
}

/** Descriptors that are open now. */
export function openDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length;
  } catch {
    return OPEN_AT_START;
  }
}

/**
 * Touches as much memory as a run will need, once, ahead of it. The host of a virtual machine hands memory out when it is first
 * used, which costs five times as much as using it again; whoever came first in a comparison would pay for all.
 */

import { spawnSync } from 'node:child_process';
import { freemem } from 'node:os';
import { fileURLToPath } from 'node:url';

const NEEDED_BYTES = 6 * 2 ** 30;
const PIECE_BYTES = 64 * 2 ** 20;

/** Blocks until it is done: some seconds on a machine that has not been used before. */
export function warmMemory(): void {
  // In a process of its own, whose end gives the memory back.
  spawnSync(process.execPath, [fileURLToPath(import.meta.url)], { stdio: 'inherit' });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const bytes = Math.min(NEEDED_BYTES, freemem() / 2);
  const pieces = Array.from({ length: Math.floor(bytes / PIECE_BYTES) }, () => Buffer.alloc(PIECE_BYTES, 1));
  process.exitCode = pieces.every((piece) => piece[0] === 1) ? 0 : 1;
}

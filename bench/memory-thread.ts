/**
 * A thread that looks again and again at how much memory a process and its children take, so that the thread that
 * measures latencies is not held up: adding up the pages of a large process takes milliseconds.
 */

import { readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

const SAMPLE_MS = 250;

/** In bytes, since it was asked last. */
export interface MemoryReport {
  readonly last: number;
  readonly most: number;
}

/** A process and those that it has started. */
function processTree(pid: number): number[] {
  let children: number[] = [];
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim();
    children = text === '' ? [] : text.split(' ').map(Number);
  } catch {
    // It has ended.
  }
  return [pid, ...children.flatMap(processTree)];
}

/** Memory of a process and its children, what they share counted once. */
function sharedOutBytes(pid: number): number {
  let bytes = 0;
  for (const one of processTree(pid)) {
    try {
      const match = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, 'latin1'));
      bytes += Number(match?.[1] ?? 0) * 1024;
    } catch {
      // It has ended.
    }
  }
  return bytes;
}

const pid = workerData as number;
let last = 0;
let most = 0;

function sample(): void {
  last = sharedOutBytes(pid);
  most = Math.max(most, last);
}

setInterval(sample, SAMPLE_MS);
parentPort!.on('message', () => {
  sample();
  parentPort!.postMessage({ last, most } satisfies MemoryReport);
  most = 0;
});

/**
 * How much memory the process may have: the machine's, or less if it runs in a control group with a limit, as in a
 * container or under systemd's `MemoryMax`. The kernel kills a process that goes beyond.
 *
 * /proc/self/cgroup has a line for each hierarchy: "0::<path>" for version 2, "<number>:<controllers>:<path>" for
 * version 1. The limits of all groups above hold as well. Inside a container the path may be that of the host, which
 * is not mounted there; the group at the mount point is the container's own then.
 */

import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import path from 'node:path';

interface Hierarchy {
  readonly mountPoint: string;
  readonly group: string;
  readonly limitFile: string;
}

/** The memory that the process may have, in bytes: the lower of the machine's and the control group's. */
export function availableMemoryBytes(): number {
  return Math.min(totalmem(), controlGroupLimitBytes());
}

/** The lowest limit of the process's control groups in bytes; Infinity if there is none. `root` is for tests. */
export function controlGroupLimitBytes(root = '/'): number {
  let limitBytes = Number.POSITIVE_INFINITY;
  for (const { mountPoint, group, limitFile } of hierarchies(root)) {
    for (let at = group; ; at = path.dirname(at)) {
      limitBytes = Math.min(limitBytes, readLimit(path.join(root, mountPoint, at, limitFile)));
      if (at === '/' || at === '.') break;
    }
  }
  return limitBytes;
}

function hierarchies(root: string): Hierarchy[] {
  const found: Hierarchy[] = [];
  for (const line of read(path.join(root, 'proc/self/cgroup')).split('\n')) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) continue;
    const [, controllers, group] = match;
    if (controllers === '') {
      // With both versions in use, version 2 is mounted elsewhere and does not control memory.
      found.push({ mountPoint: 'sys/fs/cgroup', group, limitFile: 'memory.max' });
    } else if (controllers.split(',').includes('memory')) {
      found.push({ mountPoint: 'sys/fs/cgroup/memory', group, limitFile: 'memory.limit_in_bytes' });
    }
  }
  return found;
}

/** A limit; Infinity for none. Version 1 says "none" with a number near 2^63. */
function readLimit(file: string): number {
  const text = read(file).trim();
  return /^\d+$/.test(text) && Number(text) < Number.MAX_SAFE_INTEGER
    ? Number(text)
    : Number.POSITIVE_INFINITY;
}

function read(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}

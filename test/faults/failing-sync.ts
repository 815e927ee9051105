/**
 * Preloaded into a server, this is a disk that fails: while the file `fail-sync` exists in the working directory,
 * fdatasync fails once for each file and drops what was written since it last succeeded; after that it succeeds, as the
 * kernel's does, although the bytes are gone.
 */

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const FAILURE_MARK = 'fail-sync';

const { fdatasyncSync, existsSync, fstatSync, ftruncateSync } = fs;
/** By inode: how long the file was when fdatasync last succeeded. */
const syncedBytes = new Map<number, number>();
const failed = new Set<number>();

fs.fdatasyncSync = (fd: number): void => {
  const { ino, size } = fstatSync(fd);
  if (existsSync(FAILURE_MARK) && !failed.has(ino)) {
    failed.add(ino);
    ftruncateSync(fd, syncedBytes.get(ino) ?? 0);
    throw Object.assign(new Error('EIO: i/o error, fdatasync'), { code: 'EIO', errno: -5 });
  }
  fdatasyncSync(fd);
  syncedBytes.set(ino, size);
};
syncBuiltinESMExports();

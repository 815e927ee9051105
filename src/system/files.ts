/** Files and folders: reading a file as a source of bytes, and bringing names in a folder to the disk. */

import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';

/** Makes a folder unless it is there, and brings its name to the disk. The folder that it is in must be there. */
export function makeFolder(folder: string): void {
  try {
    // Not `recursive`: a file system that is read-only would be reported as ENOENT.
    mkdirSync(folder, { mode: 0o755 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST' && statSync(folder).isDirectory()) return;
    throw error;
  }
  syncFolder(path.dirname(folder));
}

/** Brings the names in a folder to the disk. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Puts other contents into a file, through a temporary file beside it: a crash leaves the old or the new ones. A file that
 * is a link stays one, and keeps its mode and, if that is possible, its owner. Throws a system error.
 */
export function replaceFile(file: string, content: Uint8Array): void {
  const target = existsSync(file) ? realpathSync(file) : file;
  const status = existsSync(target) ? statSync(target) : null;
  const temporary = `${target}.${process.pid}.tmp`;
  const fd = openSync(temporary, 'w', 0o644);
  try {
    if (status !== null) keepAttributes(fd, status);
    writeFileSync(fd, content);
    fsyncSync(fd);
  } catch (error) {
    closeSync(fd);
    rmSync(temporary, { force: true });
    throw error;
  }
  closeSync(fd);
  renameSync(temporary, target);
}

function keepAttributes(fd: number, { mode, uid, gid }: Stats): void {
  try {
    fchownSync(fd, uid, gid);
  } catch {
    // Only root may give a file away.
  }
  fchmodSync(fd, mode & 0o7777);
}

/** The reason in a system error, e.g. "No such file or directory". */
export function systemReason(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const match = /^\w+: ([^,]+)/.exec(text);
  if (match === null) return text;
  return match[1][0].toUpperCase() + match[1].slice(1);
}

/** Where the bytes of a file come from. */
export interface ByteSource {
  readonly lengthBytes: number;
  /** Reads up to `lengthBytes` bytes from `position` of the source; returns how many, 0 at its end. */
  read(target: Uint8Array, offset: number, lengthBytes: number, position: number): number;
}

/** A file to read; `close` it afterwards. Throws a system error if it can't be opened. */
export class FileSource implements ByteSource {
  readonly lengthBytes: number;
  private readonly fd: number;

  constructor(fileName: string) {
    this.fd = openSync(fileName, 'r');
    this.lengthBytes = fstatSync(this.fd).size;
  }

  read(target: Uint8Array, offset: number, lengthBytes: number, position: number): number {
    return readSync(this.fd, target, offset, lengthBytes, position);
  }

  close(): void {
    closeSync(this.fd);
  }
}

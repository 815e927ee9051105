/** Files and folders: reading a file as a source of bytes, and bringing names in a folder to the disk. */

import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, readSync, statSync } from 'node:fs';
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

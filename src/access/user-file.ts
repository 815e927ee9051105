/** The file that has the users (`aclfile`): a line for each, as ACL LIST shows it. */

import { readFileSync } from 'node:fs';
import { replaceFile } from '../system/files.js';

/** The file's text, a byte string. Throws a system error. */
export function readUserFile(file: string): string {
  return readFileSync(file, 'latin1');
}

/** Writes lines, byte strings, in place of what the file has. A crash leaves either. Throws a system error. */
export function writeUserFile(file: string, lines: readonly string[]): void {
  replaceFile(file, Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1'));
}

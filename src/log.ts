/** The server's log: lines on standard output, or at the end of the file that `logfile` names. */

import { appendFileSync } from 'node:fs';

export type Log = (text: string) => void;

/** A log for one thread; `file` is a path, '' for standard output. Lines of several threads do not mix. */
export function createLog(file: string): Log {
  return (text) => {
    const line = `${process.pid}:M ${new Date().toISOString()} * ${text}\n`;
    if (file === '') process.stdout.write(line);
    else appendFileSync(file, line);
  };
}

/** The server's log: lines on standard output, or at the end of the file that `logfile` names. */

import { appendFileSync } from 'node:fs';

export type LogLevel = 'debug' | 'verbose' | 'notice' | 'warning';

export type Log = (text: string, level?: LogLevel) => void;

/** By level, the mark that its lines bear; in the order of importance. */
const MARKS: Readonly<Record<LogLevel, string>> = { debug: '.', verbose: '-', notice: '*', warning: '#' };
const LEVELS = Object.keys(MARKS);

/**
 * A log for one thread; `file` is a path, '' for standard output. Lines of several threads do not mix.
 * `leastLevel` is asked for each line: less important ones are dropped. A line that can't be written is lost.
 */
export function createLog(file: string, leastLevel: () => LogLevel): Log {
  return (text, level = 'notice') => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(leastLevel())) return;
    const line = `${process.pid}:M ${new Date().toISOString()} ${MARKS[level]} ${text}\n`;
    if (file === '') {
      process.stdout.write(line);
      return;
    }
    try {
      appendFileSync(file, line);
    } catch {
      // The disk may be full. Nobody can be told, and commands go on.
    }
  };
}

/**
 * The server's log: lines on standard output, or at the end of the file that `logfile` names, in the form of Redis's,
 * so that programs that read its logs can read ours:
 *
 *   <process id>:<role> <day> <month> <year> <hour>:<minute>:<second>.<ms> <mark of the level> <text>
 *
 * The role is M, or S for a replica. Times are local.
 */

import { appendFileSync, writeSync } from 'node:fs';

/** `nothing` as the least level drops all lines. */
export type LogLevel = 'debug' | 'verbose' | 'notice' | 'warning' | 'nothing';

/** The level of a line; without it, `notice`. */
export type LineLevel = Exclude<LogLevel, 'nothing'>;

export type Log = (text: string, level?: LineLevel) => void;

/** By level, the mark that its lines bear; in the order of importance. */
const MARKS: Readonly<Record<LogLevel, string>> = {
  debug: '.',
  verbose: '-',
  notice: '*',
  warning: '#',
  nothing: '',
};
const LEVELS = Object.keys(MARKS);
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const STANDARD_OUTPUT = 1;

/** A time as lines of the log begin with it. */
function formatTime(time: Date): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  return (
    `${two(time.getDate())} ${MONTHS[time.getMonth()]} ${time.getFullYear()} ` +
    `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.` +
    String(time.getMilliseconds()).padStart(3, '0')
  );
}

/**
 * A log for one thread; `file` is a path, '' for standard output. Each line is one write of the calling thread, so
 * lines of several threads do not mix, and come in the order in which things happened. Asked for each line: `leastLevel`,
 * less important ones are dropped, and `isReplica`. A line that can't be written is lost: the disk may be full, or the process
 * that reads the output may have gone. There is nowhere to report that, and commands go on.
 */
export function createLog(
  file: string,
  leastLevel: () => LogLevel,
  isReplica: () => boolean = () => false,
): Log {
  return (text, level = 'notice') => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(leastLevel())) return;
    const line = `${process.pid}:${isReplica() ? 'S' : 'M'} ${formatTime(new Date())} ${MARKS[level]} ${text}\n`;
    try {
      if (file === '') writeSync(STANDARD_OUTPUT, line);
      else appendFileSync(file, line);
    } catch {
      // See above.
    }
  };
}

/** The parts of a configuration that its log follows; only the file is fixed. */
export interface LogSettings {
  readonly logFile: string;
  readonly logLevel: LogLevel;
  readonly replicaOf: object | null;
}

/** The log of a thread, as its configuration, which may change, wants it. */
export function createConfiguredLog(settings: LogSettings): Log {
  return createLog(
    settings.logFile,
    () => settings.logLevel,
    () => settings.replicaOf !== null,
  );
}

/**
 * Whether the process before this one ended in good order, as its log file tells. A process that is killed, for lack of
 * memory or by the kernel after a fault, can't log that itself.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** How much of the file's end is read. */
const TAIL_BYTES = 64 * 1024;
const LINE = /^(\d+):[A-Z] (.*)$/gm;
/** The end of the last line of a process that has ended in good order, or has said why it ends. */
const GOOD_END = /ready to exit, bye bye\.\.\.$|exiting now\.$| # Can't start: /;

/**
 * One line about the process that wrote the end of a log file, '' if it ended in good order, still runs, or the file
 * says nothing.
 */
export function describePreviousEnd(logFile: string): string {
  const tail = readTail(logFile);
  const last = [...tail.matchAll(LINE)].at(-1);
  if (last === undefined) return '';
  const [line, pid, text] = last;
  const behind = tail.slice(last.index + line.length);
  if (GOOD_END.test(text) || /BUG REPORT END/.test(behind) || isRunning(Number(pid))) return '';
  return `The process before this one (pid ${pid}) did not shut down: it was killed or has crashed. Its last line was: ${text}`;
}

function isRunning(pid: number): boolean {
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function readTail(file: string): string {
  try {
    const fd = openSync(file, 'r');
    try {
      const { size } = fstatSync(fd);
      const tail = Buffer.alloc(Math.min(size, TAIL_BYTES));
      readSync(fd, tail, 0, tail.length, size - tail.length);
      return tail.toString('utf8');
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}

/** The end of a process that can't go on: with a report of all that is known, and exit code 1. */

import type { Worker as Thread } from 'node:worker_threads';
import { writeCrashReport } from '../system/crash-report.js';
import { DAMSELFLY_VERSION } from '../system/version.js';

let hasCrashed = false;
/** Where reports go besides standard error; '' for nowhere. */
let logFile = '';

/** Has reports written to a log file as well; '' for none. */
export function setCrashLog(file: string): void {
  logFile = file;
}

/** Ends the process if a thread fails or ends by itself. */
export function watchThread(thread: Thread, name: string): void {
  thread.on('error', (error) => crash(name, error));
  thread.on('exit', (code) => crash(name, new Error(`the thread ended with code ${code}`)));
}

/** Ends the process; further calls have no effect. */
export function crash(threadName: string, error: Error): void {
  if (hasCrashed) return;
  hasCrashed = true;
  writeReport(threadName, error);
  process.exit(1);
}

/** Writes the report without ending the process. */
export function writeReport(threadName: string, error: Error): void {
  const lines = [
    '',
    '=== DAMSELFLY BUG REPORT START: cut and paste from here ===',
    `version ${DAMSELFLY_VERSION}, node ${process.version}, ${process.platform} ${process.arch}, pid ${process.pid}`,
    `${threadName}: ${error.stack ?? error.message}`,
    '=== DAMSELFLY BUG REPORT END ===',
    '',
  ];
  writeCrashReport(logFile, lines.join('\n'));
}

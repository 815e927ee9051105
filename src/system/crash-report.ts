/** The report of a crash: on standard error, and in the log file if there is one. Any thread writes it. */

import { appendFileSync, writeSync } from 'node:fs';

const STANDARD_ERROR = 2;

/** Writes a part of a report. `logFile` is a path, '' for none. */
export function writeCrashReport(logFile: string, text: string): void {
  try {
    writeSync(STANDARD_ERROR, text);
  } catch {
    // It may be closed, or have no reader.
  }
  if (logFile === '') return;
  try {
    appendFileSync(logFile, text);
  } catch {
    // The disk may be full.
  }
}

/** The error replies that several commands share; clients and their test suites compare them word by word. */

import { getSystemErrorMap } from 'node:util';
import { type RunningScripts, ScriptKind } from '../state/running-scripts.js';

export const SYNTAX_ERROR = 'ERR syntax error';
export const NOT_AN_INTEGER = 'ERR value is not an integer or out of range';
export const NOT_A_FLOAT = 'ERR value is not a valid float';
export const WRONG_TYPE = 'WRONGTYPE Operation against a key holding the wrong kind of value';
export const NO_SUCH_KEY = 'ERR no such key';
export const OUT_OF_RANGE = 'ERR index out of range';
export const DATABASE_OUT_OF_RANGE = 'ERR DB index is out of range';
export const OUT_OF_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";
export const WRITES_STOPPED =
  "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
export const STRING_TOO_LONG = 'ERR string exceeds maximum allowed size (proto-max-bulk-len)';
export const OVERFLOW = 'ERR increment or decrement would overflow';
export const NOT_AUTHENTICATED = 'NOAUTH Authentication required.';
export const LOADING = 'LOADING Redis is loading the dataset in memory';
/** The reply to all but a few commands while a slow script runs. */
export function busyError(scripts: RunningScripts): string {
  const command = scripts.first()?.kind === ScriptKind.Function ? 'FUNCTION KILL' : 'SCRIPT KILL';
  return `BUSY Redis is busy running a script. You can only call ${command} or SHUTDOWN NOSAVE.`;
}
export const INVALID_CURSOR = 'ERR invalid cursor';

/** The texts of errors that the C library, and so Redis, words differently from Node.js. */
const ERROR_TEXTS: Readonly<Record<number, string>> = {
  5: 'Input/output error',
  12: 'Cannot allocate memory',
  20: 'Not a directory',
  21: 'Is a directory',
  116: 'Stale file handle',
  122: 'Disk quota exceeded',
};

/** Why writes are refused while the disk takes nothing; `errno` is the system's number of the reason. */
export function journalFails(errno: number): string {
  const reason = ERROR_TEXTS[errno] ?? getSystemErrorMap().get(-errno)?.[1] ?? `error ${errno}`;
  return `MISCONF Errors writing to the AOF file: ${reason.charAt(0).toUpperCase()}${reason.slice(1)}`;
}

/** The reply to a wrong number of arguments. */
export function wrongArity(fullName: string): string {
  return `ERR wrong number of arguments for '${fullName}' command`;
}

export const READ_ONLY_REPLICA = "READONLY You can't write against a read only replica.";
export const PRIMARY_IS_DOWN =
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
export const NOT_ENOUGH_REPLICAS = 'NOREPLICAS Not enough good replicas to write.';
/** To clients that wait for something which only a primary can give. */
export const DEMOTED =
  'UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)';

export const UNBLOCKED = 'UNBLOCKED client unblocked via CLIENT UNBLOCK';

/** A line of the log. */
export const SHUTDOWN_FAILED = 'Errors trying to shut down the server. Check the logs for more information.';

/** What the log says when a server starts: in Redis's words where Redis has some. */

import { totalmem } from 'node:os';
import type { Config } from '../config/config.js';
import type { Log } from '../system/log.js';
import { controlGroupLimitBytes } from '../system/memory-limit.js';
import { DAMSELFLY_VERSION, REDIS_VERSION } from '../system/version.js';
import { describePreviousEnd } from './previous-end.js';

/** Part of a control group's limit that is recommended for `maxmemory`: the process itself needs some, too. */
const MAXMEMORY_SHARE = 0.75;
const MIB = 1 << 20;

/** Logs which server starts, and how the process before it ended. */
export function logStart(config: Config, log: Log): void {
  const previous = config.logFile === '' ? '' : describePreviousEnd(config.logFile);
  if (previous !== '') log(previous, 'warning');
  log('oO0OoO0OoO0Oo Damselfly is starting oO0OoO0OoO0Oo', 'warning');
  log(
    `Damselfly version=${DAMSELFLY_VERSION}, compatible with redis=${REDIS_VERSION}, bits=64, ` +
      `node=${process.version}, pid=${process.pid}, just started`,
    'warning',
  );
  log(
    config.configFile === null
      ? 'Warning: no config file specified, using the default config. In order to specify a config file use ' +
          'damselfly /path/to/redis.conf'
      : 'Configuration loaded',
    'warning',
  );
  const { threads, activeWorkers, maxMemoryBytes } = config;
  const workers = activeWorkers > 0 ? `, active-workers=${Math.min(activeWorkers, threads)}` : '';
  log(
    `Running mode=standalone, port=${config.port}, threads=${threads}${workers}, maxmemory=${maxMemoryBytes}.`,
  );
}

/**
 * Warns if the kernel may kill the process before `maxmemory` stops it from growing.
 * @param limitBytes what its control group allows
 */
export function warnOfMemory(
  { maxMemoryBytes }: Config,
  log: Log,
  limitBytes = controlGroupLimitBytes(),
): void {
  if (limitBytes >= totalmem() || (maxMemoryBytes > 0 && maxMemoryBytes < limitBytes)) return;
  const limit = `${Math.floor(limitBytes / MIB)}mb`;
  const advice = `${Math.floor((MAXMEMORY_SHARE * limitBytes) / MIB)}mb`;
  log(
    `WARNING The memory of this process is limited to ${limit} (control group), but maxmemory is ` +
      `${maxMemoryBytes === 0 ? 'not set' : `${maxMemoryBytes} bytes`}. When the data grows, the kernel will kill ` +
      `the server. Set maxmemory to ${advice} or less.`,
    'warning',
  );
}

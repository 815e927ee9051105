/**
 * How the process is supervised: not at all, as a daemon (`daemonize`), or by systemd (`supervised`). Upstart waits
 * for a process that stops itself, which threads would not survive in order; it counts as no supervision.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/config.js';
import { packUnixAddress } from '../network/socket-address.js';
import { type Libc, Socket } from '../system/libc.js';

/** What a daemon reports once to the process that started it: whether it listens. */
export interface DaemonReport {
  /** One line, '' if it listens. */
  readonly failure: string;
}

/** Starts the server as a process of its own, without a terminal. Resolves once it listens; rejects with one line. */
export async function startDaemon(config: Config): Promise<void> {
  const daemon = fork(fileURLToPath(new URL('./daemon.js', import.meta.url)), {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const ended = once(daemon, 'exit').then(([code, signal]) => {
    throw new Error(`the daemon has ended at once (${signal ?? `exit code ${code}`})`);
  });
  daemon.send(config);
  const [report] = (await Promise.race([once(daemon, 'message'), ended])) as [DaemonReport];
  if (report.failure !== '') throw new Error(report.failure);
  ended.catch(() => {});
  daemon.disconnect();
  daemon.unref();
}

/**
 * Tells systemd of a state (sd_notify(3)): lines such as `READY=1`. Returns why that was not possible, '' if it was.
 */
export function notifySystemd(libc: Libc | null, lines: readonly string[]): string {
  const name = process.env.NOTIFY_SOCKET;
  if (name === undefined || name === '') return 'systemd has not said where (NOTIFY_SOCKET)';
  if (libc === null) return 'it needs Linux';
  const fd = libc.socket(Socket.AF_UNIX, Socket.SOCK_DGRAM | Socket.SOCK_CLOEXEC, 0);
  if (fd < 0) return libc.errorText(libc.errno());
  const address = packUnixAddress(name.replace(/^@/, '\0'));
  const message = Buffer.from(lines.join('\n'));
  const isSent =
    libc.connect(fd, libc.addressOf(address), address.length) === 0 &&
    libc.write(fd, libc.addressOf(message), message.length) === message.length;
  const failure = isSent ? '' : libc.errorText(libc.errno());
  libc.close(fd);
  return failure;
}

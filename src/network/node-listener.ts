/**
 * Listening sockets of the portable transport. One worker opens them; the others listen on the same sockets
 * through their numbers, which are the process's, so every worker's event loop sees a new connection and the
 * first to come accepts it. A worker that is busy takes none, which a socket of its own for each worker
 * (SO_REUSEPORT) could not do, and it works the same with every version of Node.js and every system.
 *
 * Since the threads share the sockets, none can close them before the process ends.
 */

import { chmodSync, rmSync } from 'node:fs';
import {
  createServer,
  isIPv6,
  type ListenOptions as NodeListenOptions,
  type Server,
  type Socket,
} from 'node:net';
import { systemReason } from '../system/system-reason.js';
import { type ListenOptions, resolveBindEntry } from './listener.js';
import type { SocketInternals } from './node-transport.js';

export interface SharedListener {
  readonly fd: number;
  readonly isUnix: boolean;
}

type Accept = (socket: Socket, isUnix: boolean) => void;

const UNAVAILABLE = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EPFNOSUPPORT', 'EPROTONOSUPPORT', 'EINVAL']);

/** Opens all sockets. Rejects with a one-line message if one can't be opened. */
export async function openSharedListeners(options: ListenOptions, accept: Accept): Promise<SharedListener[]> {
  const listeners: SharedListener[] = [];
  const backlog = Math.min(options.backlog, 65535);
  for (const entry of options.port === 0 ? [] : options.bind) {
    const { host, mayBeMissing } = await resolveBindEntry(entry);
    try {
      const wanted = { host, port: options.port, backlog, ipv6Only: isIPv6(host) };
      listeners.push({ fd: await listen(wanted, false, accept), isUnix: false });
    } catch (error) {
      if (mayBeMissing && UNAVAILABLE.has((error as NodeJS.ErrnoException).code ?? '')) continue;
      throw new Error(`can't listen on ${entry} port ${options.port}: ${systemReason(error)}`);
    }
  }
  if (options.port !== 0 && options.bind.length > 0 && listeners.length === 0)
    throw new Error(`can't listen on port ${options.port}: no address is available`);
  const { unixSocket, unixSocketMode } = options;
  if (unixSocket !== '') {
    rmSync(unixSocket, { force: true });
    try {
      listeners.push({ fd: await listen({ path: unixSocket, backlog }, true, accept), isUnix: true });
    } catch (error) {
      throw new Error(`can't listen on ${unixSocket}: ${systemReason(error)}`);
    }
    if (unixSocketMode !== 0) chmodSync(unixSocket, unixSocketMode);
  }
  return listeners;
}

/** Listens on sockets that another thread has opened. */
export function joinListeners(listeners: readonly SharedListener[], backlog: number, accept: Accept): void {
  for (const { fd, isUnix } of listeners) {
    void listen({ fd, backlog: Math.min(backlog, 65535) } as NodeListenOptions, isUnix, accept);
  }
}

function listen(options: NodeListenOptions, isUnix: boolean, accept: Accept): Promise<number> {
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => accept(socket, isUnix));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      // Out of descriptors: the connection waits until there is one again.
      server.off('error', reject).on('error', () => {});
      resolve((server as unknown as SocketInternals)._handle?.fd ?? -1);
    });
  });
}

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
  /** Whether its connections use TLS. */
  readonly isTls: boolean;
}

/** A longer queue is cut to this. */
const BACKLOG_MAX = 65535;

type Accept = (socket: Socket, isUnix: boolean, isTls: boolean) => void;

const UNAVAILABLE = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EPFNOSUPPORT', 'EPROTONOSUPPORT', 'EINVAL']);

/** Opens all sockets. Rejects with a one-line message if one can't be opened. */
export async function openSharedListeners(options: ListenOptions, accept: Accept): Promise<SharedListener[]> {
  const listeners: SharedListener[] = [];
  for (const isTls of [false, true]) listeners.push(...(await openPort(options, isTls, accept)));
  const { unixSocket, unixSocketMode, backlog } = options;
  if (unixSocket !== '') {
    rmSync(unixSocket, { force: true });
    try {
      const fd = await listen({ path: unixSocket, backlog }, true, false, accept);
      listeners.push({ fd, isUnix: true, isTls: false });
    } catch (error) {
      throw new Error(`can't listen on ${unixSocket}: ${systemReason(error)}`);
    }
    if (unixSocketMode !== 0) chmodSync(unixSocket, unixSocketMode);
  }
  return listeners;
}

/** Opens the port for connections with TLS or without it on all addresses. */
async function openPort(options: ListenOptions, isTls: boolean, accept: Accept): Promise<SharedListener[]> {
  const listeners: SharedListener[] = [];
  const { bind, backlog } = options;
  const port = isTls ? options.tlsPort : options.port;
  if (port === 0) return listeners;
  for (const entry of bind) {
    const { host, mayBeMissing } = await resolveBindEntry(entry);
    try {
      const wanted = { host, port, backlog, ipv6Only: isIPv6(host) };
      listeners.push({ fd: await listen(wanted, false, isTls, accept), isUnix: false, isTls });
    } catch (error) {
      if (mayBeMissing && UNAVAILABLE.has((error as NodeJS.ErrnoException).code ?? '')) continue;
      throw new Error(`can't listen on ${entry} port ${port}: ${systemReason(error)}`);
    }
  }
  if (bind.length > 0 && listeners.length === 0)
    throw new Error(`can't listen on port ${port}: no address is available`);
  return listeners;
}

/** Listens on sockets that another thread has opened. */
export function joinListeners(listeners: readonly SharedListener[], backlog: number, accept: Accept): void {
  for (const { fd, isUnix, isTls } of listeners) {
    void listen({ fd, backlog } as NodeListenOptions, isUnix, isTls, accept);
  }
}

function listen(
  options: NodeListenOptions,
  isUnix: boolean,
  isTls: boolean,
  accept: Accept,
): Promise<number> {
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => accept(socket, isUnix, isTls));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ ...options, backlog: Math.min(options.backlog ?? BACKLOG_MAX, BACKLOG_MAX) }, () => {
      // An error means that descriptors ran out: the connection then waits until one is free again.
      server.off('error', reject).on('error', () => {});
      resolve((server as unknown as SocketInternals)._handle?.fd ?? -1);
    });
  });
}

/**
 * The front door: waits for connections on all listening sockets and hands each to the worker that has
 * the fewest. Runs in a thread of its own, blocked in poll(2).
 */

import { ControlBlock } from '../state/control-block.js';
import { Errno, type Libc, Socket } from './libc.js';
import { type ListeningSocket, setIntegerOption } from './listener.js';
import type { WorkerChannel } from './worker-channel.js';

const POLL_IN = 1;
const ACCEPTS_PER_TURN_MAX = 256;
const TOO_MANY_CLIENTS = new TextEncoder().encode('-ERR max number of clients reached\r\n');
/** Without a free file descriptor accept fails at once again: wait instead of spinning. */
const OUT_OF_DESCRIPTORS_PAUSE_MS = 50;
/** How long to let a worker work whose ring of new connections is full. */
const WORKER_BUSY_PAUSE_MS = 1;

/** Words that the rest of the process sets and reads. */
export const enum AcceptorWord {
  ClientsMax = 0,
  /** Seconds; 0 turns keepalive off. */
  KeepAliveSeconds = 1,
  Stop = 2,
  AcceptedConnections = 3,
  COUNT = 8,
}

export interface AcceptorOptions {
  readonly sockets: readonly ListeningSocket[];
  readonly wakeFd: number;
  /** See AcceptorWord. */
  readonly control: SharedArrayBuffer;
  /** A ControlBlock. */
  readonly processControl: SharedArrayBuffer;
}

/** Accepts until told to stop. Blocks its thread. */
export function runAcceptor(libc: Libc, options: AcceptorOptions, workers: readonly WorkerChannel[]): void {
  const { sockets } = options;
  const control = new Int32Array(options.control);
  const processControl = new ControlBlock(options.processControl);
  const fds = new Uint8Array((sockets.length + 1) * 8);
  const view = new DataView(fds.buffer);
  [...sockets.map((socket) => socket.fd), options.wakeFd].forEach((fd, index) => {
    view.setInt32(index * 8, fd, true);
    view.setInt16(index * 8 + 4, POLL_IN, true);
  });
  const fdsAddress = libc.addressOf(fds);
  while (Atomics.load(control, AcceptorWord.Stop) === 0) {
    if (libc.poll(fdsAddress, sockets.length + 1, 1000) <= 0) continue;
    sockets.forEach((socket, index) => {
      if (view.getInt16(index * 8 + 6, true) !== 0) acceptAll(libc, socket, control, processControl, workers);
    });
  }
  for (const socket of sockets) libc.close(socket.fd);
}

function acceptAll(
  libc: Libc,
  socket: ListeningSocket,
  control: Int32Array,
  processControl: ControlBlock,
  workers: readonly WorkerChannel[],
): void {
  for (let accepted = 0; accepted < ACCEPTS_PER_TURN_MAX; accepted++) {
    const fd = libc.accept(socket.fd, 0, 0, Socket.SOCK_NONBLOCK | Socket.SOCK_CLOEXEC);
    if (fd < 0) {
      const errno = libc.errno();
      if (errno === Errno.EMFILE || errno === Errno.ENFILE) {
        Atomics.wait(control, AcceptorWord.Stop, 0, OUT_OF_DESCRIPTORS_PAUSE_MS);
      }
      return;
    }
    if (totalConnections(workers) >= Atomics.load(control, AcceptorWord.ClientsMax)) {
      processControl.rejectedConnections++;
      libc.write(fd, libc.addressOf(TOO_MANY_CLIENTS), TOO_MANY_CLIENTS.length);
      libc.close(fd);
      continue;
    }
    Atomics.add(control, AcceptorWord.AcceptedConnections, 1);
    // Before the worker has it: it may close the socket at once, and the number is another socket's then.
    if (!socket.isUnix) setTcpOptions(libc, fd, Atomics.load(control, AcceptorWord.KeepAliveSeconds));
    if (!handOver(libc, fd, control, workers)) return;
  }
}

function totalConnections(workers: readonly WorkerChannel[]): number {
  let total = 0;
  for (const worker of workers) total += worker.connections;
  return total;
}

/** Gives a socket to the worker with the fewest connections; false if the server stopped meanwhile. */
function handOver(libc: Libc, fd: number, control: Int32Array, workers: readonly WorkerChannel[]): boolean {
  for (;;) {
    let least = workers[0];
    for (const worker of workers) {
      if (worker.connections < least.connections) least = worker;
    }
    if (least.push(fd, libc)) return true;
    Atomics.wait(control, AcceptorWord.Stop, 0, WORKER_BUSY_PAUSE_MS);
    if (Atomics.load(control, AcceptorWord.Stop) !== 0) {
      libc.close(fd);
      return false;
    }
  }
}

function setTcpOptions(libc: Libc, fd: number, keepAliveSeconds: number): void {
  setIntegerOption(libc, fd, Socket.IPPROTO_TCP, Socket.TCP_NODELAY, 1);
  if (keepAliveSeconds === 0) return;
  setIntegerOption(libc, fd, Socket.SOL_SOCKET, Socket.SO_KEEPALIVE, 1);
  setIntegerOption(libc, fd, Socket.IPPROTO_TCP, Socket.TCP_KEEPIDLE, keepAliveSeconds);
  setIntegerOption(
    libc,
    fd,
    Socket.IPPROTO_TCP,
    Socket.TCP_KEEPINTVL,
    Math.max(1, Math.floor(keepAliveSeconds / 3)),
  );
  setIntegerOption(libc, fd, Socket.IPPROTO_TCP, Socket.TCP_KEEPCNT, 3);
}

/**
 * The front door: waits for connections on all listening sockets and hands each to the worker that has
 * the fewest, of those that are active (worker-placement.ts). Runs in a thread of its own, blocked in poll(2).
 */

import { ControlBlock } from '../state/control-block.js';
import { WorkerLoad } from '../state/worker-load.js';
import { Errno, type Libc, Socket } from '../system/libc.js';
import { createLog, type Log } from '../system/log.js';
import { AcceptFailures } from './accept-failures.js';
import { type AcceptorControl, AcceptorWord, type ListenRequest } from './acceptor-control.js';
import { type ListeningSocket, openInternetListeners, setIntegerOption } from './listener.js';
import type { WorkerChannel } from './worker-channel.js';

const POLL_IN = 1;
const ACCEPTS_PER_TURN_MAX = 256;
const TOO_MANY_CLIENTS = new TextEncoder().encode('-ERR max number of clients reached\r\n');
/** Without a free descriptor accept fails at once again, and poll may fail: wait instead of spinning. */
const FAILURE_PAUSE_MS = 50;
/** How long to let a worker work whose ring of new connections is full. */
const WORKER_BUSY_PAUSE_MS = 1;

export interface AcceptorOptions {
  readonly sockets: readonly ListeningSocket[];
  /** Where `sockets` listen. */
  readonly listen: ListenRequest;
  readonly backlog: number;
  readonly control: SharedArrayBuffer;
  /** A ControlBlock. */
  readonly processControl: SharedArrayBuffer;
  /** A WorkerLoad. */
  readonly workerLoad: SharedArrayBuffer;
  /** Path of the log file, '' for standard output. */
  readonly logFile: string;
}

/** Accepts until told to stop. Blocks its thread. */
export async function runAcceptor(
  libc: Libc,
  control: AcceptorControl,
  options: AcceptorOptions,
  workers: readonly WorkerChannel[],
  log: Log = createLog(options.logFile, () => 'warning'),
): Promise<void> {
  let { sockets, listen } = options;
  const processControl = new ControlBlock(options.processControl);
  const workerLoad = new WorkerLoad(options.workerLoad);
  let poll = new PollSet(libc, sockets, control.wakeFd);
  const eightBytes = new Uint8Array(8);
  const failures = new AcceptFailures(log);
  /** Says so, and waits, if a call has failed for another reason than that there is nothing or a signal has come. */
  const pauseAfter = (call: string, errno: number): void => {
    if (errno === Errno.EAGAIN || errno === Errno.EINTR) return;
    failures.note(`${call}: ${libc.errorText(errno)}`);
    Atomics.wait(control.words, AcceptorWord.Stop, 0, FAILURE_PAUSE_MS);
  };
  while (!control.isStopped) {
    if (poll.wait() <= 0) {
      pauseAfter('poll', libc.errno());
      continue;
    }
    sockets.forEach((socket, index) => {
      if (!poll.isReady(index)) return;
      const errno = acceptAll(libc, socket, control.words, processControl, workerLoad, workers);
      if (errno !== 0) pauseAfter('accept', errno);
    });
    if (!poll.isReady(sockets.length)) continue;
    libc.read(control.wakeFd, libc.addressOf(eightBytes), 8);
    const request = control.request();
    if (request === null) continue;
    const moved = await listenElsewhere(libc, sockets, listen, request, options.backlog);
    sockets = moved.sockets;
    if (moved.isDone) listen = request;
    poll = new PollSet(libc, sockets, control.wakeFd);
    control.answer(moved.isDone);
  }
  for (const socket of sockets) libc.close(socket.fd);
}

/** The array of struct pollfd: the listening sockets, and the eventfd at the end. */
class PollSet {
  private readonly libc: Libc;
  private readonly count: number;
  private readonly view: DataView;
  private readonly address: number;

  constructor(libc: Libc, sockets: readonly ListeningSocket[], wakeFd: number) {
    this.libc = libc;
    this.count = sockets.length + 1;
    const bytes = new Uint8Array(this.count * 8);
    this.view = new DataView(bytes.buffer);
    [...sockets.map((socket) => socket.fd), wakeFd].forEach((fd, index) => {
      this.view.setInt32(index * 8, fd, true);
      this.view.setInt16(index * 8 + 4, POLL_IN, true);
    });
    this.address = libc.addressOf(bytes);
  }

  /** Waits until something happens, however long. Returns the number of ready descriptors, -1 after a signal. */
  wait(): number {
    return this.libc.poll(this.address, this.count, -1);
  }

  isReady(index: number): boolean {
    return this.view.getInt16(index * 8 + 6, true) !== 0;
  }
}

/**
 * Changes where the server listens. With another port the new sockets are opened before the old ones are
 * closed; with other addresses the old ones have to go first, since they may overlap with the new ones, and are
 * opened again if that fails.
 */
async function listenElsewhere(
  libc: Libc,
  sockets: readonly ListeningSocket[],
  before: ListenRequest,
  wanted: ListenRequest,
  backlog: number,
): Promise<{ sockets: readonly ListeningSocket[]; isDone: boolean }> {
  const internet = sockets.filter((socket) => !socket.isUnix);
  const unix = sockets.filter((socket) => socket.isUnix);
  const closeOld = () => {
    for (const socket of internet) libc.close(socket.fd);
  };
  const overlaps = before.port === wanted.port;
  if (overlaps) closeOld();
  try {
    const opened = await openInternetListeners(libc, { ...wanted, backlog });
    if (!overlaps) closeOld();
    return { sockets: [...opened, ...unix], isDone: true };
  } catch {
    if (!overlaps) return { sockets, isDone: false };
    const again = await openInternetListeners(libc, { ...before, backlog }).catch(() => []);
    return { sockets: [...again, ...unix], isDone: false };
  }
}

/** Accepts what is there. Returns the errno of the call that was the last, 0 if there may be more. */
function acceptAll(
  libc: Libc,
  socket: ListeningSocket,
  control: Int32Array,
  processControl: ControlBlock,
  workerLoad: WorkerLoad,
  workers: readonly WorkerChannel[],
): number {
  for (let accepted = 0; accepted < ACCEPTS_PER_TURN_MAX; accepted++) {
    const fd = libc.accept(socket.fd, 0, 0, Socket.SOCK_NONBLOCK | Socket.SOCK_CLOEXEC);
    if (fd < 0) {
      const errno = libc.errno();
      // This client has gone already; others may wait.
      if (errno === Errno.ECONNABORTED) continue;
      return errno;
    }
    if (totalConnections(workers) >= Atomics.load(control, AcceptorWord.ClientsMax)) {
      processControl.rejectedConnections++;
      libc.write(fd, libc.addressOf(TOO_MANY_CLIENTS), TOO_MANY_CLIENTS.length);
      libc.close(fd);
      continue;
    }
    // Before the worker has it: it may close the socket at once, and the number is another socket's then.
    if (!socket.isUnix) setTcpOptions(libc, fd, Atomics.load(control, AcceptorWord.KeepAliveSeconds));
    if (!handOver(libc, fd, control, workers, workerLoad.activeWorkers)) return 0;
  }
  return 0;
}

function totalConnections(workers: readonly WorkerChannel[]): number {
  let total = 0;
  for (const worker of workers) total += worker.connections;
  return total;
}

/** Gives a socket to the active worker with the fewest connections; false if the server stopped meanwhile. */
function handOver(
  libc: Libc,
  fd: number,
  control: Int32Array,
  workers: readonly WorkerChannel[],
  activeWorkers: number,
): boolean {
  for (;;) {
    let least = workers[0];
    for (let index = 1; index < activeWorkers; index++) {
      if (workers[index].connections < least.connections) least = workers[index];
    }
    if (least.push(fd)) return true;
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

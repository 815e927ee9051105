/**
 * The front door: waits for connections on all listening sockets and hands each to the worker that has
 * the fewest, of those that are active (worker-placement.ts). One that speaks TLS first goes to the thread that does
 * handshakes (tls/handshaker.ts). Runs in a thread of its own, blocked in poll(2).
 */

import type { HeededBlock } from '../memory/attention.js';
import { ControlBlock } from '../state/control-block.js';
import { WorkerLoad } from '../state/worker-load.js';
import { collectGarbage } from '../system/garbage.js';
import { Errno, type Libc, Socket } from '../system/libc.js';
import { createLog, type Log } from '../system/log.js';
import { AcceptFailures } from './accept-failures.js';
import { type AcceptorControl, AcceptorWord, type ListenRequest } from './acceptor-control.js';
import { type ListeningSocket, openInternetListeners, openPort, setIntegerOption } from './listener.js';
import type { StopWord, WorkerChannel } from './worker-channel.js';

const POLL_IN = 1;
const ACCEPTS_PER_TURN_MAX = 256;
const TOO_MANY_CLIENTS = new TextEncoder().encode('-ERR max number of clients reached\r\n');
/** Without a free descriptor accept fails at once again, and poll may fail: wait instead of spinning. */
const FAILURE_PAUSE_MS = 50;
/** If nobody has connected for so long, there is time to collect what the start of the thread has left behind. */
const IDLE_MS = 500;
const FOREVER_MS = -1;
/** Pause before retrying to hand a connection to a worker whose ring of new connections is full. */
const WORKER_BUSY_PAUSE_MS = 1;

export interface AcceptorOptions {
  readonly sockets: readonly ListeningSocket[];
  /** Where `sockets` listen. */
  readonly listen: ListenRequest;
  readonly backlog: number;
  readonly control: SharedArrayBuffer;
  /** A ControlBlock. */
  readonly processControl: HeededBlock;
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
  handshakers: readonly WorkerChannel[],
  log: Log = createLog(options.logFile, () => 'warning'),
): Promise<void> {
  let { sockets, listen } = options;
  const processControl = new ControlBlock(options.processControl);
  const workerLoad = new WorkerLoad(options.workerLoad);
  let poll = new PollSet(libc, sockets, control.wakeFd);
  const eightBytes = new Uint8Array(8);
  const failures = new AcceptFailures(log);
  /** Logs a failed call and waits, unless there was only nothing to accept or a signal came. */
  const pauseAfter = (call: string, errno: number): void => {
    if (errno === Errno.EAGAIN || errno === Errno.EINTR) return;
    failures.note(`${call}: ${libc.errorText(errno)}`);
    Atomics.wait(control.words, AcceptorWord.Stop, 0, FAILURE_PAUSE_MS);
  };
  let waitMs = IDLE_MS;
  while (!control.isStopped) {
    const readyCount = poll.wait(waitMs);
    if (readyCount === 0) {
      waitMs = FOREVER_MS;
      collectGarbage();
      continue;
    }
    if (readyCount < 0) {
      pauseAfter('poll', libc.errno());
      continue;
    }
    sockets.forEach((socket, index) => {
      if (!poll.isReady(index)) return;
      const errno = acceptAll(libc, socket, control.words, processControl, workerLoad, workers, handshakers);
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

  /** Waits until something happens. Returns the number of ready descriptors, 0 after `timeoutMs`, -1 after a signal. */
  wait(timeoutMs: number): number {
    return this.libc.poll(this.address, this.count, timeoutMs);
  }

  isReady(index: number): boolean {
    return this.view.getInt16(index * 8 + 6, true) !== 0;
  }
}

/**
 * Changes where the server listens. With other ports the new sockets are opened before the old ones are
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
  const { bind, port, tlsPort } = wanted;
  const unix = sockets.filter((socket) => socket.isUnix);
  const plain = sockets.filter((socket) => !socket.isUnix && !socket.isTls);
  const tls = sockets.filter((socket) => socket.isTls);
  const close = (closed: readonly ListeningSocket[]): void => {
    for (const socket of closed) libc.close(socket.fd);
  };
  if (bind.join(' ') !== before.bind.join(' ')) {
    close([...plain, ...tls]);
    try {
      return {
        sockets: [...(await openInternetListeners(libc, { ...wanted, backlog })), ...unix],
        isDone: true,
      };
    } catch {
      const again = await openInternetListeners(libc, { ...before, backlog }).catch(() => []);
      return { sockets: [...again, ...unix], isDone: false };
    }
  }
  const opened: ListeningSocket[] = [];
  try {
    if (port !== before.port) opened.push(...(await openPort(libc, bind, port, false, backlog)));
    if (tlsPort !== before.tlsPort) opened.push(...(await openPort(libc, bind, tlsPort, true, backlog)));
  } catch {
    close(opened);
    return { sockets, isDone: false };
  }
  const kept = [...(port === before.port ? plain : []), ...(tlsPort === before.tlsPort ? tls : [])];
  close([...plain, ...tls].filter((socket) => !kept.includes(socket)));
  return { sockets: [...kept, ...opened, ...unix], isDone: true };
}

/** Accepts the waiting connections. Returns the errno of the last call, 0 if there may be more. */
function acceptAll(
  libc: Libc,
  socket: ListeningSocket,
  control: Int32Array,
  processControl: ControlBlock,
  workerLoad: WorkerLoad,
  workers: readonly WorkerChannel[],
  handshakers: readonly WorkerChannel[],
): number {
  const targets = socket.isTls ? handshakers : workers;
  const stop = { words: control, index: AcceptorWord.Stop };
  for (let accepted = 0; accepted < ACCEPTS_PER_TURN_MAX; accepted++) {
    const fd = libc.accept(socket.fd, 0, 0, Socket.SOCK_NONBLOCK | Socket.SOCK_CLOEXEC);
    if (fd < 0) {
      const errno = libc.errno();
      // This client has gone already; others may wait.
      if (errno === Errno.ECONNABORTED) continue;
      return errno;
    }
    const connections = totalConnections(workers) + totalConnections(handshakers);
    if (connections >= Atomics.load(control, AcceptorWord.ClientsMax)) {
      processControl.rejectedConnections++;
      // Without a handshake there are no words that the client would understand.
      if (!socket.isTls) libc.write(fd, libc.addressOf(TOO_MANY_CLIENTS), TOO_MANY_CLIENTS.length);
      libc.close(fd);
      continue;
    }
    // Before the worker gets the socket: it may close it at once, and the number may then be another socket's.
    if (!socket.isUnix) setTcpOptions(libc, fd, Atomics.load(control, AcceptorWord.KeepAliveSeconds));
    const active = socket.isTls ? targets.length : workerLoad.activeWorkers;
    if (!handOver(fd, 0, targets, active, stop)) {
      libc.close(fd);
      return 0;
    }
  }
  return 0;
}

function totalConnections(workers: readonly WorkerChannel[]): number {
  let total = 0;
  for (const worker of workers) total += worker.connections;
  return total;
}

/**
 * Gives a socket, with its TLS session if it has one, to a thread: of the first `active` threads, the one with the
 * fewest connections. Waits as long as its ring is full; returns false if the server stopped meanwhile.
 */
export function handOver(
  fd: number,
  session: number,
  targets: readonly WorkerChannel[],
  active: number,
  stop: StopWord,
): boolean {
  for (;;) {
    let least = targets[0];
    for (let index = 1; index < active; index++) {
      if (targets[index].connections < least.connections) least = targets[index];
    }
    if (least.push(fd, session)) return true;
    Atomics.wait(stop.words, stop.index, 0, WORKER_BUSY_PAUSE_MS);
    if (Atomics.load(stop.words, stop.index) !== 0) return false;
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

/** Accepts connections from listening sockets, as long as there are fewer than `maxclients`. */

import type { HeededBlock } from '../memory/attention.js';
import { ControlBlock } from '../state/control-block.js';
import { Errno, type Libc, Socket } from '../system/libc.js';
import type { Log } from '../system/log.js';
import { AcceptFailures } from './accept-failures.js';
import { AcceptorWord } from './acceptor-control.js';
import type { WorkerChannel } from './worker-channel.js';

const ACCEPTS_PER_TURN_MAX = 256;
const TOO_MANY_CLIENTS = new TextEncoder().encode('-ERR max number of clients reached\r\n');

export interface AcceptingOptions {
  /** Words of an AcceptorControl. */
  readonly control: Int32Array;
  /** A ControlBlock. */
  readonly processControl: HeededBlock;
  /** Those of all threads that have connections. */
  readonly channels: readonly WorkerChannel[];
  readonly log: Log;
}

export class Accepting {
  private readonly libc: Libc;
  private readonly control: Int32Array;
  private readonly processControl: ControlBlock;
  private readonly channels: readonly WorkerChannel[];
  private readonly failures: AcceptFailures;

  constructor(libc: Libc, { control, processControl, channels, log }: AcceptingOptions) {
    this.libc = libc;
    this.control = control;
    this.processControl = new ControlBlock(processControl);
    this.channels = channels;
    this.failures = new AcceptFailures(log);
  }

  /**
   * Gives the connections that wait at a listening socket to `take`, which returns false if the server stops. Returns false if the
   * next try is to wait, because the system refuses.
   */
  acceptAll(listener: number, isTls: boolean, take: (fd: number) => boolean): boolean {
    const { libc } = this;
    for (let accepted = 0; accepted < ACCEPTS_PER_TURN_MAX; accepted++) {
      const fd = libc.accept(listener, 0, 0, Socket.SOCK_NONBLOCK | Socket.SOCK_CLOEXEC);
      if (fd < 0) {
        const errno = libc.errno();
        // This client has gone already; others may wait.
        if (errno === Errno.ECONNABORTED) continue;
        return this.noteFailure('accept', errno);
      }
      if (this.isFull()) {
        this.processControl.rejectedConnections++;
        // Without a handshake there are no words that the client would understand.
        if (!isTls) libc.write(fd, libc.addressOf(TOO_MANY_CLIENTS), TOO_MANY_CLIENTS.length);
        libc.close(fd);
      } else if (!take(fd)) {
        libc.close(fd);
        return true;
      }
    }
    return true;
  }

  /** Logs a failed call; returns true if there was only nothing to accept, or a signal came. */
  noteFailure(call: string, errno: number): boolean {
    if (errno === Errno.EAGAIN || errno === Errno.EINTR) return true;
    this.failures.note(`${call}: ${this.libc.errorText(errno)}`);
    return false;
  }

  private isFull(): boolean {
    let total = 0;
    for (const channel of this.channels) total += channel.connections;
    return total >= Atomics.load(this.control, AcceptorWord.ClientsMax);
  }
}

/** The threads that do TLS handshakes; they start with the first `tls-port`. */

import type { Config } from '../config/config.js';
import type { HandshakerOptions } from '../network/tls/handshaker.js';
import { WorkerChannel } from '../network/worker-channel.js';
import type { Libc } from '../system/libc.js';
import { startThread } from '../system/thread.js';
import { openEventfd } from './eventfd.js';
import type { LateThread } from './late-thread.js';

/** Workers per handshaker thread: a handshake takes some 0.5 to 1 ms of a processor. */
const WORKERS_PER_HANDSHAKER = 4;

export function handshakerCount(workers: number): number {
  return Math.max(1, Math.floor(workers / WORKERS_PER_HANDSHAKER));
}

export class HandshakerThreads {
  private readonly channels: readonly WorkerChannel[];
  private readonly startLate: (late: LateThread) => void;
  private readonly isExiting: () => boolean;
  private readonly options: Omit<HandshakerOptions, 'index' | 'handshakers'>;
  private hasStarted = false;

  /** `calls`: null if workers accept connections themselves, and then do the handshakes, too. */
  constructor(
    calls: Libc | null,
    startLate: (late: LateThread) => void,
    isExiting: () => boolean,
    count: number,
    options: Omit<HandshakerOptions, 'index' | 'handshakers'>,
  ) {
    this.startLate = startLate;
    this.isExiting = isExiting;
    this.options = options;
    this.channels = Array.from({ length: count }, () =>
      WorkerChannel.create(calls === null ? -1 : openEventfd(calls), calls),
    );
  }

  /** The channels of the threads, whether they run yet or not. */
  get channelBuffers(): readonly SharedArrayBuffer[] {
    return this.channels.map((channel) => channel.buffer);
  }

  startIfWanted(config: Config): void {
    if (this.hasStarted || config.tlsPort === 0) return;
    this.hasStarted = true;
    const handshakers = this.channelBuffers;
    for (const index of handshakers.keys()) {
      const workerData: HandshakerOptions = { ...this.options, index, handshakers };
      this.startLate({
        name: 'TLS handshake',
        start: () => startThread(new URL('../../workers/handshaker.js', import.meta.url), { workerData }),
        isGivenUp: this.isExiting,
      });
    }
  }

  stop(): void {
    for (const channel of this.channels) channel.stop();
  }
}

/** What the benchmarks' own loads are made of: connections that send commands and count what comes back, and samples of the whole. */

import { once } from 'node:events';
import net from 'node:net';
import type { Sample } from './workloads.js';

/** A command as clients send it. */
export function command(...words: readonly (string | number)[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`).join('')}`;
}

/** A connection that sends something and waits until what has come since is complete. */
export class LoadConnection {
  readonly socket: net.Socket;
  private text = '';
  private isComplete: (text: string) => boolean = () => false;
  private done: ((text: string) => void) | null = null;
  /** Called with the length of what comes while nothing is waited for. */
  onUnasked: ((lengthBytes: number) => void) | null = null;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      if (this.done === null) {
        this.onUnasked?.(chunk.length);
        return;
      }
      this.text += chunk;
      if (!this.isComplete(this.text)) return;
      const { text, done } = this;
      this.text = '';
      this.done = null;
      done(text);
    });
  }

  static async open(port: number): Promise<LoadConnection> {
    const socket = net.connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new LoadConnection(socket);
  }

  /** Several, at once. */
  static openAll(port: number, count: number): Promise<LoadConnection[]> {
    return Promise.all(Array.from({ length: count }, () => LoadConnection.open(port)));
  }

  send(request: string, isComplete: (text: string) => boolean): Promise<string> {
    this.isComplete = isComplete;
    const reply = new Promise<string>((resolve) => {
      this.done = resolve;
    });
    this.socket.write(request);
    return reply;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** `over` resolves when `count` has been called so many times. */
export class Countdown {
  readonly over: Promise<void>;
  private left: number;
  private resolve = (): void => {};

  constructor(count: number) {
    this.left = count;
    this.over = new Promise((resolve) => {
      this.resolve = resolve;
    });
  }

  count(): void {
    if (--this.left === 0) this.resolve();
  }
}

/** Whether a text has so many lines. */
export function hasLines(count: number): (text: string) => boolean {
  return (text) => {
    let at = -2;
    for (let left = count; left > 0; left--) {
      at = text.indexOf('\r\n', at + 2);
      if (at < 0) return false;
    }
    return true;
  };
}

/** Measures work that does `count` things and notes how long each of its turns takes, in ms. */
export async function sampleOf(
  count: number,
  cpuSeconds: () => number,
  work: (turns: number[]) => Promise<void>,
): Promise<Sample> {
  const turns: number[] = [];
  const before = cpuSeconds();
  const start = performance.now();
  await work(turns);
  const seconds = (performance.now() - start) / 1000;
  const cpu = cpuSeconds() - before;
  turns.sort((a, b) => a - b);
  const quantile = (share: number) => turns[Math.min(turns.length - 1, Math.floor(turns.length * share))]!;
  return {
    requestsPerSecond: count / seconds,
    cpuMicroseconds: (cpu * 1e6) / count,
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
    p999Ms: quantile(0.999),
  };
}

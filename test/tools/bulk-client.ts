/**
 * A client for many commands: it sends them in long writes, never waits for single replies, and hands each reply to
 * whoever sent its command. Text is latin1 in both directions, so any byte can be a character.
 */

import { createRequire } from 'node:module';
import net from 'node:net';
import type { RawClientAddress } from './raw-client.js';

/** So much is gathered before it is written to the socket. */
const WRITE_CHARACTERS = 64 << 10;
/** So many commands may be without a reply. */
const PENDING_MAX = 20_000;

/** A reply: text of a simple or bulk string, number, null, or an array of such; errors reject what the client does. */
export type Reply = string | number | null | Reply[];

type RawReply = Buffer | number | null | Error | RawReply[];

// Without a declaration file.
const ReplyParser = createRequire(import.meta.url)('redis-parser') as new (options: {
  returnBuffers: boolean;
  returnReply: (reply: RawReply) => void;
  returnError: (error: Error) => void;
  returnFatalError: (error: Error) => void;
}) => { execute: (bytes: Buffer) => void };

type Take = (reply: Reply) => void;

function asText(reply: RawReply): Reply {
  if (Array.isArray(reply)) return reply.map(asText);
  if (reply instanceof Error) throw reply;
  return Buffer.isBuffer(reply) ? reply.toString('latin1') : reply;
}

const ignore: Take = () => {};

export class BulkClient {
  private readonly socket: net.Socket;
  private unsent = '';
  /** Who waits for the replies that come next, oldest first, from `pendingFirst` on. */
  private pending: Take[] = [];
  private pendingFirst = 0;
  private failure: Error | null = null;
  private wake: (() => void) | null = null;
  private awaitedPending = 0;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    const parser = new ReplyParser({
      returnBuffers: true,
      returnReply: (reply) => this.deliver(reply),
      returnError: (error) => this.deliver(error),
      returnFatalError: (error) => this.fail(error),
    });
    socket.on('data', (chunk) => parser.execute(chunk));
    socket.on('drain', () => this.signal());
    socket.on('error', (error) => this.fail(error));
    socket.on('close', () => this.fail(new Error('connection closed')));
  }

  static connect(address: RawClientAddress): Promise<BulkClient> {
    return new Promise((resolve, reject) => {
      const socket = address.path ? net.connect(address.path) : net.connect(address.port!, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new BulkClient(socket));
      });
    });
  }

  /** Sends a command. Await `room` now and then, and `done` at the end. */
  send(args: readonly (string | number)[], take: Take = ignore): void {
    let text = `*${args.length}\r\n`;
    for (const arg of args) {
      const argText = String(arg);
      text += `$${argText.length}\r\n${argText}\r\n`;
    }
    this.unsent += text;
    this.pending.push(take);
    if (this.unsent.length >= WRITE_CHARACTERS) this.flush();
  }

  /** Sends a command and returns its reply. */
  async call(...args: (string | number)[]): Promise<Reply> {
    let result: Reply = null;
    this.send(args, (reply) => {
      result = reply;
    });
    await this.done();
    return result;
  }

  /** Settles when more commands may be sent. Rejects if one of those before was answered with an error. */
  async room(): Promise<void> {
    while (this.failure === null && this.socket.writableNeedDrain) await this.change();
    if (this.failure !== null || this.pendingCount > PENDING_MAX) await this.untilPending(PENDING_MAX / 2);
  }

  /** Settles when all replies have been taken. Rejects likewise. */
  async done(): Promise<void> {
    await this.untilPending(0);
  }

  close(): void {
    this.socket.destroy();
  }

  private get pendingCount(): number {
    return this.pending.length - this.pendingFirst;
  }

  private flush(): void {
    if (this.unsent !== '') this.socket.write(Buffer.from(this.unsent, 'latin1'));
    this.unsent = '';
  }

  private async untilPending(count: number): Promise<void> {
    this.flush();
    while (this.failure === null && this.pendingCount > count) {
      this.awaitedPending = count;
      await this.change();
    }
    if (this.failure !== null) throw this.failure;
  }

  private change(): Promise<void> {
    return new Promise((resolve) => {
      this.wake = resolve;
    });
  }

  private deliver(reply: RawReply): void {
    try {
      const take = this.pending[this.pendingFirst];
      if (take === undefined) throw new Error('a reply that nobody has asked for');
      // The list is cut once in a while: cutting it each time would move all that wait.
      if (++this.pendingFirst > PENDING_MAX) {
        this.pending = this.pending.slice(this.pendingFirst);
        this.pendingFirst = 0;
      }
      take(asText(reply));
    } catch (error) {
      this.fail(error as Error);
    }
    if (this.pendingCount <= this.awaitedPending) this.signal();
  }

  private fail(error: Error): void {
    this.failure ??= error;
    this.signal();
  }

  private signal(): void {
    this.wake?.();
    this.wake = null;
  }
}

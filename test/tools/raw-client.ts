/**
 * A client that speaks bytes: it sends exactly what it is given and hands back each reply as the
 * bytes that arrived, so that two servers can be compared byte for byte.
 */

import { Buffer } from 'node:buffer';
import net from 'node:net';

/** An argument of a command; numbers are sent in decimal. */
export type Argument = string | Uint8Array | number | bigint;

const enum Byte {
  CarriageReturn = 0x0d,
  Attribute = 0x7c,
}

/** Encodes one command as an array of bulk strings. */
export function encodeCommand(args: readonly Argument[]): Buffer {
  const parts: Uint8Array[] = [Buffer.from(`*${args.length}\r\n`)];
  for (const arg of args) {
    const bytes = arg instanceof Uint8Array ? arg : Buffer.from(String(arg));
    parts.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(parts);
}

/**
 * Finds the end of the reply (RESP2 or RESP3) that starts at `start`.
 * @returns the offset behind it, or, if it is incomplete, -n where n is the least size that the
 *   buffer must have before it is worth looking again.
 * @throws if the bytes are no reply.
 */
export function findReplyEnd(buffer: Buffer, start: number): number {
  let at = start;
  let open = 1;
  while (open > 0) {
    const lineEnd = buffer.indexOf('\r\n', at, 'latin1');
    if (lineEnd === -1) return -(buffer.length + 1);
    const type = String.fromCharCode(buffer[at]!);
    const line = buffer.toString('latin1', at + 1, lineEnd);
    at = lineEnd + 2;
    open--;
    switch (type) {
      case '+':
      case '-':
      case ':':
      case ',':
      case '#':
      case '_':
      case '(':
        break;
      case '$':
      case '=':
      case '!': {
        const length = Number(line);
        if (!Number.isInteger(length) || length < -1) throw new Error(`bad bulk length in reply: ${line}`);
        if (length === -1) break;
        if (at + length + 2 > buffer.length) return -(at + length + 2);
        at += length;
        if (buffer[at] !== Byte.CarriageReturn) throw new Error('bulk string in reply is not closed by CRLF');
        at += 2;
        break;
      }
      case '*':
      case '~':
      case '>':
      case '%':
      case '|': {
        const count = Number(line);
        if (!Number.isInteger(count) || count < -1) throw new Error(`bad count in reply: ${line}`);
        const elements = type === '%' || type === '|' ? 2 * count : count;
        if (elements > 0) open += elements;
        if (type.charCodeAt(0) === Byte.Attribute) open++;
        break;
      }
      default:
        throw new Error(`no reply starts with ${JSON.stringify(type + line)}`);
    }
  }
  return at;
}

export interface RawClientAddress {
  port?: number;
  host?: string;
  path?: string;
}

interface Waiter {
  resolve(reply: Buffer): void;
  reject(error: Error): void;
}

export class RawClient {
  /** Replies of RESP3's push type that have arrived, oldest first; they answer no command. */
  readonly pushes: Buffer[] = [];
  /** Settles when the connection is closed from either side. */
  readonly closed: Promise<void>;
  readonly socket: net.Socket;
  private chunks: Buffer[] = [];
  private pendingBytes = 0;
  private neededBytes = 1;
  private readonly replies: Buffer[] = [];
  private readonly waiters: Waiter[] = [];
  private failure: Error | null = null;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.receive(chunk));
    socket.on('error', (error) => this.fail(error));
    this.closed = new Promise((resolve) => {
      socket.on('close', () => {
        this.fail(new Error('connection closed'));
        resolve();
      });
    });
  }

  static connect(address: RawClientAddress): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const socket = address.path
        ? net.connect(address.path)
        : net.connect(address.port!, address.host ?? '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawClient(socket));
      });
    });
  }

  /** Sends bytes as they are. */
  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** Sends a command without waiting for its reply. */
  send(...args: Argument[]): void {
    this.socket.write(encodeCommand(args));
  }

  /** The next reply's bytes. Rejects if the connection ends first. */
  read(): Promise<Buffer> {
    const reply = this.replies.shift();
    if (reply) return Promise.resolve(reply);
    if (this.failure) return Promise.reject(this.failure);
    return new Promise((resolve, reject) => this.waiters.push({ resolve, reject }));
  }

  async readMany(count: number): Promise<Buffer[]> {
    const replies: Buffer[] = [];
    for (let i = 0; i < count; i++) replies.push(await this.read());
    return replies;
  }

  /** Sends a command and returns the bytes of its reply. */
  command(...args: Argument[]): Promise<Buffer> {
    this.send(...args);
    return this.read();
  }

  /** Like {@link command}, as a latin1 string, which is handy in expectations. */
  async text(...args: Argument[]): Promise<string> {
    return (await this.command(...args)).toString('latin1');
  }

  /** Sends commands in one write and returns the bytes of each reply. */
  pipeline(commands: readonly (readonly Argument[])[]): Promise<Buffer[]> {
    this.socket.write(Buffer.concat(commands.map(encodeCommand)));
    return this.readMany(commands.length);
  }

  /** How many replies have arrived that nobody has read yet. */
  get unread(): number {
    return this.replies.length;
  }

  close(): Promise<void> {
    this.socket.destroy();
    return this.closed;
  }

  private receive(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.pendingBytes += chunk.length;
    if (this.pendingBytes < this.neededBytes) return;
    const buffer = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks);
    let at = 0;
    this.neededBytes = 1;
    while (at < buffer.length) {
      let end: number;
      try {
        end = findReplyEnd(buffer, at);
      } catch (error) {
        this.fail(error as Error);
        this.socket.destroy();
        return;
      }
      if (end < 0) {
        this.neededBytes = -end - at;
        break;
      }
      this.deliver(Buffer.from(buffer.subarray(at, end)));
      at = end;
    }
    this.chunks = at < buffer.length ? [buffer.subarray(at)] : [];
    this.pendingBytes = buffer.length - at;
  }

  private deliver(reply: Buffer): void {
    if (reply[0] === 0x3e) {
      this.pushes.push(reply);
      return;
    }
    const waiter = this.waiters.shift();
    if (waiter) waiter.resolve(reply);
    else this.replies.push(reply);
  }

  private fail(error: Error): void {
    this.failure ??= error;
    for (const waiter of this.waiters.splice(0)) waiter.reject(this.failure);
  }
}

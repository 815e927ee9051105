/** A client that speaks bytes over TLS, and whose socket can be seen. */

import { Buffer } from 'node:buffer';
import { once } from 'node:events';
import net from 'node:net';
import { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { Random } from './random.js';
import { type Argument, encodeCommand, findReplyEnd } from './raw-client.js';

export class TlsClient {
  readonly socket: tls.TLSSocket;
  /** The connection under TLS. */
  readonly raw: net.Socket;
  private received: Buffer = Buffer.alloc(0);
  private chunks: Buffer[] = [];
  private chunkBytes = 0;
  /** Bytes that are needed before it is worth looking for the end of a reply. */
  private wantedBytes = 1;
  private wake: () => void = () => {};
  isClosed = false;

  private constructor(raw: net.Socket, socket: tls.TLSSocket) {
    this.raw = raw;
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.chunks.push(data);
      this.chunkBytes += data.length;
      if (this.received.length + this.chunkBytes >= this.wantedBytes) this.wake();
    });
    const ended = () => {
      this.isClosed = true;
      this.wake();
    };
    socket.on('close', ended).on('error', ended);
  }

  /** Connects. With `splits`, what TLS sends goes out in pieces of random sizes. Rejects if the handshake fails. */
  static async connect(port: number, options: tls.ConnectionOptions, splits?: Random): Promise<TlsClient> {
    const raw = net.connect(port, '127.0.0.1');
    raw.setNoDelay(true);
    await once(raw, 'connect');
    const socket = tls.connect({ ...options, socket: splits === undefined ? raw : splitting(raw, splits) });
    await once(socket, 'secureConnect');
    return new TlsClient(raw, socket);
  }

  send(...commands: readonly (readonly Argument[])[]): void {
    this.socket.write(Buffer.concat(commands.map(encodeCommand)));
  }

  /** The next reply; null if the connection has ended before. */
  async reply(): Promise<Buffer | null> {
    for (;;) {
      if (this.received.length + this.chunkBytes >= this.wantedBytes) {
        this.received = Buffer.concat([this.received, ...this.chunks]);
        this.chunks = [];
        this.chunkBytes = 0;
        const end = this.received.length === 0 ? -1 : findReplyEnd(this.received, 0);
        if (end > 0) {
          const reply = this.received.subarray(0, end);
          this.received = this.received.subarray(end);
          this.wantedBytes = 1;
          return reply;
        }
        this.wantedBytes = Math.max(1, -end);
      }
      if (this.isClosed) return null;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  async command(...args: readonly Argument[]): Promise<string> {
    this.send(args);
    return (await this.reply())?.toString('latin1') ?? 'closed';
  }

  async untilClosed(): Promise<void> {
    while (!this.isClosed) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  destroy(): void {
    this.socket.destroy();
    this.raw.destroy();
  }
}

/** A stream over a socket that sends in pieces, each at another time. */
function splitting(raw: net.Socket, random: Random): Duplex {
  const stream = new Duplex({
    read: () => raw.resume(),
    write: (data: Buffer, _encoding, done) => {
      const sendFrom = (at: number): void => {
        if (at >= data.length) {
          done();
          return;
        }
        const size = random.chance(0.3) ? 1 + random.below(8) : 1 + random.below(40_000);
        raw.write(data.subarray(at, at + size), () => setImmediate(sendFrom, at + size));
      };
      sendFrom(0);
    },
    final: (done) => {
      raw.end();
      done();
    },
    destroy: (_error, done) => {
      raw.destroy();
      done(null);
    },
  });
  raw.on('data', (data) => {
    if (!stream.push(data)) raw.pause();
  });
  raw.on('end', () => stream.push(null));
  raw.on('error', () => stream.destroy());
  return stream;
}

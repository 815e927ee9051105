/**
 * A connection with TLS as a stream of Node's, for a thread that has Node's event loop: that of replication, which gets it
 * from a worker in the midst of its session. Between this stream and the socket is the same codec as in a worker.
 */

import net from 'node:net';
import { Duplex } from 'node:stream';
import { loadOpenSsl, type OpenSsl, UNEXPECTED_END } from '../../system/openssl.js';
import {
  RECEIVED_BYTES_MAX,
  SEALED_AT_ONCE_BYTES_MAX,
  SEALED_ROOM_BYTES,
  TlsCodec,
  type TlsSession,
  TlsStatus,
} from './tls-codec.js';

type Done = (error?: Error | null) => void;

/** What this thread's connections share. */
interface Shared {
  readonly openSsl: OpenSsl;
  readonly codec: TlsCodec;
  readonly sealed: Uint8Array;
  readonly sealedAddress: number;
}

let shared: Shared | null = null;

function open(): Shared {
  if (shared === null) {
    const openSsl = loadOpenSsl() as OpenSsl;
    const sealed = new Uint8Array(SEALED_ROOM_BYTES);
    shared = { openSsl, codec: new TlsCodec(openSsl), sealed, sealedAddress: openSsl.addressOf(sealed) };
  }
  return shared;
}

export class TlsStream extends Duplex {
  private readonly socket: net.Socket;
  private readonly tls: TlsSession;
  private readonly shared = open();

  /** Takes over a socket, and the session and the record of its TLS from the thread that had it. */
  constructor(fd: number, session: number, record: number) {
    super({ allowHalfOpen: false });
    this.tls = this.shared.codec.adopt(session, record);
    const socket = new net.Socket({ fd, readable: true, writable: true, allowHalfOpen: false });
    this.socket = socket;
    socket.on('data', (bytes: Buffer) => this.receive(bytes));
    socket.on('end', () => {
      if (this.tls.session !== 0) this.destroy(new Error(UNEXPECTED_END));
    });
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  get remoteAddress(): string | undefined {
    return this.socket.remoteAddress;
  }

  setNoDelay(isOn?: boolean): this {
    this.socket.setNoDelay(isOn);
    return this;
  }

  /** Closes it once everything is sent. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', this.destroy);
  }

  override _read(): void {
    this.socket.resume();
  }

  private receive(bytes: Buffer): void {
    const { tls, shared } = this;
    const { codec } = shared;
    const address = shared.openSsl.addressOf(bytes);
    for (let at = 0; at < bytes.length && tls.session !== 0; at += RECEIVED_BYTES_MAX) {
      const end = Math.min(bytes.length, at + RECEIVED_BYTES_MAX);
      const length = codec.open(tls, bytes, address + at, at, end);
      const { status, failure } = codec;
      if (codec.hasOwnOutput) this.socket.write(this.takeSealed(codec.takeOwn(shared.sealedAddress)));
      if (length > 0 && !this.push(Buffer.from(codec.opened.subarray(0, length)))) this.socket.pause();
      if (status === TlsStatus.Open) continue;
      if (status === TlsStatus.Ended) this.push(null);
      else this.destroy(new Error(failure));
      return;
    }
  }

  private takeSealed(lengthBytes: number): Buffer {
    return Buffer.from(this.shared.sealed.subarray(0, lengthBytes));
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: Done): void {
    const { tls, shared, socket } = this;
    const { codec, openSsl, sealedAddress } = shared;
    if (bytes.length === 0) {
      done();
      return;
    }
    const address = openSsl.addressOf(bytes);
    for (let at = 0; at < bytes.length; ) {
      const length = Math.min(bytes.length - at, SEALED_AT_ONCE_BYTES_MAX);
      const sealedBytes = codec.seal(tls, address + at, length, sealedAddress);
      if (sealedBytes < 0) {
        done(new Error(codec.failure));
        return;
      }
      at += length;
      const isLast = at === bytes.length;
      if (isLast) socket.write(this.takeSealed(sealedBytes), done);
      else socket.write(this.takeSealed(sealedBytes));
    }
  }

  override _final(done: Done): void {
    this.sayGoodbye();
    this.socket.end(done);
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.tls.session !== 0) {
      // Behind what is not sent the client would wait for more of it.
      if (this.writableLength === 0) this.sayGoodbye();
      else this.shared.codec.end(this.tls, false, 0);
    }
    this.socket.destroy();
    done(error);
  }

  /** Ends TLS; nothing is sent or received from then on. */
  private sayGoodbye(): void {
    const { shared, socket } = this;
    const length = shared.codec.end(this.tls, true, shared.sealedAddress);
    if (length > 0 && socket.writable) socket.write(this.takeSealed(length));
  }
}

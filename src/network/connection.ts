/** One client's connection: its socket, the bytes of a command that is not complete, output that waits. */

import type { Session } from '../execution/session.js';
import type { ReplyWriter } from '../protocol/reply-writer.js';
import type { ParseState } from '../protocol/request-parser.js';
import type { Libc } from '../system/libc.js';
import { type InputBuffer, inputBuffers } from './input-buffers.js';
import { OutputQueue } from './output-queue.js';
import { TLS_SESSION_BYTES, type TlsSession } from './tls/tls-codec.js';

const INPUT_BYTES_MIN = 16 * 1024;
/** An input buffer larger than this is given back once it is empty. */
const INPUT_BYTES_KEPT_MAX = 64 * 1024;

export class Connection {
  fd: number;
  readonly events: ConnectionEvents;
  session: Session | null = null;
  parseState: ParseState | null = null;

  /** Bytes not consumed yet; null while there are none. */
  input: Uint8Array | null = null;
  inputView: DataView | null = null;
  inputLength = 0;
  /** The pooled buffer that `input` belongs to. */
  private inputBuffer: InputBuffer | null = null;
  /** How long the input has to be before its command can be complete; 0 if that is not known. */
  inputWanted = 0;

  /** Set if the socket carries TLS that is opened and sealed here. */
  tls: TlsSession | null = null;
  /** As in the protocol: 0x303 for TLS 1.2; 0 without TLS. */
  tlsVersion = 0;
  /** Output that waits for the socket; with TLS, it is not sealed yet. */
  readonly output = new OutputQueue();
  /** Sealed TLS records that the socket did not take: they are sent before `output`. */
  sealed: OutputQueue | null = null;
  /** Bytes in `output` and `sealed`, and those that the transport has and has not sent. */
  pendingOutputBytes = 0;

  /** Some of `input` has not been handed over yet, or has commands that are to run. */
  hasUndelivered = false;
  /** It is in the list of connections whose input is handed over next. */
  isQueued = false;
  /** The client sends no more. */
  hasEnded = false;

  isClosing = false;
  isClosed = false;
  isReadingPaused = false;
  /** While reading is paused, the client's end of stream closes the connection at once: else it would go unnoticed. */
  closesOnEnd = false;
  /** The client has taken some of the waiting output; the code that checks this clears it. */
  hasTakenOutput = false;
  /** Output is kept until the transport's `releaseOutput`. */
  isOutputHeld = false;
  /** Position up to which the journal has to be on the disk before the output is released. */
  heldUntil = 0;
  /** The same, but only for what its own commands have recorded. */
  recordedUntil = 0;
  /** When it last sent something, in the ticks of the worker's placement. */
  activeWindow = 0;

  // What is to be delivered to it: so far bytes [start, end) of a writer, null for nothing.
  deliveryWriter: ReplyWriter | null = null;
  deliveryStart = 0;
  deliveryEnd = 0;

  private cachedPeer: string | null = null;
  private cachedLocal: string | null = null;

  constructor(fd: number, events: ConnectionEvents) {
    this.fd = fd;
    this.events = events;
  }

  get queryBufferBytes(): number {
    return this.inputLength;
  }

  get queryBufferFreeBytes(): number {
    return this.input === null ? 0 : this.input.length - this.inputLength;
  }

  get pendingOutputChunks(): number {
    return this.output.blockCount + (this.sealed?.blockCount ?? 0);
  }

  get tlsSession(): number {
    return this.tls?.session ?? 0;
  }

  /** Memory that OpenSSL keeps for it. */
  get tlsBytes(): number {
    return this.tlsVersion === 0 ? 0 : TLS_SESSION_BYTES;
  }

  /** Gives back the room for input that an idle client has not filled. */
  shrinkInput(): void {
    const { input, inputLength } = this;
    if (input === null || inputLength === 0) {
      this.dropInput();
    } else if (input.length > Math.max(INPUT_BYTES_MIN, inputLength)) {
      this.inputWanted = 0;
      const old = this.inputBuffer as InputBuffer;
      this.useBuffer(inputBuffers.take(Math.max(INPUT_BYTES_MIN, inputLength)));
      (this.input as unknown as Uint8Array).set(input.subarray(0, inputLength));
      inputBuffers.give(old);
    }
  }

  private useBuffer(buffer: InputBuffer): void {
    this.inputBuffer = buffer;
    this.input = buffer.bytes;
    this.inputView = buffer.view;
  }

  /** Where the room behind its input begins in memory. There must be a buffer. */
  addressBehindInput(libc: Libc): number {
    const buffer = this.inputBuffer as InputBuffer;
    if (buffer.address === 0) buffer.address = libc.addressOf(buffer.bytes);
    return buffer.address + this.inputLength;
  }

  /** Whether it may move: no input or output of it waits here. */
  get isMovable(): boolean {
    return (
      !this.isClosed &&
      !this.isClosing &&
      !this.isReadingPaused &&
      !this.isOutputHeld &&
      this.pendingOutputBytes === 0 &&
      this.deliveryWriter === null &&
      this.inputLength === 0
    );
  }

  /** Gives it up: from now on another thread owns it. */
  abandon(): void {
    this.isClosed = true;
    this.fd = -1;
    this.tls = null;
    this.dropInput();
  }

  closeAfterReply(): void {
    this.isClosing = true;
    if (this.session !== null) this.session.closing = true;
  }

  peerAddress(): string {
    this.cachedPeer ??= this.events.peerAddress(this);
    return this.cachedPeer;
  }

  localAddress(): string {
    this.cachedLocal ??= this.events.localAddress(this);
    return this.cachedLocal;
  }

  /** Keeps bytes[start, end) as the beginning of what comes next, with room for `bytesNeeded` more. */
  keepInput(bytes: Uint8Array, start: number, end: number, bytesNeeded: number): void {
    const length = end - start;
    this.inputWanted = 0;
    if (length === 0) {
      this.inputLength = 0;
      if (this.input !== null && this.input.length > INPUT_BYTES_KEPT_MAX) this.dropInput();
      return;
    }
    const wanted = length + bytesNeeded;
    if (this.input === null || this.input.length < wanted) {
      const old = this.inputBuffer;
      // Doubling keeps the cost of a command that comes in many pieces linear.
      const capacity = Math.max(
        INPUT_BYTES_MIN,
        wanted,
        old === null ? 0 : Math.min(old.bytes.length * 2, wanted * 2),
      );
      const larger = inputBuffers.take(capacity);
      larger.bytes.set(bytes.subarray(start, end));
      this.useBuffer(larger);
      if (old !== null) inputBuffers.give(old);
    } else if (bytes === this.input) {
      if (start > 0) this.input.copyWithin(0, start, end);
    } else {
      this.input.set(bytes.subarray(start, end));
    }
    this.inputLength = length;
  }

  /** Appends bytes[start, end) to the input that is there already. */
  appendInput(bytes: Uint8Array, start: number, end: number): void {
    if (this.inputLength === 0) {
      this.keepInput(bytes, start, end, 0);
      return;
    }
    // Makes room.
    this.keepInput(this.input as Uint8Array, 0, this.inputLength, end - start);
    (this.input as Uint8Array).set(bytes.subarray(start, end), this.inputLength);
    this.inputLength += end - start;
  }

  /** Copies bytes[start, end) into the room behind the input, which must be there. Returns how many they are. */
  addInput(bytes: Uint8Array, start: number, end: number): number {
    (this.input as Uint8Array).set(bytes.subarray(start, end), this.inputLength);
    return end - start;
  }

  /** Doubles the room for input that is not consumed yet. */
  growInput(): void {
    if (this.input !== null) this.keepInput(this.input, 0, this.inputLength, this.inputLength);
  }

  /** Keeps a copy of bytes[start, end) to be sent once the socket takes more. */
  queueOutput(bytes: Uint8Array, start: number, end: number): void {
    this.pendingOutputBytes += end - start;
    this.output.append(bytes, start, end);
  }

  /** Keeps bytes[start, end) as they are: the buffer is the connection's from now on. */
  adoptOutput(bytes: Uint8Array, start: number, end: number): void {
    this.pendingOutputBytes += end - start;
    this.output.adopt(bytes, start, end);
  }

  /** Keeps a copy of bytes that a send did not take, ahead of all other output. */
  queueUnsent(bytes: Uint8Array, start: number, end: number): void {
    if (this.tls !== null) {
      this.queueSealed(bytes, start, end);
      return;
    }
    this.pendingOutputBytes += end - start;
    if (this.output.lengthBytes === 0) this.output.append(bytes, start, end);
    else this.output.prepend(bytes, start, end);
  }

  /** Keeps a copy of sealed bytes[start, end), which are sent before anything else. */
  queueSealed(bytes: Uint8Array, start: number, end: number): void {
    this.pendingOutputBytes += end - start;
    this.sealed ??= new OutputQueue();
    this.sealed.append(bytes, start, end);
  }

  /** Removes bytes that are sent from the first sealed block. */
  sealedSent(lengthBytes: number): void {
    this.hasTakenOutput = true;
    this.pendingOutputBytes -= lengthBytes;
    this.sealed?.consume(lengthBytes);
  }

  /** Removes bytes that are sent from the first block. */
  outputSent(lengthBytes: number): void {
    this.hasTakenOutput = true;
    this.pendingOutputBytes -= lengthBytes;
    this.output.consume(lengthBytes);
  }

  dropOutput(): void {
    this.output.clear();
    this.sealed?.clear();
    this.sealed = null;
    this.pendingOutputBytes = 0;
  }

  /** Drops the input, which is not needed any more. */
  dropInput(): void {
    if (this.inputBuffer !== null) inputBuffers.give(this.inputBuffer);
    this.inputBuffer = null;
    this.input = null;
    this.inputView = null;
    this.inputLength = 0;
    this.inputWanted = 0;
  }
}

/** What a connection needs from its transport. */
export interface ConnectionEvents {
  peerAddress(connection: Connection): string;
  localAddress(connection: Connection): string;
}

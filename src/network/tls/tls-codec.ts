/**
 * TLS between the sockets of a worker and what is above them: opens records that have arrived, and seals replies.
 *
 * OpenSSL reads from and writes to memory BIOs. One pair of them serves all connections of a worker, since neither
 * holds anything between two calls here, so an idle connection has no buffers:
 *
 *   * What has arrived is put into the input BIO and read until nothing is left in it. The beginning of a record whose rest
 *     has not come goes to a buffer of the connection's own in OpenSSL.
 *   * What OpenSSL has written to the output BIO is taken out at once.
 *
 * A read that finds nothing costs as much as the opening of a small record. So the codec follows where records begin and
 * end (their headers are in the clear), and knows when everything has been read. Each read that returns bytes has used
 * up at least one record, and one that wants more has emptied the BIO: either way nothing is left for the next connection.
 */

import { BIO_RESET, NID_COMMON_NAME, type OpenSsl, SslError, tlsReason } from '../../system/openssl.js';

/** The most that `open` takes at a time; the plain text fits, with the part of a record that had come before. */
export const RECEIVED_BYTES_MAX = 64 * 1024;
const RECORD_BYTES_MAX = 16 * 1024 + 512;
const OPENED_BYTES = RECEIVED_BYTES_MAX + 2 * RECORD_BYTES_MAX;
const HEADER_BYTES = 5;
/** Limit for a common name; standards allow for 64 characters. */
const NAME_BYTES_MAX = 256;
/** The most that `seal` takes at a time. */
export const SEALED_AT_ONCE_BYTES_MAX = 64 * 1024;
/** What sealing adds to a record: header, tag, type, nonce or padding of older versions. */
const RECORD_OVERHEAD_BYTES = 128;
/** Room that `seal` needs. */
export const SEALED_ROOM_BYTES = SEALED_AT_ONCE_BYTES_MAX + 8 * RECORD_OVERHEAD_BYTES + RECORD_BYTES_MAX;

/** Memory of an idle connection's session with OpenSSL 3.0: keys, the state of its records. */
export const TLS_SESSION_BYTES = 15 * 1024;

const enum RecordType {
  Alert = 21,
  Handshake = 22,
  ApplicationData = 23,
}

export const enum TlsStatus {
  Open = 0,
  /** The client has said that it sends no more. */
  Ended = 1,
  Failed = 2,
}

/** One connection's TLS. */
export class TlsSession {
  /** The address of the SSL; 0 once it is freed. */
  session: number;
  /** Bytes of the record's header that have come, and what they say of its length. */
  headerBytes = 0;
  recordBytes = 0;
  /** Bytes of the record behind its header that have not come. */
  missingBytes = 0;

  /** `record`: how much of a record had come in the thread that had the session before. */
  constructor(session: number, record: number) {
    this.session = session;
    this.headerBytes = record >> 16;
    if (this.headerBytes < HEADER_BYTES) this.recordBytes = record & 0xffff;
    else this.missingBytes = record & 0xffff;
  }

  /** How much of the current record has come, packed in an int32, 0 between two records. OpenSSL has the bytes. */
  get record(): number {
    const { headerBytes } = this;
    return (headerBytes << 16) | (headerBytes < HEADER_BYTES ? this.recordBytes : this.missingBytes);
  }
}

export class TlsCodec {
  /** What `open` has opened, from 0 on. */
  opened = new Uint8Array(OPENED_BYTES);
  openedView = new DataView(this.opened.buffer);
  /** Result of the last `open`. */
  status: TlsStatus = TlsStatus.Open;
  /** Why `status` is Failed. */
  failure = '';
  /** OpenSSL has something to send by itself: an alert, new keys. `takeOwn` gets it. */
  hasOwnOutput = false;
  private readonly openSsl: OpenSsl;
  private readonly input: number;
  private readonly output: number;
  private openedAddress: number;
  /** The second buffer, see `swapOpened`. */
  private spare: Uint8Array<ArrayBuffer> | null = null;

  constructor(openSsl: OpenSsl) {
    this.openSsl = openSsl;
    const method = openSsl.memoryMethod();
    this.input = openSsl.newBio(method);
    this.output = openSsl.newBio(method);
    this.openedAddress = openSsl.addressOf(this.opened);
  }

  /** Takes over a connection whose handshake is done; `record` is that of its TlsSession in another thread. */
  adopt(session: number, record = 0): TlsSession {
    const { openSsl, input, output } = this;
    openSsl.shareBio(input);
    openSsl.shareBio(output);
    openSsl.setBios(session, input, output);
    return new TlsSession(session, record);
  }

  /** Swaps `opened` with another buffer while a command runs whose bytes are in it, and back. */
  swapOpened(): void {
    const { opened } = this;
    this.opened = this.spare ?? new Uint8Array(OPENED_BYTES);
    this.openedView = new DataView(this.opened.buffer);
    this.openedAddress = this.openSsl.addressOf(this.opened);
    this.spare = opened;
  }

  /** The common name in the certificate that the client has shown, a byte string; '' if there is none, or a very long one. */
  commonName(session: number): string {
    const { openSsl } = this;
    const certificate = openSsl.peerCertificate(session);
    if (certificate === 0) return '';
    const room = new Uint8Array(NAME_BYTES_MAX + 1);
    const name = openSsl.subjectOf(certificate);
    const length = openSsl.nameText(name, NID_COMMON_NAME, openSsl.addressOf(room), room.length);
    openSsl.freeCertificate(certificate);
    return length <= 0 || length >= NAME_BYTES_MAX
      ? ''
      : Buffer.from(room.buffer, 0, length).toString('latin1');
  }

  /** The version of TLS, as in the protocol. */
  version(session: number): number {
    return this.openSsl.version(session);
  }

  /**
   * Opens what has arrived: bytes[start, end), the first byte of which is at `address`, at most RECEIVED_BYTES_MAX.
   * Returns how many bytes are in `opened`; `status` tells whether the connection goes on behind them.
   */
  open(tls: TlsSession, bytes: Uint8Array, address: number, start: number, end: number): number {
    this.status = TlsStatus.Open;
    const records = this.countRecords(tls, bytes, start, end);
    if (records < 0) {
      const isHandshake = -records === RecordType.Handshake;
      this.fail(
        isHandshake ? 'unexpected message: renegotiation is not allowed' : 'unexpected type of a record',
      );
      return 0;
    }
    const { openSsl, openedAddress } = this;
    const { session } = tls;
    const isCut = tls.headerBytes > 0;
    openSsl.writeBio(this.input, address, end - start);
    let length = 0;
    for (let read = 0; read < records; read++) {
      const got = openSsl.read(session, openedAddress + length, OPENED_BYTES - length);
      if (got <= 0) {
        this.endOfData(session, got);
        return length;
      }
      length += got;
    }
    if (isCut) {
      // Has OpenSSL keep the beginning of the record.
      let got = openSsl.read(session, openedAddress + length, OPENED_BYTES - length);
      for (; got > 0; got = openSsl.read(session, openedAddress + length, OPENED_BYTES - length))
        length += got;
      this.endOfData(session, got);
    }
    return length;
  }

  /** Counts the records that bytes[start, end) complete; returns minus its type for a record that may not come now. */
  private countRecords(tls: TlsSession, bytes: Uint8Array, start: number, end: number): number {
    let count = 0;
    for (let at = start; at < end; ) {
      if (tls.headerBytes < HEADER_BYTES) {
        const byte = bytes[at++];
        if (tls.headerBytes === 0) {
          if (byte !== RecordType.ApplicationData && byte !== RecordType.Alert) return -byte || -1;
        } else if (tls.headerBytes >= 3) {
          tls.recordBytes = ((tls.recordBytes << 8) | byte) & 0xffff;
        }
        if (++tls.headerBytes === HEADER_BYTES) tls.missingBytes = tls.recordBytes;
        if (tls.headerBytes < HEADER_BYTES || tls.missingBytes > 0) continue;
      } else {
        const taken = Math.min(end - at, tls.missingBytes);
        at += taken;
        tls.missingBytes -= taken;
        if (tls.missingBytes > 0) continue;
      }
      count++;
      tls.headerBytes = 0;
      tls.recordBytes = 0;
    }
    return count;
  }

  /** A read has returned no bytes. */
  private endOfData(session: number, result: number): void {
    const { openSsl } = this;
    const error = openSsl.error(session, result);
    if (error === SslError.ZeroReturn) {
      this.status = TlsStatus.Ended;
      this.drop();
    } else if (error !== SslError.WantRead && error !== SslError.WantWrite) {
      this.fail(tlsReason(openSsl.takeErrors()) ?? 'the connection is broken');
      return;
    }
    // A record without application data may require an answer.
    this.hasOwnOutput = openSsl.pendingInBio(this.output) > 0;
  }

  private fail(reason: string): void {
    this.status = TlsStatus.Failed;
    this.failure = reason;
    this.drop();
    this.hasOwnOutput = this.openSsl.pendingInBio(this.output) > 0;
  }

  /** Discards what is left in the input BIO, which all connections share. */
  private drop(): void {
    this.openSsl.controlBio(this.input, BIO_RESET, 0, 0);
  }

  /**
   * Seals bytes at an address, at most SEALED_AT_ONCE_BYTES_MAX, into `target`, which has SEALED_ROOM_BYTES. Returns the
   * length of the records; -1 if the connection is broken.
   */
  seal(tls: TlsSession, address: number, lengthBytes: number, target: number): number {
    const { openSsl } = this;
    if (openSsl.write(tls.session, address, lengthBytes) === lengthBytes)
      return openSsl.readBio(this.output, target, SEALED_ROOM_BYTES);
    this.fail(tlsReason(openSsl.takeErrors()) ?? 'the connection is broken');
    openSsl.controlBio(this.output, BIO_RESET, 0, 0);
    this.hasOwnOutput = false;
    return -1;
  }

  /** Puts OpenSSL's own output into `target`, which has SEALED_ROOM_BYTES. Returns its length. */
  takeOwn(target: number): number {
    this.hasOwnOutput = false;
    return Math.max(0, this.openSsl.readBio(this.output, target, SEALED_ROOM_BYTES));
  }

  /** Frees a connection's session. With `saysGoodbye`, what ends the stream is put into `target` first; returns its length. */
  end(tls: TlsSession, saysGoodbye: boolean, target: number): number {
    const { openSsl } = this;
    let length = 0;
    if (saysGoodbye && openSsl.shutdown(tls.session) >= 0) length = this.takeOwn(target);
    else openSsl.takeErrors();
    openSsl.freeSession(tls.session);
    tls.session = 0;
    return length;
  }
}

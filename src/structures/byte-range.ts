/** A range of bytes in a buffer: how a structure returns what it has read. Each read overwrites the fields. */
export class ByteRange {
  bytes: Uint8Array;
  /** Covers the same bytes as `bytes`. */
  view: DataView;
  offset = 0;
  lengthBytes = 0;

  constructor(bytes: Uint8Array, view: DataView) {
    this.bytes = bytes;
    this.view = view;
  }

  set(bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): void {
    this.bytes = bytes;
    this.view = view;
    this.offset = offset;
    this.lengthBytes = lengthBytes;
  }
}

/** Some bytes of a buffer, as a structure hands out what it has read: the fields are set anew by each reading. */
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

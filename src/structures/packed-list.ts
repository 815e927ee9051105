/**
 * A list of byte strings and integers packed into one block: what small hashes, lists, sets and sorted
 * sets are made of. The layout is the listpack format (Sanfilippo, "Listpack", 2017), so a snapshot can
 * copy a block into an RDB file as it stands.
 *
 *   byte 0   word   total bytes, from byte 0 to the end byte
 *   byte 4   u16    number of elements; 65535: count them
 *   byte 6          elements
 *   last byte       255
 *
 *   element: | encoding, with the integer or the length | the string's bytes | back length |
 *
 *   0xxxxxxx                        7-bit unsigned integer
 *   10xxxxxx                        string of up to 63 bytes
 *   110xxxxx xxxxxxxx               13-bit signed integer
 *   1110xxxx xxxxxxxx               string of up to 4095 bytes
 *   11110000 and 4 bytes            string of up to 2^32 - 1 bytes
 *   11110001 .. 11110100            signed integer of 2, 3, 4 or 8 bytes
 *
 * The back length is the element's length without itself, in groups of 7 bits, last group first, so that it
 * is read from right to left. Numbers are little-endian.
 *
 * A string that is the decimal form of a safe integer is kept as that integer. The size of the block is `capacity` of
 * the total bytes: exact to the granule when short, with up to an eighth to spare when long, so that appending does not
 * move it each time.
 */

import type { Arena } from '../memory/arena.js';
import { IntegerParser, writeInteger } from '../memory/numbers.js';
import type { ShardMemory } from '../memory/shard-memory.js';
import { copyBytes, equalBytes, moveBytes } from './copy.js';
import { backLengthBytes, Encoding, writeBackLength, writeIntegerElement } from './packed-element.js';

const HEADER_BYTES = 6;
/** The byte behind the last element. */
export const PACKED_END = 0xff;
/** The count in the header of a list that has, or once had, at least this many elements. */
export const COUNT_UNKNOWN = 0xffff;
/** Length of an empty list. */
export const EMPTY_LIST_BYTES = HEADER_BYTES + 1;

/** No list grows beyond this, whatever a command adds. */
export const PACKED_LIST_BYTES_MAX = 1 << 30;

const TEXT_BYTES = 24;

/** The bytes to ask of the arena for a list of `totalBytes`. */
function capacity(totalBytes: number): number {
  if (totalBytes <= 128) return (totalBytes + 7) & ~7;
  const step = 1 << (28 - Math.clz32(totalBytes - 1));
  return (totalBytes + step - 1) & -step;
}

export class PackedList {
  private readonly arena: Arena;
  protected readonly words: Int32Array;
  protected readonly shardBytes: Uint8Array;
  protected readonly shardView: DataView;
  private readonly text = new Uint8Array(TEXT_BYTES);
  private readonly textView = new DataView(this.text.buffer);
  protected readonly parser = new IntegerParser();

  // The element read last, as text: `lengthBytes` bytes of `bytes` from `offset` on.
  bytes: Uint8Array;
  view: DataView;
  offset = 0;
  lengthBytes = 0;
  /** Whether the element read last is kept as an integer, and which. */
  isInteger = false;
  integer = 0;

  /** Position of the element inserted last, or of the one after the elements removed last (0: the end). */
  position = 0;

  // The value that is being written or looked for, classified by `classify`.
  private valueIsInteger = false;
  private valueInteger = 0;
  private valueBytes = 0;

  constructor(memory: ShardMemory, arena: Arena) {
    this.arena = arena;
    this.words = memory.words;
    this.shardBytes = memory.bytes;
    this.shardView = memory.view;
    this.bytes = memory.bytes;
    this.view = memory.view;
  }

  /** Bytes that the arena's block has in front of a list of `_count` elements (a KeyedList's index). */
  protected frontBytes(_count: number): number {
    return 0;
  }

  /** Takes a block for a list of this length; 0 if there is no memory. Returns where the list begins. */
  private allocate(totalBytes: number, count: number): number {
    const front = this.frontBytes(count);
    const block = this.arena.allocate(front + capacity(totalBytes));
    return block === 0 ? 0 : block + front;
  }

  /** The number of elements, or COUNT_UNKNOWN. */
  protected knownCount(block: number): number {
    return this.shardView.getUint16(block + 4, true);
  }

  /** A new empty list; 0 if there is no memory. */
  create(): number {
    const block = this.allocate(EMPTY_LIST_BYTES, 0);
    if (block === 0) return 0;
    this.words[block >> 2] = EMPTY_LIST_BYTES;
    this.shardView.setUint16(block + 4, 0, true);
    this.shardBytes[block + HEADER_BYTES] = PACKED_END;
    return block;
  }

  /** A new list of elements that are encoded already; 0 if there is no memory. */
  createFrom(elements: number, elementsBytes: number, count: number): number {
    const total = elementsBytes + EMPTY_LIST_BYTES;
    const block = this.allocate(total, Math.min(count, COUNT_UNKNOWN));
    if (block === 0) return 0;
    const { shardBytes } = this;
    shardBytes.copyWithin(block + HEADER_BYTES, elements, elements + elementsBytes);
    shardBytes[block + total - 1] = PACKED_END;
    this.words[block >> 2] = total;
    this.shardView.setUint16(block + 4, Math.min(count, COUNT_UNKNOWN), true);
    return block;
  }

  release(block: number): void {
    const front = this.frontBytes(this.knownCount(block));
    this.arena.free(block - front, front + capacity(this.words[block >> 2]));
  }

  /** A copy of another list of the same kind, of this shard or of another; 0 if there is no memory. */
  copy(source: this, sourceBlock: number): number {
    const total = source.words[sourceBlock >> 2];
    const count = source.knownCount(sourceBlock);
    const block = this.allocate(total, count);
    if (block === 0) return 0;
    const front = this.frontBytes(count);
    copyBytes(
      this.shardBytes,
      this.shardView,
      block - front,
      source.shardBytes,
      source.shardView,
      sourceBlock - front,
      front + total,
    );
    return block;
  }

  /** Length of the list in bytes, as the limits of the configuration count it. */
  totalBytes(block: number): number {
    return this.words[block >> 2];
  }

  /** Bytes that the list takes of the arena. */
  blockBytes(block: number): number {
    return this.frontBytes(this.knownCount(block)) + capacity(this.words[block >> 2]);
  }

  count(block: number): number {
    const count = this.knownCount(block);
    if (count !== COUNT_UNKNOWN) return count;
    let elements = 0;
    for (let at = this.first(block); at !== 0; at = this.next(at)) elements++;
    return elements;
  }

  /** Position of the first element, 0 if there is none. */
  first(block: number): number {
    const at = block + HEADER_BYTES;
    return this.shardBytes[at] === PACKED_END ? 0 : at;
  }

  /** Where an element is inserted to become the first. */
  start(block: number): number {
    return block + HEADER_BYTES;
  }

  /** Position of the last element, 0 if there is none. */
  last(block: number): number {
    return this.previous(block, this.end(block));
  }

  /** Where an element is inserted to become the last. */
  end(block: number): number {
    return block + this.words[block >> 2] - 1;
  }

  /** Position of the element after the one at `at`, 0 at the end. */
  next(at: number): number {
    const following = at + this.spanBytes(at);
    return this.shardBytes[following] === PACKED_END ? 0 : following;
  }

  /** Position of the element before the one at `at` (or before the end), 0 at the beginning. */
  previous(block: number, at: number): number {
    return at === block + HEADER_BYTES ? 0 : this.before(at);
  }

  /** Position of the element that ends at `at`, where another one or the list's end begins. */
  before(at: number): number {
    const { shardBytes } = this;
    let from = at - 1;
    let length = shardBytes[from] & 127;
    for (let shift = 7; (shardBytes[from] & 128) !== 0; shift += 7) {
      from--;
      length |= (shardBytes[from] & 127) << shift;
    }
    return from - length;
  }

  /** Position `count` elements after the one at `at`. The list must have them, or end exactly there. */
  protected forward(at: number, count: number): number {
    const { shardBytes } = this;
    for (; count > 0; count--) {
      const first = shardBytes[at];
      at += (first & 0xc0) === 0x80 ? (first & 63) + 2 : this.spanBytes(at);
    }
    return at;
  }

  /** Position `count` elements before `at` (an element or the end). The list must have as many. */
  private backward(at: number, count: number): number {
    const { shardBytes } = this;
    for (; count > 0; count--) {
      const length = shardBytes[at - 1];
      at = length < 128 ? at - 1 - length : this.before(at);
    }
    return at;
  }

  /** Position of the element with this index, from the end if negative; 0 if there is none. */
  seek(block: number, index: number): number {
    const count = this.count(block);
    if (index >= count || index < -count) return 0;
    if (index < 0) index += count;
    return index <= count >> 1
      ? this.forward(this.start(block), index)
      : this.backward(this.end(block), count - index);
  }

  /** Reads the element at `at` into `bytes`, `offset`, `lengthBytes`, `isInteger` and `integer`. */
  read(at: number): void {
    const { shardBytes } = this;
    const first = shardBytes[at];
    if ((first & 0xc0) === 0x80) {
      this.setString(at + 1, first & 63);
    } else if (first < 0x80) {
      this.setInteger(first);
    } else if ((first & 0xf0) === Encoding.String12) {
      this.setString(at + 2, ((first & 15) << 8) | shardBytes[at + 1]);
    } else if (first === Encoding.String32) {
      this.setString(at + 5, this.shardView.getInt32(at + 1, true));
    } else {
      this.setInteger(this.integerAt(at, first));
    }
  }

  /** The integer that the element at `at` is kept as; NaN if it is a string. Quicker than `read`. */
  integerOrNaN(at: number): number {
    const first = this.shardBytes[at];
    return this.isIntegerAt(first) ? this.integerAt(at, first) : Number.NaN;
  }

  /** Reads the element at `at` as `read` does; returns the position of the one after it, 0 at the end. */
  readOn(at: number): number {
    const first = this.shardBytes[at];
    let following: number;
    if ((first & 0xc0) === 0x80) {
      const lengthBytes = first & 63;
      this.setString(at + 1, lengthBytes);
      following = at + lengthBytes + 2;
    } else {
      this.read(at);
      following = at + this.spanBytes(at);
    }
    return this.shardBytes[following] === PACKED_END ? 0 : following;
  }

  private setString(offset: number, lengthBytes: number): void {
    this.isInteger = false;
    this.bytes = this.shardBytes;
    this.view = this.shardView;
    this.offset = offset;
    this.lengthBytes = lengthBytes;
  }

  private setInteger(integer: number): void {
    this.isInteger = true;
    this.integer = integer;
    this.bytes = this.text;
    this.view = this.textView;
    this.offset = 0;
    this.lengthBytes = writeInteger(this.text, 0, integer);
  }

  protected integerAt(at: number, first: number): number {
    const { shardView } = this;
    if (first < 0x80) return first;
    if ((first & 0xe0) === Encoding.Integer13) {
      const value = ((first & 31) << 8) | this.shardBytes[at + 1];
      return value >= 4096 ? value - 8192 : value;
    }
    if (first === Encoding.Integer16) return shardView.getInt16(at + 1, true);
    if (first === Encoding.Integer24)
      return (shardView.getInt8(at + 3) << 16) | shardView.getUint16(at + 1, true);
    if (first === Encoding.Integer32) return shardView.getInt32(at + 1, true);
    return shardView.getInt32(at + 5, true) * 0x100000000 + shardView.getUint32(at + 1, true);
  }

  /** Whether an element is kept as an integer. */
  protected isIntegerAt(first: number): boolean {
    return first < 0x80 || (first & 0xe0) === Encoding.Integer13 || first > Encoding.String32;
  }

  /** Bytes of the element at `at`, which begins with `first` and is no short string, without its back length. */
  private elementBytes(at: number, first: number): number {
    if (first < 0x80) return 1;
    if (first < Encoding.String12) return 2;
    if (first < Encoding.String32) return 2 + (((first & 15) << 8) | this.shardBytes[at + 1]);
    if (first === Encoding.String32) return 5 + this.shardView.getInt32(at + 1, true);
    if (first === Encoding.Integer16) return 3;
    if (first === Encoding.Integer24) return 4;
    return first === Encoding.Integer32 ? 5 : 9;
  }

  /** Bytes of the element at `at`. */
  spanBytes(at: number): number {
    const first = this.shardBytes[at];
    if ((first & 0xc0) === 0x80) return (first & 63) + 2;
    const lengthBytes = this.elementBytes(at, first);
    return lengthBytes + backLengthBytes(lengthBytes);
  }

  /** Whether the element at `at` has this text. */
  equals(at: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): boolean {
    const { shardBytes, shardView } = this;
    const first = shardBytes[at];
    if ((first & 0xc0) === 0x80) {
      return (
        (first & 63) === lengthBytes &&
        equalBytes(shardBytes, shardView, at + 1, bytes, view, offset, lengthBytes)
      );
    }
    if (this.isIntegerAt(first)) {
      return (
        this.parser.parse(bytes, offset, lengthBytes) &&
        this.parser.isSafe &&
        this.parser.value === this.integerAt(at, first)
      );
    }
    this.read(at);
    return (
      this.lengthBytes === lengthBytes &&
      equalBytes(shardBytes, shardView, this.offset, bytes, view, offset, lengthBytes)
    );
  }

  /**
   * Position of the first element with this text, looking at the one at `at` and then at every
   * (1 + skip)th; 0 if there is none.
   */
  find(
    at: number,
    skip: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    if (at === 0) return 0;
    const { shardBytes, shardView } = this;
    const isInteger = this.parser.parse(bytes, offset, lengthBytes) && this.parser.isSafe;
    const integer = this.parser.value;
    // Elements of a list often begin alike: their ends tell them apart sooner.
    const tailBytes = lengthBytes < 4 ? 0 : 4;
    const tail = tailBytes === 0 ? 0 : view.getInt32(offset + lengthBytes - 4, true);
    for (let first = shardBytes[at]; first !== PACKED_END; first = shardBytes[at]) {
      if ((first & 0xc0) === 0x80) {
        const size = first & 63;
        if (
          size === lengthBytes &&
          (tailBytes === 0 || shardView.getInt32(at + size - 3, true) === tail) &&
          equalBytes(shardBytes, shardView, at + 1, bytes, view, offset, lengthBytes)
        ) {
          return at;
        }
        at += size + 2;
      } else {
        if (isInteger) {
          if (this.isIntegerAt(first) && this.integerAt(at, first) === integer) return at;
        } else if ((first & 0xf0) === Encoding.String12 || first === Encoding.String32) {
          if (this.equals(at, bytes, view, offset, lengthBytes)) return at;
        }
        at += this.spanBytes(at);
      }
      for (let left = skip; left > 0 && shardBytes[at] !== PACKED_END; left--) at += this.spanBytes(at);
    }
    return 0;
  }

  /** Decides how a value is stored; returns the bytes of its element without the back length. */
  private classify(bytes: Uint8Array, offset: number, lengthBytes: number): number {
    this.valueIsInteger = this.parser.parse(bytes, offset, lengthBytes) && this.parser.isSafe;
    if (!this.valueIsInteger) {
      this.valueBytes = lengthBytes + (lengthBytes <= 63 ? 1 : lengthBytes <= 4095 ? 2 : 5);
      return this.valueBytes;
    }
    return this.classifyInteger(this.parser.value);
  }

  private classifyNumber(number: number, text: Uint8Array, textLengthBytes: number): number {
    if (!Number.isSafeInteger(number)) return this.classify(text, 0, textLengthBytes);
    this.valueIsInteger = true;
    return this.classifyInteger(number);
  }

  private classifyInteger(value: number): number {
    this.valueInteger = value;
    if (value >= 0 && value <= 127) this.valueBytes = 1;
    else if (value >= -4096 && value <= 4095) this.valueBytes = 2;
    else if (value >= -32768 && value <= 32767) this.valueBytes = 3;
    else if (value >= -8388608 && value <= 8388607) this.valueBytes = 4;
    else this.valueBytes = value === (value | 0) ? 5 : 9;
    return this.valueBytes;
  }

  /** The bytes that a value adds to a list. */
  addedBytes(bytes: Uint8Array, offset: number, lengthBytes: number): number {
    const elementBytes = this.classify(bytes, offset, lengthBytes);
    return elementBytes + backLengthBytes(elementBytes);
  }

  /**
   * Inserts a value before the element at `at` (or at `end(block)`). Returns the list, which may have
   * moved, or 0 with nothing changed if there is no memory; `position` tells where the new element is. The value
   * may lie in this shard, but not in this list.
   */
  insert(
    block: number,
    at: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const elementBytes = this.classify(bytes, offset, lengthBytes);
    const added = elementBytes + backLengthBytes(elementBytes);
    const moved = this.openGap(block, at, 0, added, 1);
    if (moved !== 0) this.writeElement(this.position, bytes, view, offset, lengthBytes);
    return moved;
  }

  /**
   * Inserts a string and behind it a number, in one go; the same rules as for `insert`. A number that is no safe
   * integer is written as the text in `text`.
   */
  insertWithNumber(
    block: number,
    at: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
    number: number,
    text: Uint8Array,
    textView: DataView,
    textLengthBytes: number,
  ): number {
    const elementBytes = this.classify(bytes, offset, lengthBytes);
    const span = elementBytes + backLengthBytes(elementBytes);
    const numberBytes = this.classifyNumber(number, text, textLengthBytes);
    const moved = this.openGap(block, at, 0, span + numberBytes + backLengthBytes(numberBytes), 2);
    if (moved === 0) return 0;
    this.writeElement(this.position + span, text, textView, 0, textLengthBytes);
    this.classify(bytes, offset, lengthBytes);
    this.writeElement(this.position, bytes, view, offset, lengthBytes);
    return moved;
  }

  append(block: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): number {
    return this.insert(block, this.end(block), bytes, view, offset, lengthBytes);
  }

  /** Appends two values in one go; the same rules as for `insert`. */
  appendPair(
    block: number,
    firstBytes: Uint8Array,
    firstView: DataView,
    firstOffset: number,
    firstLength: number,
    secondBytes: Uint8Array,
    secondView: DataView,
    secondOffset: number,
    secondLength: number,
  ): number {
    const firstSpan = this.addedBytes(firstBytes, firstOffset, firstLength);
    const secondSpan = this.addedBytes(secondBytes, secondOffset, secondLength);
    const moved = this.openGap(block, this.end(block), 0, firstSpan + secondSpan, 2);
    if (moved === 0) return 0;
    this.writeElement(this.position + firstSpan, secondBytes, secondView, secondOffset, secondLength);
    this.classify(firstBytes, firstOffset, firstLength);
    this.writeElement(this.position, firstBytes, firstView, firstOffset, firstLength);
    return moved;
  }

  /** Inserts two values and behind them a safe integer, in one go; the same rules as for `insert`. */
  insertTriple(
    block: number,
    at: number,
    firstBytes: Uint8Array,
    firstView: DataView,
    firstOffset: number,
    firstLength: number,
    secondBytes: Uint8Array,
    secondView: DataView,
    secondOffset: number,
    secondLength: number,
    integer: number,
  ): number {
    const firstSpan = this.addedBytes(firstBytes, firstOffset, firstLength);
    const secondSpan = this.addedBytes(secondBytes, secondOffset, secondLength);
    const integerBytes = this.classifyInteger(integer);
    const span = firstSpan + secondSpan + integerBytes + backLengthBytes(integerBytes);
    const moved = this.openGap(block, at, 0, span, 3);
    if (moved === 0) return 0;
    const { position } = this;
    this.valueIsInteger = true;
    this.writeElement(position + firstSpan + secondSpan, firstBytes, firstView, 0, 0);
    this.classify(secondBytes, secondOffset, secondLength);
    this.writeElement(position + firstSpan, secondBytes, secondView, secondOffset, secondLength);
    this.classify(firstBytes, firstOffset, firstLength);
    this.writeElement(position, firstBytes, firstView, firstOffset, firstLength);
    return moved;
  }

  /** Replaces the value of the element at `at`; the same rules as for `insert`. */
  replace(
    block: number,
    at: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): number {
    const elementBytes = this.classify(bytes, offset, lengthBytes);
    const span = elementBytes + backLengthBytes(elementBytes);
    const moved = this.openGap(block, at, this.spanBytes(at), span, 0);
    if (moved !== 0) this.writeElement(this.position, bytes, view, offset, lengthBytes);
    return moved;
  }

  /**
   * Removes `count` elements from the one at `at` on (fewer if the list ends before). Returns the list, which
   * may have moved; `position` is where the element after them is now, 0 if they were the last.
   */
  remove(block: number, at: number, count = 1): number {
    let past = at;
    let removed = 0;
    while (removed < count && this.shardBytes[past] !== PACKED_END) {
      past += this.spanBytes(past);
      removed++;
    }
    const moved = this.openGap(block, at, past - at, 0, -removed);
    if (this.shardBytes[this.position] === PACKED_END) this.position = 0;
    return moved;
  }

  /**
   * Resizes the `oldSpan` bytes at `at` to `newSpan` bytes, moving the bytes behind them, and adds `added` to the
   * count. Sets `position` and returns the list, or 0 with nothing changed. Shrinking never fails.
   */
  private openGap(block: number, at: number, oldSpan: number, newSpan: number, added: number): number {
    const { words, shardBytes, shardView, arena } = this;
    const total = words[block >> 2];
    const newTotal = total + newSpan - oldSpan;
    if (newTotal > PACKED_LIST_BYTES_MAX) return 0;
    const relative = at - block;
    const count = this.knownCount(block);
    const newCount = count === COUNT_UNKNOWN ? count : Math.min(count + added, COUNT_UNKNOWN);
    const front = this.frontBytes(count);
    const newFront = this.frontBytes(newCount);
    const oldBytes = front + capacity(total);
    const newBytes = newFront + capacity(newTotal);
    const tail = at + oldSpan;
    const end = block + total;
    let moved = block;
    if (newTotal < total || (newFront === front && this.fits(block - front, oldBytes, newBytes))) {
      if (newSpan !== oldSpan) moveBytes(shardBytes, shardView, at + newSpan, tail, end);
      if (newFront < front) {
        moved = block - front + newFront;
        moveBytes(shardBytes, shardView, moved - newFront, block - newFront, block + newTotal);
      }
      if (newBytes < oldBytes) arena.resizeInPlace(block - front, oldBytes, newBytes);
    } else {
      moved = this.allocate(newTotal, newCount);
      if (moved === 0) return 0;
      const kept = Math.min(front, newFront);
      shardBytes.copyWithin(moved - kept, block - kept, at);
      moveBytes(shardBytes, shardView, moved + relative + newSpan, tail, end);
      arena.free(block - front, oldBytes);
    }
    words[moved >> 2] = newTotal;
    shardView.setUint16(moved + 4, newCount, true);
    this.position = moved + relative;
    return moved;
  }

  /** Whether a block has room for `newBytes`, or can grow to them in place. */
  private fits(block: number, oldBytes: number, newBytes: number): boolean {
    return newBytes <= oldBytes || this.arena.resizeInPlace(block, oldBytes, newBytes);
  }

  /** Writes the element of the value that was passed to `addedBytes` last. */
  writeElement(at: number, bytes: Uint8Array, view: DataView, offset: number, lengthBytes: number): void {
    const { shardBytes, shardView, valueBytes, valueInteger } = this;
    if (this.valueIsInteger) {
      const high = Math.floor(valueInteger / 2 ** 32);
      writeIntegerElement(shardBytes, shardView, at, valueBytes, high, valueInteger | 0);
    } else {
      this.writeStringElement(at, bytes, view, offset, lengthBytes);
    }
    writeBackLength(shardBytes, at + valueBytes, valueBytes);
  }

  private writeStringElement(
    at: number,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    lengthBytes: number,
  ): void {
    const { shardBytes, shardView } = this;
    let target = at + 1;
    if (lengthBytes <= 63) {
      shardBytes[at] = 0x80 | lengthBytes;
    } else if (lengthBytes <= 4095) {
      shardBytes[at] = Encoding.String12 | (lengthBytes >> 8);
      shardBytes[at + 1] = lengthBytes;
      target = at + 2;
    } else {
      shardBytes[at] = Encoding.String32;
      shardView.setInt32(at + 1, lengthBytes, true);
      target = at + 5;
    }
    copyBytes(shardBytes, shardView, target, bytes, view, offset, lengthBytes);
  }

  /** Throws if an invariant is broken. For tests. */
  verify(block: number): void {
    const total = this.words[block >> 2];
    const end = block + total - 1;
    let at = block + HEADER_BYTES;
    let elements = 0;
    let before = 0;
    while (at < end) {
      const first = this.shardBytes[at];
      if (first > Encoding.Integer64) throw new Error(`packed list: no element begins with ${first}`);
      if (this.previous(block, at) !== before) throw new Error('packed list: wrong back length');
      before = at;
      at += this.spanBytes(at);
      elements++;
    }
    if (at !== end || this.shardBytes[end] !== PACKED_END) throw new Error('packed list: wrong end');
    const count = this.knownCount(block);
    if (count !== COUNT_UNKNOWN && count !== elements) throw new Error('packed list: wrong count');
  }
}

/**
 * A log of the last commands of which something was large: the time they took (the slow log), their request, or their
 * reply. It is a ring of fixed slots that all threads write and read under one lock. Such commands are rare, so the
 * lock is too.
 *
 *   header, int32 words
 *     0 lock    1 entries kept    2 slot of the newest entry
 *   float64 at byte 16: id of the next entry
 *   slots of 6 KiB from byte 64
 *     float64  0 id   1 time (s since the epoch)   2 value: duration (µs) or size (bytes)
 *     int32    6 number of arguments   7 length of the address   8 of the client's name
 *              9...40 lengths of the arguments
 *     bytes    from 192: address (112), name (256), then the arguments one after the other
 *
 * Arguments are cut as they are stored: 32 of them, 128 bytes each, with a note of what is missing, so
 * that the log never keeps large values alive. The ring is reserved at its full size, but a slot takes
 * memory only once it is used: a directive bounds the log, e.g. `slowlog-max-len`.
 */

import { acquireLock, releaseLock } from '../memory/lock.js';

const RING_BYTES = 64 << 20;
const SLOTS_OFFSET = 64;
const SLOT_BYTES = 6144;
/** The most entries that a log keeps, whatever its directive says. */
export const COMMAND_LOG_ENTRIES_MAX = Math.floor((RING_BYTES - SLOTS_OFFSET) / SLOT_BYTES);

const ARGUMENTS_MAX = 32;
const ARGUMENT_BYTES_MAX = 128;
/** Room for the two texts, see SlotByte. */
const ADDRESS_BYTES_MAX = 112;
const NAME_BYTES_MAX = 256;

const enum Header {
  Lock = 0,
  Count = 1,
  Newest = 2,
}
/** Index in float64 units. */
const NEXT_ID = 2;

/** Positions within a slot, in units of the type. */
const enum SlotDouble {
  Id = 0,
  TimeSeconds = 1,
  Value = 2,
}
const enum SlotWord {
  ArgumentCount = 6,
  AddressLength = 7,
  NameLength = 8,
  ArgumentLengths = 9,
}
const enum SlotByte {
  Address = 192,
  Name = 304,
  Arguments = 560,
}

export interface CommandLogEntry {
  readonly id: number;
  readonly timeSeconds: number;
  /** The duration in µs, or the size of the request or the reply in bytes. */
  readonly value: number;
  readonly args: Uint8Array[];
  readonly address: string;
  readonly name: string;
}

/** A command's request: its arguments lie in `bytes` at pairs [offset, length], from pair `start` on. */
export interface LoggedRequest {
  readonly bytes: Uint8Array;
  readonly pairs: Int32Array;
  readonly start: number;
  readonly count: number;
}

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder();

export class CommandLog {
  readonly handle: SharedArrayBuffer;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly bytes: Uint8Array;

  constructor(handle: SharedArrayBuffer) {
    this.handle = handle;
    this.words = new Int32Array(handle);
    this.doubles = new Float64Array(handle);
    this.bytes = new Uint8Array(handle);
  }

  static create(): SharedArrayBuffer {
    return new SharedArrayBuffer(SLOTS_OFFSET + COMMAND_LOG_ENTRIES_MAX * SLOT_BYTES);
  }

  /** Adds an entry and drops the oldest ones beyond `entriesMax`. */
  add(
    request: LoggedRequest,
    nowMs: number,
    value: number,
    address: string,
    name: string,
    entriesMax: number,
  ): void {
    const { words, doubles } = this;
    acquireLock(words, Header.Lock);
    const id = doubles[NEXT_ID]++;
    if (entriesMax > 0) {
      const slot = (words[Header.Newest] + 1) % COMMAND_LOG_ENTRIES_MAX;
      words[Header.Newest] = slot;
      words[Header.Count]++;
      this.write(slot, id, request, nowMs, value, address, name);
    }
    words[Header.Count] = Math.max(0, Math.min(words[Header.Count], entriesMax, COMMAND_LOG_ENTRIES_MAX));
    releaseLock(words, Header.Lock);
  }

  private write(
    slot: number,
    id: number,
    request: LoggedRequest,
    nowMs: number,
    value: number,
    address: string,
    name: string,
  ): void {
    const { words, doubles, bytes } = this;
    const offset = SLOTS_OFFSET + slot * SLOT_BYTES;
    const word = offset >> 2;
    doubles[(offset >> 3) + SlotDouble.Id] = id;
    doubles[(offset >> 3) + SlotDouble.TimeSeconds] = Math.floor(nowMs / 1000);
    doubles[(offset >> 3) + SlotDouble.Value] = Math.floor(value);
    words[word + SlotWord.AddressLength] = this.writeText(
      offset + SlotByte.Address,
      address,
      ADDRESS_BYTES_MAX,
    );
    words[word + SlotWord.NameLength] = this.writeText(offset + SlotByte.Name, name, NAME_BYTES_MAX);
    const { count, start, pairs } = request;
    const kept = Math.min(count, ARGUMENTS_MAX);
    words[word + SlotWord.ArgumentCount] = kept;
    let at = offset + SlotByte.Arguments;
    for (let index = 0; index < kept; index++) {
      const begin = at;
      if (kept < count && index === kept - 1) {
        at += this.writeText(at, `... (${count - kept + 1} more arguments)`, ARGUMENT_BYTES_MAX);
      } else {
        const from = pairs[2 * (start + index)];
        const length = pairs[2 * (start + index) + 1];
        const shown = Math.min(length, ARGUMENT_BYTES_MAX);
        for (let byte = 0; byte < shown; byte++) bytes[at++] = request.bytes[from + byte];
        if (shown < length)
          at += this.writeText(at, `... (${length - shown} more bytes)`, ARGUMENT_BYTES_MAX);
      }
      words[word + SlotWord.ArgumentLengths + index] = at - begin;
    }
  }

  /** Returns the length written. */
  private writeText(offset: number, text: string, lengthMax: number): number {
    const encoded = textEncoder.encode(text);
    const length = Math.min(encoded.length, lengthMax);
    for (let at = 0; at < length; at++) this.bytes[offset + at] = encoded[at];
    return length;
  }

  /** The newest `count` entries, newest first; all of them for -1. */
  get(count: number): CommandLogEntry[] {
    const { words } = this;
    acquireLock(words, Header.Lock);
    const wanted = count < 0 ? words[Header.Count] : Math.min(count, words[Header.Count]);
    const entries: CommandLogEntry[] = [];
    let slot = words[Header.Newest];
    for (let index = 0; index < wanted; index++) {
      entries.push(this.read(slot));
      slot = slot === 0 ? COMMAND_LOG_ENTRIES_MAX - 1 : slot - 1;
    }
    releaseLock(words, Header.Lock);
    return entries;
  }

  private read(slot: number): CommandLogEntry {
    const { words, doubles, bytes } = this;
    const offset = SLOTS_OFFSET + slot * SLOT_BYTES;
    const word = offset >> 2;
    const args: Uint8Array[] = [];
    let at = offset + SlotByte.Arguments;
    for (let index = 0; index < words[word + SlotWord.ArgumentCount]; index++) {
      const length = words[word + SlotWord.ArgumentLengths + index];
      args.push(new Uint8Array(bytes.subarray(at, at + length)));
      at += length;
    }
    const text = (from: number, length: number): string =>
      textDecoder.decode(bytes.slice(from, from + length));
    return {
      id: doubles[(offset >> 3) + SlotDouble.Id],
      timeSeconds: doubles[(offset >> 3) + SlotDouble.TimeSeconds],
      value: doubles[(offset >> 3) + SlotDouble.Value],
      args,
      address: text(offset + SlotByte.Address, words[word + SlotWord.AddressLength]),
      name: text(offset + SlotByte.Name, words[word + SlotWord.NameLength]),
    };
  }

  get length(): number {
    return Atomics.load(this.words, Header.Count);
  }

  /** Forgets all entries; ids go on. */
  reset(): void {
    acquireLock(this.words, Header.Lock);
    this.words[Header.Count] = 0;
    releaseLock(this.words, Header.Lock);
  }
}

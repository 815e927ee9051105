/**
 * Which arguments of a command are keys, from the key specs of its row. The executor locks the shards
 * of exactly these keys; COMMAND GETKEYS reports them.
 */

import type { Command, KeySpec } from './command-table.js';

/** Arguments of one request: pair [offset, length] number `start` onwards of `pairs`, in `bytes`. */
export interface ArgumentList {
  readonly bytes: Uint8Array;
  readonly pairs: Int32Array;
  readonly start: number;
  readonly count: number;
}

/** A growable list of argument indices. */
export class KeyPositions {
  indices = new Int32Array(64);
  /** For each index the number of the spec that found it. */
  specs = new Int32Array(64);
  count = 0;

  private add(index: number, spec: number): void {
    if (this.count === this.indices.length) {
      const indices = new Int32Array(this.count * 2);
      indices.set(this.indices);
      this.indices = indices;
      const specs = new Int32Array(this.count * 2);
      specs.set(this.specs);
      this.specs = specs;
    }
    this.indices[this.count] = index;
    this.specs[this.count++] = spec;
  }

  /**
   * Collects the key arguments of a request. Returns false if the arguments do not fit the specs (a key
   * count that is no number or too large); the command itself then reports the error.
   */
  collect(command: Command, args: ArgumentList): boolean {
    this.count = 0;
    for (let index = 0; index < command.keySpecs.length; index++) {
      if (!this.collectSpec(command.keySpecs[index], index, args)) return false;
    }
    return true;
  }

  private collectSpec(spec: KeySpec, number: number, args: ArgumentList): boolean {
    const { begin, find } = spec;
    let first = 0;
    if (begin.kind === 'index') {
      first = begin.position;
    } else if (begin.kind === 'keyword') {
      first = keywordPosition(begin.keyword, begin.startFrom, args);
      if (first === 0) return true;
    } else {
      return true;
    }
    if (first >= args.count) return true;
    if (find.kind === 'range') {
      let last = find.lastKey >= 0 ? first + find.lastKey : args.count + find.lastKey;
      if (find.lastKey === -1 && find.limit >= 2) {
        last = first + Math.floor((args.count - first) / find.limit) - 1;
      }
      for (let index = first; index <= last && index < args.count; index += find.step)
        this.add(index, number);
      return true;
    }
    if (find.kind === 'keynum') {
      const keys = smallInteger(args, first + find.index);
      if (keys < 0) return false;
      const start = first + find.firstKey;
      if (start + (keys - 1) * find.step >= args.count) return false;
      for (let key = 0; key < keys; key++) this.add(start + key * find.step, number);
    }
    return true;
  }
}

/** The argument after the keyword, searching forwards from `startFrom` or, if negative, backwards; 0 if none. */
function keywordPosition(keyword: string, startFrom: number, args: ArgumentList): number {
  const step = startFrom > 0 ? 1 : -1;
  const from = startFrom > 0 ? startFrom : args.count + startFrom;
  for (let index = from; index > 0 && index < args.count; index += step) {
    if (argumentEquals(args, index, keyword) && index + 1 < args.count) return index + 1;
  }
  return 0;
}

function argumentEquals(args: ArgumentList, index: number, word: string): boolean {
  const offset = args.pairs[2 * (args.start + index)];
  if (args.pairs[2 * (args.start + index) + 1] !== word.length) return false;
  for (let at = 0; at < word.length; at++) {
    if ((args.bytes[offset + at] & 0xdf) !== (word.charCodeAt(at) & 0xdf)) return false;
  }
  return true;
}

/** A non-negative integer argument of at most nine digits, or -1. */
function smallInteger(args: ArgumentList, index: number): number {
  if (index >= args.count) return -1;
  const offset = args.pairs[2 * (args.start + index)];
  const length = args.pairs[2 * (args.start + index) + 1];
  if (length === 0 || length > 9) return -1;
  let value = 0;
  for (let at = offset; at < offset + length; at++) {
    const digit = args.bytes[at] - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}

/**
 * Which arguments of a command are keys, and what the command does with them. The executor locks the
 * shards of exactly these keys; COMMAND GETKEYS reports them.
 *
 * Nearly all commands are described by the key specs of their rows. A few are not: options name keys (SORT,
 * MIGRATE), or options decide what is done with a key (SET, BITFIELD). These have a rule here.
 */

import type { CommandRequest } from './request.js';
import { type Command, KeyFlag, KeyRule, type KeySpec } from './table/command-table.js';

/** Larger key counts are taken as this: no request has as many arguments. */
const KEY_COUNT_MAX = 0x3fffffff;

const READS = KeyFlag.ReadOnly | KeyFlag.Access;
const OVERWRITES = KeyFlag.Overwrite | KeyFlag.Update;
const READS_AND_CHANGES = KeyFlag.ReadWrite | KeyFlag.Access | KeyFlag.Update;

/** A growable list of argument indices. */
export class KeyPositions {
  indices = new Int32Array(64);
  /** For each index what the command does with the key, as KeyFlag bits. */
  flags = new Int32Array(64);
  count = 0;
  /** The command also reads keys whose names come from the data (SORT BY, GET). */
  reachesOtherKeys = false;

  private add(index: number, flags: number): void {
    if (this.count === this.indices.length) {
      const indices = new Int32Array(this.count * 2);
      indices.set(this.indices);
      this.indices = indices;
      const allFlags = new Int32Array(this.count * 2);
      allFlags.set(this.flags);
      this.flags = allFlags;
    }
    this.indices[this.count] = index;
    this.flags[this.count++] = flags;
  }

  /**
   * Collects the key arguments of a request, whose number of arguments fits the command's arity. Returns
   * whether the arguments name keys as the command demands; if not, the list holds those that were found
   * (the first key of PFMERGE without sources), or none (a key count that is no number or too large).
   */
  collect(command: Command, args: CommandRequest): boolean {
    this.count = 0;
    this.reachesOtherKeys = false;
    switch (command.keyRule) {
      case KeyRule.Set:
        return this.collectSet(args);
      case KeyRule.Bitfield:
        return this.collectBitfield(args);
      case KeyRule.Sort:
        return this.collectSort(args, true);
      case KeyRule.SortReadOnly:
        return this.collectSort(args, false);
      case KeyRule.Migrate:
        return this.collectMigrate(args);
      case KeyRule.Streams:
        return this.collectSpecs(command.keySpecs, args) || this.collectStreams(args);
      case KeyRule.GeoRadius:
        return this.collectGeoRadius(command.keySpecs, args);
      case KeyRule.Count:
        return this.collectSpecs(command.keySpecs, args) || this.collectCounted(command.keySpecs, args);
      default:
        return this.collectSpecs(command.keySpecs, args);
    }
  }

  private collectSpecs(specs: readonly KeySpec[], args: CommandRequest): boolean {
    let isValid = true;
    for (let index = 0; index < specs.length; index++) {
      const spec = specs[index];
      if ((spec.flags & KeyFlag.NotKey) === 0 && !this.collectSpec(spec, args)) isValid = false;
    }
    return isValid;
  }

  private collectSpec(spec: KeySpec, args: CommandRequest): boolean {
    const { begin, find, flags } = spec;
    let first = 0;
    if (begin.kind === 'index') first = begin.position;
    else if (begin.kind === 'keyword') first = keywordPosition(begin.keyword, begin.startFrom, args);
    // A missing keyword means that there are no such keys.
    if (first === 0) return begin.kind === 'keyword';
    let last = 0;
    let step = 1;
    if (find.kind === 'range') {
      step = find.step;
      if (find.lastKey >= 0) last = first + find.lastKey;
      else if (find.limit === 0) last = args.count + find.lastKey;
      else last = first + (((args.count - first) / find.limit) | 0) + find.lastKey;
    } else if (find.kind === 'keynum') {
      step = find.step;
      const keys = strictInteger(args, first + find.index);
      first += find.firstKey;
      last = first + (keys - 1) * step;
    } else {
      return false;
    }
    if (first >= args.count || last >= args.count || last < first) return false;
    for (let index = first; index <= last; index += step) this.add(index, flags);
    return true;
  }

  /** Keys by a leniently parsed count: text behind the number is ignored ("2x" means 2). */
  private collectCounted(specs: readonly KeySpec[], args: CommandRequest): boolean {
    this.count = 0;
    const { begin, find } = specs[specs.length - 1];
    if (begin.kind !== 'index' || find.kind !== 'keynum') return false;
    const keys = lenientInteger(args, begin.position + find.index);
    const first = begin.position + find.firstKey;
    if (keys < 1 || keys > Math.floor((args.count - first) / find.step)) return false;
    for (let key = 0; key < keys; key++) this.add(first + key * find.step, 0);
    // The destination of ZUNIONSTORE and the like.
    if (specs.length > 1) this.add(1, 0);
    return true;
  }

  /** SET reads the old value only with GET. */
  private collectSet(args: CommandRequest): boolean {
    let flags = OVERWRITES;
    for (let index = 3; index < args.count; index++) {
      if (argumentEquals(args, index, 'GET')) flags = READS_AND_CHANGES;
    }
    this.add(1, flags);
    return true;
  }

  /** BITFIELD with nothing but GET and OVERFLOW only reads. */
  private collectBitfield(args: CommandRequest): boolean {
    let flags = READS;
    let index = 2;
    while (index < args.count) {
      const remaining = args.count - index - 1;
      if (argumentEquals(args, index, 'GET') && remaining >= 2) {
        index += 3;
      } else if (argumentEquals(args, index, 'OVERFLOW') && remaining >= 1) {
        index += 2;
      } else {
        flags = READS_AND_CHANGES;
        break;
      }
    }
    this.add(1, flags);
    return true;
  }

  /** The last STORE wins. Patterns of BY and GET stand for keys whose names come from the data. */
  private collectSort(args: CommandRequest, mayStore: boolean): boolean {
    this.add(1, READS);
    let destination = 0;
    for (let index = 2; index < args.count; index++) {
      if (argumentEquals(args, index, 'LIMIT')) {
        index += 2;
      } else if (argumentEquals(args, index, 'GET') || argumentEquals(args, index, 'BY')) {
        index++;
        if (index < args.count && hasStar(args, index)) this.reachesOtherKeys = true;
      } else if (mayStore && argumentEquals(args, index, 'STORE') && index + 1 < args.count) {
        destination = index + 1;
      }
    }
    if (destination !== 0) this.add(destination, OVERWRITES);
    return true;
  }

  /** Of several STORE and STOREDIST the last one counts, while the specs find the first of each. */
  private collectGeoRadius(specs: readonly KeySpec[], args: CommandRequest): boolean {
    const isValid = this.collectSpecs(specs, args);
    const [{ begin }] = specs.slice(-1);
    let destination = 0;
    for (let index = begin.kind === 'keyword' ? begin.startFrom : 0; index + 1 < args.count; index++) {
      if (argumentEquals(args, index, 'STORE') || argumentEquals(args, index, 'STOREDIST')) {
        destination = ++index;
      }
    }
    const known = this.indices.subarray(0, this.count);
    if (destination !== 0 && !known.includes(destination)) this.add(destination, OVERWRITES);
    return isValid;
  }

  /** Either argument 3 is the key, or it is empty and all keys follow KEYS. With both, no keys are collected. */
  private collectMigrate(args: CommandRequest): boolean {
    const flags = KeyFlag.ReadWrite | KeyFlag.Access | KeyFlag.Delete;
    // As Redis does: options are only searched if the key spec finds KEYS, which it does not as the last argument.
    const last = keywordPosition('KEYS', -2, args) === 0 ? 0 : args.count;
    for (let index = 6; index < last; index++) {
      if (argumentEquals(args, index, 'KEYS')) {
        if (argumentLength(args, 3) > 0) return false;
        for (let key = index + 1; key < args.count; key++) this.add(key, flags);
        return index + 1 < args.count;
      }
      if (argumentEquals(args, index, 'AUTH')) index++;
      else if (argumentEquals(args, index, 'AUTH2')) index += 2;
    }
    this.add(3, flags);
    return true;
  }

  /** The first half of what follows STREAMS. */
  private collectStreams(args: CommandRequest): boolean {
    this.count = 0;
    for (let index = 1; index < args.count; index++) {
      if (STREAM_OPTIONS.some((option) => argumentEquals(args, index, option))) {
        index++;
      } else if (argumentEquals(args, index, 'GROUP')) {
        index += 2;
      } else if (argumentEquals(args, index, 'STREAMS')) {
        const remaining = args.count - index - 1;
        if (remaining === 0 || remaining % 2 !== 0) return false;
        for (let key = 1; key <= remaining / 2; key++) this.add(index + key, 0);
        return true;
      } else if (!argumentEquals(args, index, 'NOACK')) {
        return false;
      }
    }
    return false;
  }
}

/** Options of XREAD and XREADGROUP that have a value. */
const STREAM_OPTIONS = ['BLOCK', 'COUNT', 'CLAIM', 'MAXCOUNT', 'MAXSIZE'];

/** The argument after the keyword, searching forwards from `startFrom` or, if negative, backwards; 0 if none. */
function keywordPosition(keyword: string, startFrom: number, args: CommandRequest): number {
  const step = startFrom > 0 ? 1 : -1;
  const from = startFrom > 0 ? startFrom : args.count + startFrom;
  // The last argument is never the keyword: a key has to follow.
  for (let index = from; index > 0 && index < args.count - 1; index += step) {
    if (argumentEquals(args, index, keyword)) return index + 1;
  }
  return 0;
}

function argumentLength(args: CommandRequest, index: number): number {
  return args.pairs[2 * (args.start + index) + 1];
}

/** Whether an argument is this word, given in upper case, in any case. */
function argumentEquals(args: CommandRequest, index: number, word: string): boolean {
  if (argumentLength(args, index) !== word.length) return false;
  const offset = args.pairs[2 * (args.start + index)];
  for (let at = 0; at < word.length; at++) {
    const byte = args.bytes[offset + at];
    if ((byte >= 0x61 && byte <= 0x7a ? byte - 32 : byte) !== word.charCodeAt(at)) return false;
  }
  return true;
}

function hasStar(args: CommandRequest, index: number): boolean {
  const offset = args.pairs[2 * (args.start + index)];
  for (let at = 0; at < argumentLength(args, index); at++) if (args.bytes[offset + at] === 0x2a) return true;
  return false;
}

/** A positive integer argument in canonical form, at most KEY_COUNT_MAX; 0 if it is anything else. */
function strictInteger(args: CommandRequest, index: number): number {
  if (index >= args.count) return 0;
  const length = argumentLength(args, index);
  const value = lenientInteger(args, index);
  const first = args.bytes[args.pairs[2 * (args.start + index)]];
  if (value < 1 || first < 0x31 || first > 0x39) return 0;
  return decimalDigits(args, index, 0) === length ? value : 0;
}

/** The number that an argument begins with, after spaces and a sign; 0 if none. */
function lenientInteger(args: CommandRequest, index: number): number {
  if (index >= args.count) return 0;
  const offset = args.pairs[2 * (args.start + index)];
  const length = argumentLength(args, index);
  let at = 0;
  while (at < length && (args.bytes[offset + at] === 0x20 || (args.bytes[offset + at] - 9) >>> 0 < 5)) at++;
  const isNegative = at < length && args.bytes[offset + at] === 0x2d;
  if (isNegative || (at < length && args.bytes[offset + at] === 0x2b)) at++;
  const end = at + decimalDigits(args, index, at);
  let value = 0;
  for (; at < end && value < KEY_COUNT_MAX; at++) value = value * 10 + args.bytes[offset + at] - 0x30;
  if (value > KEY_COUNT_MAX) value = KEY_COUNT_MAX;
  return isNegative ? -value : value;
}

/** How many decimal digits an argument has from byte `from` on. */
function decimalDigits(args: CommandRequest, index: number, from: number): number {
  const offset = args.pairs[2 * (args.start + index)];
  const length = argumentLength(args, index);
  let at = from;
  while (at < length && (args.bytes[offset + at] - 0x30) >>> 0 < 10) at++;
  return at - from;
}

/**
 * The scripts that a worker has compiled, found by their SHA-1 or by their source. All workers share the sources
 * (state/script-cache.ts): a script compiled here is valid only as long as the cache has its source.
 */

import { hash as hashOf } from 'node:crypto';
import { Script, type ScriptEngine } from '../../scripting/engine.js';
import { ScriptFlag } from '../../scripting/flags.js';
import { type ScriptCache, SHA_WORDS } from '../../state/script-cache.js';
import { equalBytes } from '../../structures/copy.js';
import type { CommandTable } from '../table/command-table.js';
import { usesOnlyDeclaredKeys } from './declared-keys.js';

export const SHA_DIGITS = 40;
const FAST_PLACES = 256;
/** With so many more compiled scripts here than in the cache, those that it no longer has are released. */
const FORGOTTEN_MAX = 100;
/** For so many runs, a script that was run again for the lock of a shard takes that lock from the start. */
const RUNS_REMEMBERED = 64;

/** The locks that a script or a function will need, as far as earlier runs have shown. */
export class LockNeeds {
  /** All keys are declared (declared-keys.ts), or it does not write: it needs no right (memory/lock-order.ts). */
  needsNoRight: boolean;
  /** An earlier run came to write without the right: now it takes the right before it begins. */
  takesRight = false;
  /** Shards, by index, that it was run again for, and for how many more runs they are locked from the start. */
  private readonly shards = new Set<number>();
  private runsLeft = 0;

  constructor(needsNoRight: boolean) {
    this.needsNoRight = needsNoRight;
  }

  /** Remembers a shard whose lock it has needed besides those of its keys. */
  remember(shard: number): void {
    this.shards.add(shard);
    this.runsLeft = RUNS_REMEMBERED;
  }

  get hasShards(): boolean {
    return this.runsLeft > 0;
  }

  /** The shards to lock together with those of its keys; forgets them after some runs. */
  takeShards(): Iterable<number> {
    if (--this.runsLeft === 0) {
      const shards = [...this.shards];
      this.shards.clear();
      return shards;
    }
    return this.shards;
  }
}

export interface KnownScript {
  readonly script: Script;
  readonly sha: Int32Array;
  /** Its digits, in lower case, as bytes. */
  readonly digits: Uint8Array;
  readonly digitsView: DataView;
  readonly sourceView: DataView;
  readonly needs: LockNeeds;
  /** Where its uses are noted (state/script-cache.ts). */
  place: number;
  /** The cache's generation when it was last found there. */
  generation: number;
}

export class KnownScripts {
  private readonly cache: ScriptCache;
  private readonly engine: ScriptEngine;
  private readonly table: CommandTable;
  private readonly scripts = new Map<string, KnownScript>();
  private readonly byDigits: (KnownScript | null)[] = new Array(FAST_PLACES).fill(null);
  private readonly bySource: (KnownScript | null)[] = new Array(FAST_PLACES).fill(null);

  constructor(cache: ScriptCache, engine: ScriptEngine, table: CommandTable) {
    this.cache = cache;
    this.engine = engine;
    this.table = table;
  }

  /** The script with this SHA-1, in 40 digits of any case at `offset`; null if there is none, a text if it does not compile. */
  bySha(bytes: Uint8Array, view: DataView, offset: number): KnownScript | string | null {
    const place = (bytes[offset] * 31 + bytes[offset + 1] * 7 + bytes[offset + 2]) & (FAST_PLACES - 1);
    const fast = this.byDigits[place];
    if (
      fast !== null &&
      equalBytes(fast.digits, fast.digitsView, 0, bytes, view, offset, SHA_DIGITS) &&
      this.isCurrent(fast)
    ) {
      return fast;
    }
    const digits = Buffer.from(bytes.buffer, bytes.byteOffset + offset, SHA_DIGITS)
      .toString('latin1')
      .toLowerCase();
    const known = this.lookup(digits);
    if (known !== null && typeof known !== 'string') this.byDigits[place] = known;
    return known;
  }

  private lookup(digits: string): KnownScript | string | null {
    const known = this.scripts.get(digits);
    if (known !== undefined && this.isCurrent(known)) return known;
    const sha = shaWords(digits);
    if (sha === null) return null;
    const source = this.cache.source(sha);
    if (source === null) return null;
    const compiled = this.compile(digits, sha, source);
    if (typeof compiled !== 'string') compiled.place = this.cache.find(sha);
    return compiled;
  }

  /**
   * The script with this source, which is added to the cache. `isEval`: it may be evicted. A text says what is wrong with it.
   */
  bySourceText(
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
    isEval: boolean,
  ): KnownScript | string {
    const place = samplePlace(view, offset, length);
    const fast = this.bySource[place];
    if (
      isEval &&
      fast !== null &&
      fast.script.source.length === length &&
      equalBytes(fast.script.source, fast.sourceView, 0, bytes, view, offset, length) &&
      this.isCurrent(fast)
    ) {
      return fast;
    }
    const source = bytes.slice(offset, offset + length);
    const digits = hashOf('sha1', source, 'hex');
    const sha = shaWords(digits) as Int32Array;
    let known: KnownScript | string | undefined = this.scripts.get(digits);
    if (known === undefined) known = this.compile(digits, sha, source);
    if (typeof known === 'string') return known;
    const { generation } = this.cache;
    known.place = this.cache.add(sha, known.script.source, isEval);
    if (known.place === -2) return "OOM command not allowed when used memory > 'maxmemory'.";
    known.generation = generation;
    this.bySource[place] = known;
    return known;
  }

  /** Whether the cache still has a script. */
  private isCurrent(known: KnownScript): boolean {
    const { generation } = this.cache;
    if (known.generation === generation) return true;
    const place = this.cache.find(known.sha);
    if (place === -2) {
      this.forget(known);
      return false;
    }
    known.place = place;
    known.generation = generation;
    return true;
  }

  private compile(digits: string, sha: Int32Array, source: Uint8Array): KnownScript | string {
    if (this.scripts.size > this.cache.count + FORGOTTEN_MAX) this.sweep();
    const { generation } = this.cache;
    const script = this.engine.compile(digits, source);
    if (!(script instanceof Script)) return script;
    const doesNotWrite =
      (script.flags & ScriptFlag.Compatible) === 0 && (script.flags & ScriptFlag.NoWrites) !== 0;
    const text = Buffer.from(
      source.buffer,
      source.byteOffset + script.codeStart,
      source.length - script.codeStart,
    );
    const digitBytes = new Uint8Array(Buffer.from(digits, 'latin1'));
    const known: KnownScript = {
      script,
      sha,
      digits: digitBytes,
      digitsView: new DataView(digitBytes.buffer),
      sourceView: new DataView(source.buffer, source.byteOffset, source.length),
      needs: new LockNeeds(doesNotWrite || usesOnlyDeclaredKeys(text.toString('latin1'), this.table)),
      place: -1,
      generation,
    };
    this.scripts.set(digits, known);
    return known;
  }

  private forget(known: KnownScript): void {
    this.scripts.delete(known.script.sha);
    this.engine.release(known.script);
  }

  /** Forgets what the cache does not have any more. */
  private sweep(): void {
    for (const known of [...this.scripts.values()]) if (this.cache.find(known.sha) === -2) this.forget(known);
  }
}

/** The words of a SHA-1 of 40 lower-case digits; null if it is none. */
export function shaWords(digits: string): Int32Array | null {
  if (!/^[\da-f]{40}$/.test(digits)) return null;
  const words = new Int32Array(SHA_WORDS);
  for (let word = 0; word < SHA_WORDS; word++)
    words[word] = Number.parseInt(digits.slice(8 * word, 8 * word + 8), 16);
  return words;
}

/** A table place computed from the length of a source and some of its bytes. */
function samplePlace(view: DataView, offset: number, length: number): number {
  let hash = length;
  const step = Math.max(4, length >> 4);
  for (let at = 0; at + 4 <= length; at += step)
    hash = Math.imul(hash, 31) + view.getInt32(offset + at, true);
  return (hash ^ (hash >>> 9) ^ (hash >>> 20)) & (FAST_PLACES - 1);
}

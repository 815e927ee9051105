/**
 * A dataset of any size that a server grows by commands, and that can be compared with what a server has: each key's
 * type, database, elements and expiries follow from its number. Nothing of it is remembered, and it's compared with
 * what ordinary commands reply, not with digests that might overlook the same as the save.
 *
 * With `history` "changed", as many other keys come and go, and each collection grows to twice its size, shrinks to a
 * tenth and grows again: so tables have been split, have stashed what did not fit, and have been merged.
 */

import type { BulkClient, Reply } from '../tools/bulk-client.js';
import {
  differenceOf,
  integerNames,
  mixedNames,
  type Naming,
  VALUE_TYPES,
  type ValueType,
} from '../tools/value-types.js';

export type Expiry = 'none' | 'keys' | 'fields';
export type History = 'grown' | 'changed';

export interface DatasetOptions {
  readonly keys: number;
  /** Elements of the largest collections: the first one of each type. */
  readonly largest: number;
  /** What expires: nothing, every third key, or fields of every other hash as well. */
  readonly expiry: Expiry;
  readonly history: History;
}

/** Every eighth key of each type is in the second one, and in the third one. */
const DATABASES = [0, 3, 9];
const FOREVER_MS = 4_000_000_000_000;
const ELEMENTS_PER_COMMAND = 500;
const DIFFERENCES_MAX = 5;
/** A field, and prefix of keys, that expire at once. */
const SHORT_LIVED = 'short-lived';

/** A key by its number. */
interface Key {
  readonly text: string;
  readonly type: ValueType;
  readonly database: number;
  readonly size: number;
  readonly names: Naming;
  /** -1: never. */
  readonly expiresAtMs: number;
  /** Every third field expires, the first of them then; -1: none. */
  readonly fieldsExpireFromMs: number;
}

export class GrownDataset {
  private readonly options: DatasetOptions;

  constructor(options: DatasetOptions) {
    this.options = options;
  }

  /** The place of a key among those of its type. */
  private ordinalOf(number: number): number {
    return Math.floor(number / VALUE_TYPES.length);
  }

  private databaseOf(number: number): number {
    const place = this.ordinalOf(number) % 8;
    return DATABASES[place === 3 ? 1 : place === 6 ? 2 : 0]!;
  }

  private key(number: number): Key {
    const { expiry } = this.options;
    const type = VALUE_TYPES[number % VALUE_TYPES.length]!;
    const ordinal = this.ordinalOf(number);
    const padding = ordinal % 500 === 4 ? 'k'.repeat(300) : '';
    return {
      text: `${type.name}:${number}${padding}`,
      type,
      database: this.databaseOf(number),
      size: this.sizeOf(ordinal),
      names: ordinal % 4 === 1 ? integerNames : mixedNames,
      expiresAtMs: expiry !== 'none' && ordinal % 3 === 0 ? FOREVER_MS + number : -1,
      fieldsExpireFromMs: expiry === 'fields' && type.name === 'hash' && ordinal % 2 === 0 ? FOREVER_MS : -1,
    };
  }

  private sizeOf(ordinal: number): number {
    const { largest } = this.options;
    if (ordinal === 0) return largest;
    const size = ordinal % 1000 === 2 ? 3000 : ordinal % 50 === 1 ? 150 : 1 + (ordinal % 7);
    return Math.min(size, largest);
  }

  /** The range of a key's elements once it has its history. */
  private rangeOf({ size }: Key): [from: number, to: number] {
    if (this.options.history === 'grown') return [0, size];
    const from = 2 * size - Math.ceil(size / 10);
    return [from, from + size];
  }

  /** The numbers of all keys, database by database. */
  private *numbers(): Generator<number> {
    for (const database of DATABASES) {
      for (let number = 0; number < this.options.keys; number++) {
        if (this.databaseOf(number) === database) yield number;
      }
    }
  }

  /** Has a server make all of it. */
  async build(client: BulkClient): Promise<void> {
    if (this.options.history === 'grown') {
      await this.forEach(client, async (number, key) => {
        await this.add(client, key, 0, key.size);
        this.addShortLived(client, number);
      });
    } else {
      await this.forEach(client, async (number, key) => {
        await this.add(client, key, 0, 2 * key.size);
        client.send(['SET', `gone:${number}`, `value ${number}`]);
        this.addShortLived(client, number);
      });
      await this.forEach(client, async (number, key) => {
        client.send([number % 2 === 0 ? 'DEL' : 'UNLINK', `gone:${number}`]);
        await this.drop(client, key, this.rangeOf(key)[0]);
      });
      await this.forEach(client, (_, key) => this.add(client, key, 2 * key.size, this.rangeOf(key)[1]));
    }
    await this.forEach(client, (_, key) => this.expire(client, key));
  }

  private async forEach(
    client: BulkClient,
    visit: (number: number, key: Key) => void | Promise<void>,
  ): Promise<void> {
    let database = -1;
    for (const number of this.numbers()) {
      const key = this.key(number);
      if (key.database !== database) client.send(['SELECT', key.database]);
      database = key.database;
      await visit(number, key);
      await client.room();
    }
    client.send(['SELECT', 0]);
    await client.done();
  }

  private async add(client: BulkClient, key: Key, from: number, to: number): Promise<void> {
    const { text, type, names } = key;
    for (let first = from; first < to; first += ELEMENTS_PER_COMMAND) {
      client.send(type.add(text, first, Math.min(to, first + ELEMENTS_PER_COMMAND), names));
      await client.room();
    }
  }

  private async drop(client: BulkClient, { text, type, names }: Key, to: number): Promise<void> {
    for (let first = 0; first < to; first += ELEMENTS_PER_COMMAND) {
      const command = type.drop(text, first, Math.min(to, first + ELEMENTS_PER_COMMAND), names);
      if (command !== null) client.send(command);
      await client.room();
    }
  }

  /** A hundredth of the keys has one beside it that is gone by the time that anybody looks. */
  private hasShortLived(number: number): boolean {
    return this.options.expiry !== 'none' && number % 100 === 0;
  }

  private addShortLived(client: BulkClient, number: number): void {
    if (this.hasShortLived(number)) {
      client.send(['SET', `${SHORT_LIVED}:${number}`, 'value', 'PX', 1 + (number % 40)]);
    }
  }

  private async expire(client: BulkClient, key: Key): Promise<void> {
    const { text, names, expiresAtMs, fieldsExpireFromMs } = key;
    if (expiresAtMs >= 0) client.send(['PEXPIREAT', text, expiresAtMs]);
    if (fieldsExpireFromMs < 0) return;
    const [from, to] = this.rangeOf(key);
    for (let number = from; number < to; number++) {
      if (number % 3 !== 0) continue;
      client.send(['HPEXPIREAT', text, fieldsExpireFromMs + number, 'FIELDS', 1, names(number)]);
      await client.room();
    }
    client.send(['HSET', text, SHORT_LIVED, 'value']);
    client.send(['HPEXPIRE', text, 1, 'FIELDS', 1, SHORT_LIVED]);
  }

  /**
   * What a server has otherwise: the first few differences. `otherKeys`: keys of database 0 that are not of this
   * dataset. `delayMsMax`: how much later keys may expire.
   */
  async differences(client: BulkClient, otherKeys = 0, delayMsMax = 0): Promise<string[]> {
    const found: string[] = [];
    const note = ({ text, database }: Key, difference: string): void => {
      if (difference === '' || found.length >= DIFFERENCES_MAX) return;
      found.push(`${text.slice(0, 40)} of database ${database} ${difference}`);
    };
    await this.forEach(client, (number, key) => {
      const { text, type, names, expiresAtMs } = key;
      const [from, to] = this.rangeOf(key);
      client.send(type.read(text), (reply) => note(key, differenceOf(type, reply, from, to, names)));
      client.send(['PEXPIRETIME', text], (reply) => {
        const delayMs = (reply as number) - expiresAtMs;
        if (delayMs < 0 || delayMs > (expiresAtMs < 0 ? 0 : delayMsMax))
          note(key, `expires at ${reply}, not ${expiresAtMs}`);
      });
      if (key.fieldsExpireFromMs >= 0) this.compareFields(client, key, (difference) => note(key, difference));
      // Whoever asks for an expired key has it deleted, if it is there still.
      if (!this.hasShortLived(number)) return;
      client.send(['GET', `${SHORT_LIVED}:${number}`], (reply) => {
        if (reply !== null) note(key, `has ${SHORT_LIVED}:${number} beside it, which has expired`);
      });
    });
    found.push(...(await this.wrongCounts(client, otherKeys)));
    return found;
  }

  private compareFields(client: BulkClient, key: Key, note: (difference: string) => void): void {
    const [from, to] = this.rangeOf(key);
    for (let first = from; first < to; first += ELEMENTS_PER_COMMAND) {
      const end = Math.min(to, first + ELEMENTS_PER_COMMAND);
      const numbers = Array.from({ length: end - first }, (_, index) => first + index);
      const fields = numbers.map(key.names);
      client.send(['HPEXPIRETIME', key.text, 'FIELDS', fields.length, ...fields], (reply) => {
        for (const [index, number] of numbers.entries()) {
          const expected = number % 3 === 0 ? key.fieldsExpireFromMs + number : -1;
          const expiresAt = (reply as Reply[])[index];
          if (expiresAt !== expected) note(`has field ${number} expire at ${expiresAt}, not ${expected}`);
        }
      });
    }
  }

  /** Databases with other numbers of keys than they must have: all that is expected may be there, and more. */
  private async wrongCounts(client: BulkClient, otherKeys: number): Promise<string[]> {
    const expected = new Map<number, number>([[0, otherKeys]]);
    for (const number of this.numbers()) {
      const database = this.databaseOf(number);
      expected.set(database, (expected.get(database) ?? 0) + 1);
    }
    const wrong: string[] = [];
    for (const [database, keys] of expected) {
      await client.call('SELECT', database);
      const found = await client.call('DBSIZE');
      if (found !== keys) wrong.push(`database ${database} has ${found} keys, not ${keys}`);
    }
    await client.call('SELECT', 0);
    return wrong;
  }

  /** The keys of each database, for whoever moves them. */
  keysByDatabase(): Map<number, string[]> {
    const all = new Map<number, string[]>();
    for (const number of this.numbers()) {
      const { text, database } = this.key(number);
      if (!all.has(database)) all.set(database, []);
      all.get(database)!.push(text);
    }
    return all;
  }
}

/**
 * The words that random commands are made of. The pools are small, so that commands meet on the same
 * keys, and weighted towards the edges, where servers tend to differ.
 */

import { Buffer } from 'node:buffer';
import { Random } from '../tools/random.js';

export type Word = string | Buffer;

const KEYS: readonly Word[] = [
  'a',
  'b',
  'c',
  'd',
  'e',
  'f',
  'key:1',
  'key:2',
  'key:3',
  '{tag}1',
  '{tag}2',
  '{}x',
  'h?llo',
  'h[a-z]llo',
  'hello',
  'with space',
  '',
  'ключ',
  Buffer.from([0, 1, 2, 0xff]),
  'quote"\r\n',
  `long:${'k'.repeat(300)}`,
];

const INTEGERS: readonly string[] = [
  '0',
  '1',
  '-1',
  '2',
  '3',
  '7',
  '8',
  '10',
  '-10',
  '63',
  '64',
  '100',
  '255',
  '256',
  '1000',
  '9999',
  '10000',
  '2147483647',
  '-2147483648',
  '2147483648',
  '4294967295',
  '4294967296',
  '9007199254740991',
  '9007199254740993',
  '-9007199254740993',
  '9223372036854775806',
  '9223372036854775807',
  '-9223372036854775807',
  '-9223372036854775808',
];

const NOT_INTEGERS: readonly Word[] = [
  '',
  ' 1',
  '1 ',
  '+1',
  '-0',
  '00',
  '01',
  '1.0',
  '1.5',
  '1e3',
  '0x10',
  'abc',
  '-',
  '--1',
  '9223372036854775808',
  '-9223372036854775809',
  '18446744073709551615',
  '18446744073709551616',
  '99999999999999999999999999',
  Buffer.from([0x31, 0]),
];

const FLOATS: readonly string[] = [
  '0',
  '-0',
  '0.0',
  '1.5',
  '-1.5',
  '3.0e3',
  '5.0e-1',
  '0.1',
  '0.2',
  '0.3',
  '.5',
  '5.',
  '1e10',
  '1e17',
  '1e18',
  '123456789012345678',
  '0.000001',
  '1e-7',
  '1e-17',
  '1e-30',
  '3.14159265358979323846',
  '100.00',
  '1e100',
  '1.7976931348623157e308',
  '+2',
  '0x1p3',
  '-9007199254740993.25',
];

const NOT_FLOATS: readonly Word[] = [
  'inf',
  '-inf',
  'Infinity',
  'nan',
  'NaN',
  '1e5000',
  '-1e5000',
  '1e-5000',
  '',
  ' 1.5',
  '1.5 ',
  '1.5x',
  'abc',
  '1,5',
  '1e',
  Buffer.from([0x31, 0]),
];

const TEXTS: readonly Word[] = [
  '',
  'x',
  'foo',
  'foobar',
  'Hello, World',
  'ohmytext',
  'mynewtext',
  'Größe 漢字',
  'a\r\nb',
  Buffer.from([0, 0xff, 0x80, 0x7f, 0]),
  Buffer.from([0xff, 0xff, 0xff]),
  'x'.repeat(43),
  'x'.repeat(44),
  'x'.repeat(45),
  'y'.repeat(64),
  'z'.repeat(300),
  'ab'.repeat(1000),
];

const PATTERNS: readonly Word[] = [
  '*',
  '',
  'key:*',
  '?',
  'h?llo',
  'h[^e]llo',
  'h[a-z]llo',
  'h\\?llo',
  '[a-c]',
  '[c-a]',
  '[',
  '[^',
  '\\',
  '*l*o*',
  '**',
  '{tag}*',
  'nothing*',
  '[\\]]',
  'a*b*c*d',
];

export class Vocabulary extends Random {
  key(): Word {
    // Half of all picks fall on a third of the keys.
    return this.chance(0.5) ? KEYS[this.below(7)]! : this.pick(KEYS);
  }

  keys(most: number): Word[] {
    return Array.from({ length: this.between(1, most) }, () => this.key());
  }

  /** An integer that is valid as int64. */
  integer(): string {
    if (this.chance(0.3)) return String(this.between(-20, 200));
    return this.pick(INTEGERS);
  }

  /** Mostly an integer, now and then something that only looks like one. */
  integerOrNot(): Word {
    return this.chance(0.12) ? this.pick(NOT_INTEGERS) : this.integer();
  }

  floatOrNot(): Word {
    const dice = this.below(10);
    if (dice === 0) return this.pick(NOT_FLOATS);
    if (dice < 3) return this.integerOrNot();
    if (dice < 6) return (this.between(-100_000, 100_000) / 10 ** this.between(0, 6)).toString();
    return this.pick(FLOATS);
  }

  value(): Word {
    const dice = this.below(10);
    if (dice < 3) return this.integerOrNot();
    if (dice < 4) return this.floatOrNot();
    if (dice < 5) return Buffer.from(Array.from({ length: this.below(12) }, () => this.below(256)));
    return this.pick(TEXTS);
  }

  /** A position in a string of ordinary size, from either end, or far outside. */
  offset(): Word {
    return this.chance(0.75) ? String(this.between(-30, 60)) : this.integerOrNot();
  }

  pattern(): Word {
    return this.chance(0.2) ? this.key() : this.pick(PATTERNS);
  }

  database(): string {
    return this.chance(0.1) ? this.pick(['15', '16', '-1', 'x', '', '99999999999']) : String(this.below(3));
  }

  /** Seconds of a time to live that does not run out while a script runs, or that is over at once. */
  seconds(): Word {
    if (this.chance(0.6)) return String(this.between(100, 1_000_000));
    return this.integerOrNot();
  }

  milliseconds(): Word {
    if (this.chance(0.6)) return String(this.between(100_000, 1_000_000_000));
    return this.integerOrNot();
  }

  /** Seconds since 1970 of a point in time far ahead, in the past or out of range. */
  unixSeconds(): Word {
    if (this.chance(0.6)) return String(this.between(4_000_000, 5_000_000) * 1000);
    return this.integerOrNot();
  }

  unixMilliseconds(): Word {
    if (this.chance(0.6)) return String(this.between(4_000_000, 5_000_000) * 1_000_000 + this.below(1000));
    return this.integerOrNot();
  }

  /** In upper, lower or mixed case. */
  spelled(word: string): string {
    const dice = this.below(10);
    if (dice < 6) return word;
    if (dice < 8) return word.toLowerCase();
    return [...word].map((c) => (this.chance(0.5) ? c.toLowerCase() : c.toUpperCase())).join('');
  }

  /** 0 to `most` of the given options, each a list of words, in random order; they may repeat. */
  options(most: number, makers: readonly (() => Word[])[]): Word[] {
    const words: Word[] = [];
    for (let i = this.below(most + 1); i > 0; i--) {
      const option = this.pick(makers)();
      words.push(this.spelled(String(option[0])), ...option.slice(1));
    }
    return words;
  }
}

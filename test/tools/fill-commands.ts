/** Random commands that fill memory and fragment it, on few keys. */

import type { Random } from './random.js';

export type Word = string | Uint8Array;

/** How commands change its keys: what fragments memory in different ways. */
export const FILL_KINDS = ['strings', 'mixed', 'collections', 'growing'] as const;
export type FillKind = (typeof FILL_KINDS)[number];

function text(random: Random, most: number): Buffer {
  const lengthBytes = random.chance(0.1) ? random.below(most) : random.below(Math.min(most, 100));
  if (random.chance(0.5)) return Buffer.alloc(lengthBytes, String(random.below(10)));
  return Buffer.from(Array.from({ length: lengthBytes }, () => random.below(256)));
}

function many(random: Random, most: number, make: () => Word[]): Word[] {
  return Array.from({ length: 1 + random.below(most) }, make).flat();
}

export function fillCommand(random: Random, kind: FillKind, makeTag = (): string => ''): Word[] {
  const key = (type = '') => `${makeTag()}${type}${random.below(kind === 'strings' ? 8000 : 60)}`;
  const strings = [
    () => ['SET', key(), text(random, 3000)],
    () => ['SET', key(), text(random, 30_000)],
    () => ['DEL', key(), key(), key()],
    () => ['MSET', ...many(random, 10, () => [key(), text(random, 2000)])],
    () => ['SET', key(), text(random, 200), 'EX', '100000'],
  ];
  const growing = [
    () => ['APPEND', key('a'), text(random, 3000)],
    () => ['SETRANGE', key('a'), String(random.below(60_000)), text(random, 100)],
    () => ['SETBIT', key('a'), String(random.below(100_000)), '1'],
    () => ['DEL', key('a')],
    () => ['RENAME', key('a'), key('a')],
    () => ['COPY', key('a'), key('a'), 'REPLACE'],
  ];
  const collections = [
    () => ['SADD', key('s'), ...many(random, 60, () => [text(random, 60)])],
    () => ['HSET', key('h'), ...many(random, 60, () => [String(random.below(400)), text(random, 1500)])],
    () => ['ZADD', key('z'), ...many(random, 60, () => [String(random.below(1000)), text(random, 60)])],
    () => ['RPUSH', key('l'), ...many(random, 60, () => [text(random, 300)])],
    () => ['LPUSH', key('l'), ...many(random, 20, () => [text(random, 3000)])],
    () => ['SUNIONSTORE', key('s'), key('s'), key('s')],
    () => ['ZUNIONSTORE', key('z'), '2', key('z'), key('z')],
    () => ['SORT', key('l'), 'ALPHA', 'STORE', key('l')],
    () => ['LMOVE', key('l'), key('l'), 'LEFT', 'RIGHT'],
    () => ['LTRIM', key('l'), '0', String(random.below(200))],
    () => ['SPOP', key('s'), String(random.below(100))],
    () => [
      'HPEXPIRE',
      key('h'),
      '100000000',
      'FIELDS',
      '2',
      String(random.below(400)),
      String(random.below(400)),
    ],
    () => ['DEL', key('s'), key('h'), key('z'), key('l')],
    () => ['UNLINK', key('s'), key('h')],
    () => ['COPY', key('h'), key('h'), 'REPLACE'],
  ];
  const makers: (() => Word[])[] =
    kind === 'strings'
      ? strings
      : kind === 'growing'
        ? [...growing, ...strings]
        : kind === 'collections'
          ? collections
          : [...strings, ...growing, ...collections];
  return random.pick(makers)();
}

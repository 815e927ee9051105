/** Commands on the bits of string values. */

import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

function bitOffset(v: Vocabulary): Word {
  return v.chance(0.8) ? String(v.below(400)) : v.integerOrNot();
}

function bit(v: Vocabulary): Word {
  return v.chance(0.92) ? v.pick(['0', '1']) : v.pick(['2', '-1', '', 'x', '01']);
}

function fieldType(v: Vocabulary): Word {
  if (v.chance(0.06)) return v.pick(['u64', 'i65', 'u0', 'i0', 'x8', '8', 'u', 'i', 'u-1', 'U8', 'i8x', '']);
  return v.chance(0.5)
    ? `u${v.chance(0.5) ? v.between(1, 63) : v.pick([1, 8, 16, 32, 63])}`
    : `i${v.chance(0.5) ? v.between(1, 64) : v.pick([1, 8, 16, 32, 63, 64])}`;
}

function fieldOffset(v: Vocabulary): Word {
  if (v.chance(0.06)) return v.pick(['#', '-1', '#-1', 'x', '#x', '', '4294967296', '#9223372036854775807']);
  return v.chance(0.3) ? `#${v.below(12)}` : String(v.below(200));
}

function fieldCommands(v: Vocabulary, readOnly: boolean): Word[] {
  return v.options(5, [
    () => ['GET', fieldType(v), fieldOffset(v)],
    ...(readOnly && v.chance(0.9)
      ? []
      : [
          () => ['SET', fieldType(v), fieldOffset(v), v.integerOrNot()],
          () => ['INCRBY', fieldType(v), fieldOffset(v), v.integerOrNot()],
          () => ['OVERFLOW', v.spelled(v.pick(['WRAP', 'SAT', 'FAIL', 'FAIL', 'WRAP', 'BOGUS']))],
        ]),
    ...(v.chance(0.03) ? [() => ['BOGUS', '1', '2'], () => ['GET', 'u8']] : []),
  ]);
}

function range(v: Vocabulary): Word[] {
  const words: Word[] = [];
  if (v.chance(0.8)) words.push(v.offset());
  if (words.length > 0 && v.chance(0.85)) words.push(v.offset());
  if (words.length === 2 && v.chance(0.6)) words.push(v.spelled(v.pick(['BYTE', 'BIT', 'BIT', 'BITS'])));
  return words;
}

export const bitmaps: Family = {
  name: 'bitmaps',
  commands: [
    [10, (v) => ['SETBIT', v.key(), bitOffset(v), bit(v)]],
    [6, (v) => ['GETBIT', v.key(), bitOffset(v)]],
    [8, (v) => ['BITCOUNT', v.key(), ...range(v)]],
    [8, (v) => ['BITPOS', v.key(), bit(v), ...range(v)]],
    [
      8,
      (v) => [
        'BITOP',
        v.spelled(v.pick(['AND', 'OR', 'XOR', 'NOT', 'NOT', 'AND', 'NAND'])),
        v.key(),
        ...(v.chance(0.4) ? [v.key()] : v.keys(5)),
      ],
    ],
    [14, (v) => ['BITFIELD', v.key(), ...fieldCommands(v, false)]],
    [5, (v) => ['BITFIELD_RO', v.key(), ...fieldCommands(v, true)]],
    [4, (v) => ['SET', v.key(), v.value()]],
    [3, (v) => ['GET', v.key()]],
  ],
};

/**
 * Lua's patterns, with the results and errors of Lua 5.1.
 *
 * They are our own because a pattern can take exponential time, and Lua's hook does not run inside of its library:
 * here each step counts, and the script can be ended. A pattern ends at its first zero byte, as in Lua 5.1.
 *
 * One match has its state in this module; who calls a function of the script in between sets it again (`setSubject`).
 */
import { spend } from './interrupt';
import { lua_pushlstring, lua_pushnumber, luaL_checkstack, State } from './lua';
import { raise, text } from './text';

const CAPTURES_MAX = 32;
const UNFINISHED = -1;
const POSITION = -2;
/** Parts of a pattern that may wait for each other: each takes some room on the machine's stack. */
const DEPTH_MAX = 1000;

const ENDS_WITH_PERCENT = text("malformed pattern (ends with '%%')");
const MISSING_BRACKET = text("malformed pattern (missing ']')");
const UNBALANCED = text('unbalanced pattern');
const NO_FRONTIER_SET = text("missing '[' after '%%f' in pattern");
const TOO_MANY_CAPTURES = text('too many captures');
const INVALID_CAPTURE = text('invalid capture index');
const INVALID_PATTERN_CAPTURE = text('invalid pattern capture');
const UNFINISHED_CAPTURE = text('unfinished capture');
const TOO_COMPLEX = text('pattern too complex');

const PERCENT = 0x25;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const CARET = 0x5e;
const DOLLAR = 0x24;
const OPEN = 0x28;
const CLOSE = 0x29;
const DOT = 0x2e;
const MINUS = 0x2d;
const STAR = 0x2a;
const PLUS = 0x2b;
const QUESTION = 0x3f;

let L: State = 0;
let subject: usize = 0;
let subjectEnd: usize = 0;
let depth: i32 = 0;
/** How many captures have begun. */
let level: i32 = 0;
/** Where captures begin, and their lengths. */
const captureStarts = memory.data(4 * 32, 4);
const captureLengths = memory.data(4 * 32, 4);

/** Bits of a character's classes. */
const ALPHA = 1;
const DIGIT = 2;
const SPACE = 4;
const PUNCTUATION = 8;
const CONTROL = 16;
const UPPER = 32;
const LOWER = 64;
const HEXADECIMAL = 128;
const classes = memory.data(256, 8);

function fillClasses(): void {
  for (let c = 0; c < 128; c++) {
    let bits = 0;
    if (c >= 0x61 && c <= 0x7a) bits |= ALPHA | LOWER;
    if (c >= 0x41 && c <= 0x5a) bits |= ALPHA | UPPER;
    if (c >= 0x30 && c <= 0x39) bits |= DIGIT | HEXADECIMAL;
    if ((c >= 0x61 && c <= 0x66) || (c >= 0x41 && c <= 0x46)) bits |= HEXADECIMAL;
    if (c === 0x20 || (c >= 9 && c <= 13)) bits |= SPACE;
    if (c < 0x20 || c === 0x7f) bits |= CONTROL;
    if (c > 0x20 && c < 0x7f && (bits & (ALPHA | DIGIT)) === 0) bits |= PUNCTUATION;
    store<u8>(classes + c, bits);
  }
}
fillClasses();

/** Sets what is matched, before the first `match` and after each call of a script's function. */
export function setSubject(state: State, start: usize, end: usize): void {
  L = state;
  subject = start;
  subjectEnd = end;
}

/** Looks for the pattern at exactly this place. Returns where the match ends, or 0. */
export function matchAt(at: usize, pattern: usize): usize {
  level = 0;
  depth = 0;
  return match(at, pattern);
}

function hasClass(c: u32, bits: u32): bool {
  return (load<u8>(classes + c) & bits) !== 0;
}

function matchClass(c: u32, name: u32): bool {
  let belongs: bool;
  switch (name | 0x20) {
    case 0x61 /* a */:
      belongs = hasClass(c, ALPHA);
      break;
    case 0x63 /* c */:
      belongs = hasClass(c, CONTROL);
      break;
    case 0x64 /* d */:
      belongs = hasClass(c, DIGIT);
      break;
    case 0x6c /* l */:
      belongs = hasClass(c, LOWER);
      break;
    case 0x70 /* p */:
      belongs = hasClass(c, PUNCTUATION);
      break;
    case 0x73 /* s */:
      belongs = hasClass(c, SPACE);
      break;
    case 0x75 /* u */:
      belongs = hasClass(c, UPPER);
      break;
    case 0x77 /* w */:
      belongs = hasClass(c, ALPHA | DIGIT);
      break;
    case 0x78 /* x */:
      belongs = hasClass(c, HEXADECIMAL);
      break;
    case 0x7a /* z */:
      belongs = c === 0;
      break;
    default:
      return name === c;
  }
  // A capital letter stands for all other characters.
  return hasClass(name, UPPER) ? !belongs : belongs;
}

/** Whether a set, from its '[' to its ']', has a character. */
function matchSet(c: u32, start: usize, end: usize): bool {
  let at = start + 1;
  let found = true;
  if (load<u8>(at) === CARET) {
    found = false;
    at++;
  }
  while (at < end) {
    const first = <u32>load<u8>(at);
    if (first === PERCENT) {
      at++;
      if (matchClass(c, load<u8>(at))) return found;
      at++;
    } else if (load<u8>(at + 1) === MINUS && at + 2 < end) {
      if (first <= c && c <= <u32>load<u8>(at + 2)) return found;
      at += 3;
    } else {
      if (first === c) return found;
      at++;
    }
  }
  return !found;
}

/** Whether one item of a pattern, which ends at `end`, matches a character. */
function matchSingle(c: u32, item: usize, end: usize): bool {
  const first = <u32>load<u8>(item);
  if (first === DOT) return true;
  if (first === PERCENT) return matchClass(c, load<u8>(item + 1));
  if (first === OPEN_BRACKET) return matchSet(c, item, end - 1);
  return first === c;
}

/** Where the item of a pattern ends. */
function itemEnd(item: usize): usize {
  const first = <u32>load<u8>(item);
  let at = item + 1;
  if (first === PERCENT) {
    if (load<u8>(at) === 0) raise(L, ENDS_WITH_PERCENT);
    return at + 1;
  }
  if (first !== OPEN_BRACKET) return at;
  if (load<u8>(at) === CARET) at++;
  do {
    const c = load<u8>(at);
    if (c === 0) raise(L, MISSING_BRACKET);
    at++;
    if (c === PERCENT && load<u8>(at) !== 0) at++;
  } while (load<u8>(at) !== CLOSE_BRACKET);
  return at + 1;
}

function match(start: usize, pattern: usize): usize {
  if (++depth > DEPTH_MAX) raise(L, TOO_COMPLEX);
  spend(L, 1);
  const result = matchItems(start, pattern);
  depth--;
  return result;
}

function matchItems(start: usize, pattern: usize): usize {
  let s = start;
  let p = pattern;
  while (true) {
    const first = <u32>load<u8>(p);
    if (first === 0) return s;
    if (first === OPEN) {
      return load<u8>(p + 1) === CLOSE
        ? beginCapture(s, p + 2, POSITION)
        : beginCapture(s, p + 1, UNFINISHED);
    }
    if (first === CLOSE) return endCapture(s, p + 1);
    if (first === DOLLAR && load<u8>(p + 1) === 0) return s === subjectEnd ? s : 0;
    if (first === PERCENT) {
      const second = <u32>load<u8>(p + 1);
      if (second === 0x62 /* b */) {
        s = matchBalanced(s, p + 2);
        if (s === 0) return 0;
        p += 4;
        continue;
      }
      if (second === 0x66 /* f */) {
        p += 2;
        if (load<u8>(p) !== OPEN_BRACKET) raise(L, NO_FRONTIER_SET);
        const end = itemEnd(p);
        const before = s === subject ? 0 : <u32>load<u8>(s - 1);
        if (matchSet(before, p, end - 1) || !matchSet(load<u8>(s), p, end - 1)) return 0;
        p = end;
        continue;
      }
      if (second - 0x30 < 10) {
        s = matchCapture(s, second);
        if (s === 0) return 0;
        p += 2;
        continue;
      }
    }
    const end = itemEnd(p);
    const suffix = <u32>load<u8>(end);
    if (suffix === STAR) return matchMost(s, p, end);
    if (suffix === MINUS) return matchLeast(s, p, end);
    const matches = s < subjectEnd && matchSingle(load<u8>(s), p, end);
    if (suffix === PLUS) return matches ? matchMost(s + 1, p, end) : 0;
    if (suffix === QUESTION) {
      if (matches) {
        const result = match(s + 1, end + 1);
        if (result !== 0) return result;
      }
      p = end + 1;
      continue;
    }
    if (!matches) return 0;
    s++;
    p = end;
  }
}

/** An item as often as possible, then the rest. */
function matchMost(start: usize, item: usize, end: usize): usize {
  let s = start;
  while (s < subjectEnd && matchSingle(load<u8>(s), item, end)) s++;
  spend(L, <i32>(s - start));
  while (true) {
    const result = match(s, end + 1);
    if (result !== 0) return result;
    if (s === start) return 0;
    s--;
  }
}

/** An item as seldom as possible, then the rest. */
function matchLeast(start: usize, item: usize, end: usize): usize {
  let s = start;
  while (true) {
    const result = match(s, end + 1);
    if (result !== 0) return result;
    if (s >= subjectEnd || !matchSingle(load<u8>(s), item, end)) return 0;
    s++;
  }
}

function matchBalanced(start: usize, pair: usize): usize {
  const open = load<u8>(pair);
  if (open === 0 || load<u8>(pair + 1) === 0) raise(L, UNBALANCED);
  if (load<u8>(start) !== open) return 0;
  const close = load<u8>(pair + 1);
  let count = 1;
  let s = start + 1;
  for (; s < subjectEnd; s++) {
    const c = load<u8>(s);
    if (c === close) {
      if (--count === 0) {
        spend(L, <i32>(s - start));
        return s + 1;
      }
    } else if (c === open) count++;
  }
  spend(L, <i32>(s - start));
  return 0;
}

function beginCapture(s: usize, pattern: usize, length: i32): usize {
  if (level >= CAPTURES_MAX) raise(L, TOO_MANY_CAPTURES);
  store<usize>(captureStarts + 4 * level, s);
  store<i32>(captureLengths + 4 * level, length);
  level++;
  const result = match(s, pattern);
  if (result === 0) level--;
  return result;
}

function endCapture(s: usize, pattern: usize): usize {
  let open = level - 1;
  while (open >= 0 && load<i32>(captureLengths + 4 * open) !== UNFINISHED) open--;
  if (open < 0) raise(L, INVALID_PATTERN_CAPTURE);
  store<i32>(captureLengths + 4 * open, <i32>(s - load<usize>(captureStarts + 4 * open)));
  const result = match(s, pattern);
  if (result === 0) store<i32>(captureLengths + 4 * open, UNFINISHED);
  return result;
}

/** The text of an earlier capture. */
function matchCapture(s: usize, digit: u32): usize {
  const index = <i32>digit - 0x31;
  if (index < 0 || index >= level || load<i32>(captureLengths + 4 * index) === UNFINISHED)
    raise(L, INVALID_CAPTURE);
  const length = load<u32>(captureLengths + 4 * index);
  if (<u32>(subjectEnd - s) < length) return 0;
  spend(L, <i32>(length >> 4));
  return memory.compare(load<usize>(captureStarts + 4 * index), s, length) === 0 ? s + length : 0;
}

/** Pushes a capture of the match [start, end); the whole match stands for the first one if there is none. */
export function pushCapture(index: i32, start: usize, end: usize): void {
  if (index >= level) {
    if (index !== 0) raise(L, INVALID_CAPTURE);
    lua_pushlstring(L, start, <u32>(end - start));
    return;
  }
  const begin = load<usize>(captureStarts + 4 * index);
  const length = load<i32>(captureLengths + 4 * index);
  if (length === UNFINISHED) raise(L, UNFINISHED_CAPTURE);
  if (length === POSITION) lua_pushnumber(L, <f64>(<u32>(begin - subject) + 1));
  else lua_pushlstring(L, begin, length);
}

/** Pushes all captures; the whole match if there is none and `whole` says so. Returns how many. */
export function pushCaptures(start: usize, end: usize, whole: bool): i32 {
  const count = level === 0 && whole ? 1 : level;
  luaL_checkstack(L, count, TOO_MANY_CAPTURES);
  for (let index = 0; index < count; index++) pushCapture(index, start, end);
  return count;
}

/** Looks for a text. Returns where it is, or 0. */
export function findText(state: State, start: usize, end: usize, wanted: usize, length: u32): usize {
  if (length === 0) return start;
  if (<u32>(end - start) < length) return 0;
  const first = load<u8>(wanted);
  const last = end - length;
  let counted = start;
  for (let s = start; s <= last; s++) {
    if (load<u8>(s) !== first) continue;
    let at: u32 = 1;
    while (at < length && load<u8>(s + at) === load<u8>(wanted + at)) at++;
    if (at === length) return s;
    spend(state, <i32>(at + <u32>(s - counted)) >> 2);
    counted = s;
  }
  spend(state, <i32>(last - counted) >> 2);
  return 0;
}

/** Whether a pattern has characters that are not just themselves. */
export function hasSpecials(pattern: usize): bool {
  let p = pattern;
  while (load<u8>(p) !== 0) {
    switch (<i32>load<u8>(p++)) {
      case CARET:
      case DOLLAR:
      case STAR:
      case PLUS:
      case QUESTION:
      case DOT:
      case OPEN:
      case OPEN_BRACKET:
      case PERCENT:
      case MINUS:
        return true;
    }
  }
  return false;
}

/**
 * The types of values, for tests that build and compare many of them: one row a type. Elements are numbered; a key has
 * those of a range, first to last. So what a key must have is known from two numbers, and nothing has to be remembered.
 */

import type { Reply } from './bulk-client.js';

export type Command = (string | number)[];

/** The text of an element, or of what belongs to it, by its number; different for each. Latin1. */
export type Naming = (number: number) => string;

/** Names of all kinds: integers, text, what can be compressed, and any bytes. */
export const mixedNames: Naming = (number) => {
  switch (number & 3) {
    case 0:
      return String(number * 7919 - 50_000);
    case 1:
      return `element ${number}`;
    case 2:
      return `${'abc'.repeat((number >> 2) % 20)}${number}`;
    default:
      return `\x00\xff\r\n${number}${String.fromCharCode(number & 255)}`;
  }
};

export const integerNames: Naming = (number) => String(number * 31 - 1000);

/** What a hash has in the field of an element. */
function fieldValue(number: number): string {
  return number % 7 === 0 ? 'value '.repeat(1 + (number % 9)) : `v${number}`;
}

function scoreOf(number: number): string {
  return String(number % 3 === 0 ? number : (number % 1000) / 4);
}

/** A string has one value, that of the last element. Those of large ranges are long. */
function stringOf(to: number, name: Naming): string {
  return to < 1000 ? name(to) : `${to} ${'text '.repeat(Math.ceil(to / 5))}`;
}

export interface ValueType {
  readonly name: string;
  /** Elements from `from` to before `to` come behind those that are there. */
  add(key: string, from: number, to: number, name: Naming): Command;
  /** The first elements, `from` to before `to`, go. Null if there is nothing to do. */
  drop(key: string, from: number, to: number, name: Naming): Command | null;
  read(key: string): Command;
  /** How many items of `read`'s reply make one element. */
  readonly itemsPerElement: number;
  /** Whether the elements have an order that is theirs; else they are compared as sets. */
  readonly isOrdered: boolean;
  /** The items of one element in that reply. */
  items(number: number, name: Naming): string[];
}

function range<T>(from: number, to: number, of: (number: number) => T | T[]): T[] {
  const all: T[] = [];
  for (let number = from; number < to; number++) {
    const some = of(number);
    if (Array.isArray(some)) all.push(...some);
    else all.push(some);
  }
  return all;
}

const STRING: ValueType = {
  name: 'string',
  add: (key, _, to, name) => ['SET', key, stringOf(to, name)],
  drop: () => null,
  read: (key) => ['GET', key],
  itemsPerElement: 1,
  isOrdered: true,
  items: (number, name) => [stringOf(number + 1, name)],
};

const LIST: ValueType = {
  name: 'list',
  add: (key, from, to, name) => ['RPUSH', key, ...range(from, to, name)],
  drop: (key, from, to) => ['LPOP', key, to - from],
  read: (key) => ['LRANGE', key, 0, -1],
  itemsPerElement: 1,
  isOrdered: true,
  items: (number, name) => [name(number)],
};

const SET: ValueType = {
  name: 'set',
  add: (key, from, to, name) => ['SADD', key, ...range(from, to, name)],
  drop: (key, from, to, name) => ['SREM', key, ...range(from, to, name)],
  read: (key) => ['SMEMBERS', key],
  itemsPerElement: 1,
  isOrdered: false,
  items: (number, name) => [name(number)],
};

const SORTED_SET: ValueType = {
  name: 'zset',
  add: (key, from, to, name) => [
    'ZADD',
    key,
    ...range(from, to, (number) => [scoreOf(number), name(number)]),
  ],
  drop: (key, from, to, name) => ['ZREM', key, ...range(from, to, name)],
  read: (key) => ['ZRANGE', key, 0, -1, 'WITHSCORES'],
  itemsPerElement: 2,
  isOrdered: false,
  items: (number, name) => [name(number), scoreOf(number)],
};

const HASH: ValueType = {
  name: 'hash',
  add: (key, from, to, name) => [
    'HSET',
    key,
    ...range(from, to, (number) => [name(number), fieldValue(number)]),
  ],
  drop: (key, from, to, name) => ['HDEL', key, ...range(from, to, name)],
  read: (key) => ['HGETALL', key],
  itemsPerElement: 2,
  isOrdered: false,
  items: (number, name) => [name(number), fieldValue(number)],
};

/** All types. A new one is added here, and everything that builds and compares values has it. */
export const VALUE_TYPES: readonly ValueType[] = [STRING, LIST, SET, SORTED_SET, HASH];

/** The first difference between a value and what it must have, '' if there is none. */
export function differenceOf(type: ValueType, reply: Reply, from: number, to: number, name: Naming): string {
  if (reply === null) return 'is not there';
  const items = Array.isArray(reply) ? (reply as string[]) : [String(reply)];
  const { itemsPerElement, isOrdered } = type;
  const first = type === STRING ? to - 1 : from; // The last one is all of it.
  if (items.length !== (to - first) * itemsPerElement) {
    return `has ${items.length / itemsPerElement} elements, not ${to - first}`;
  }
  if (isOrdered) {
    for (let number = first; number < to; number++) {
      const expected = type.items(number, name)[0];
      const found = items[number - first];
      if (found !== expected) return `has ${shown(found)} at ${number - first}, not ${shown(expected)}`;
    }
    return '';
  }
  const found = new Map<string, string>();
  for (let at = 0; at < items.length; at += itemsPerElement) {
    found.set(items[at]!, itemsPerElement > 1 ? items[at + 1]! : '');
  }
  for (let number = first; number < to; number++) {
    const [element, value = ''] = type.items(number, name) as [string, string?];
    if (!found.has(element)) return `lacks ${shown(element)}`;
    if (found.get(element) !== value) {
      return `has ${shown(found.get(element))} for ${shown(element)}, not ${shown(value)}`;
    }
  }
  return '';
}

const SHOWN_CHARACTERS_MAX = 60;

function shown(text: string | undefined): string {
  return text === undefined ? 'nothing' : JSON.stringify(text.slice(0, SHOWN_CHARACTERS_MAX));
}

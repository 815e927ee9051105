/**
 * Reads the values of directives and writes them in the one form that CONFIG GET prints. That form is
 * also what a Config stores, so 64-bit numbers keep all their digits.
 */

import { statSync } from 'node:fs';
import path from 'node:path';
import type { Directive } from './directives.js';
import { fromByteString, toByteString } from './quoting.js';

/** A value that a directive does not take; the message is Redis's reason. */
export class InvalidValue extends Error {}

const BIND_ADDRESSES_MAX = 16;
const LONG_MAX = 2n ** 63n - 1n;
const ULONG_MAX = 2n ** 64n - 1n;

/** The event classes of notify-keyspace-events in printing order; "A" stands for the first ten. */
const EVENT_CLASSES = 'g$lshzxetdnKEmoc';
const EVENT_CLASSES_ALL = 'g$lshzxetd';

const MEMORY_UNITS: Readonly<Record<string, bigint>> = {
  '': 1n,
  b: 1n,
  k: 1000n,
  kb: 1n << 10n,
  m: 1000n ** 2n,
  mb: 1n << 20n,
  g: 1000n ** 3n,
  gb: 1n << 30n,
};

/** Bytes from a text like "10mb", within 64 bits as Redis computes it; -1 if it is none. */
export function parseMemory(text: string): bigint {
  const match = /^(\d*)([a-z]*)$/i.exec(text.split('\0')[0]);
  const unit = match === null ? undefined : MEMORY_UNITS[match[2].toLowerCase()];
  if (match === null || unit === undefined) return -1n;
  const count = BigInt(match[1] || '0');
  return BigInt.asUintN(64, (count > ULONG_MAX ? ULONG_MAX : count) * unit);
}

/** A signed 64-bit integer in its shortest form; null if it is none. */
function parseStrictInteger(text: string): bigint | null {
  if (!/^(0|-?[1-9]\d*)$/.test(text)) return null;
  const value = BigInt(text);
  return value === BigInt.asIntN(64, value) ? value : null;
}

/** An integer as C's strtoll reads it, 0 if there is nothing; null if it is none. */
function parseLooseInteger(text: string): bigint | null {
  if (text === '') return 0n;
  const match = /^[ \t-\r]*([+-]?)(\d+)$/.exec(text);
  if (match === null) return null;
  const value = BigInt(match[2]);
  if (match[1] === '-') return value > LONG_MAX ? -LONG_MAX - 1n : -value;
  return value > LONG_MAX ? LONG_MAX : value;
}

const toInt32 = (value: bigint): number => Number(BigInt.asIntN(32, value));

function checkRange(directive: Directive, value: bigint): bigint {
  const { min, max, kind } = directive;
  if (value >= min && value <= max) return value;
  const radix = kind === 'octal' ? 8 : 10;
  throw new InvalidValue(
    `argument must be between ${min.toString(radix)} and ${max.toString(radix)} inclusive`,
  );
}

/** Applies the limits whose excess is no error: the value becomes the bound. */
function clamp(name: string, value: bigint): bigint {
  if (name === 'hz') return value < 1n ? 1n : value > 500n ? 500n : value;
  if (name === 'watchdog-period') return value > 0n && value < 200n ? 200n : value;
  if (name === 'repl-backlog-size') return value < 16384n ? 16384n : value;
  return value;
}

function parseMemoryOrPercent(arg: string): string {
  if (arg.endsWith('%')) {
    const percent = parseStrictInteger(arg.slice(0, -1));
    if (percent === null || percent < 0n)
      throw new InvalidValue('argument must be a memory or percent value');
    if (percent > 100n) throw new InvalidValue('percentage argument must be less or equal to 100');
    return percent === 0n ? '0' : `${percent}%`;
  }
  const bytes = parseMemory(arg);
  if (bytes < 0n) throw new InvalidValue('argument must be a memory or percent value');
  // Redis stores a percentage as a negative number, so a size of more than 63 bits counts as one.
  const signed = BigInt.asIntN(64, bytes);
  if (signed < -100n) throw new InvalidValue('percentage argument must be less or equal to 100');
  return signed < 0n ? `${-signed}%` : String(signed);
}

function parseFlags(directive: Directive, args: readonly string[]): string {
  const chosen = new Set(args.map((arg) => parseChoice(directive, arg)));
  if (args.length === 0) throw notOneOf(directive);
  if (chosen.has('save') && chosen.has('nosave')) {
    throw new InvalidValue("shutdown options SAVE and NOSAVE can't be used simultaneously");
  }
  const [none, ...flags] = directive.choices;
  const names = flags.filter((name) => chosen.has(name));
  return names.length === 0 ? none : names.join(' ');
}

function notOneOf(directive: Directive): InvalidValue {
  return new InvalidValue(`argument(s) must be one of the following: ${directive.choices.join(', ')}`);
}

function parseChoice(directive: Directive, arg: string): string {
  const choices = [...directive.choices, ...directive.newerChoices];
  const name = choices.find((choice) => choice.toLowerCase() === arg.toLowerCase());
  if (name === undefined) throw notOneOf(directive);
  // "relative" is only another word for "yes".
  return directive.name === 'oom-score-adj' && name === 'relative' ? 'yes' : name;
}

function checkFileName(name: string, value: string): void {
  const what = name === 'appenddirname' ? 'dirname' : 'filename';
  if (value === '' && name !== 'dbfilename') throw new InvalidValue(`${name} can't be empty`);
  if (value.includes('/')) throw new InvalidValue(`${name} can't be a path, just a ${what}`);
}

function checkHostName(value: string): void {
  if (value.length >= 256) throw new InvalidValue('Hostnames must be less than 256 characters');
  if (!/^[a-z0-9.-]*$/i.test(value)) {
    throw new InvalidValue('Hostnames may only contain alphanumeric characters, hyphens or dots');
  }
}

/** The process title has to hold something once its variables are filled in. */
function checkTitleTemplate(value: string): void {
  const known = /\{(title|listen-addr|server-mode|port|tls-port|unixsocket|config-file)\}/g;
  const filled = value.replace(known, (_whole, name) =>
    name === 'title' || name === 'server-mode' || name === 'unixsocket' ? '' : '1',
  );
  if (filled.includes('{') || filled.trim() === '') {
    throw new InvalidValue('template format is invalid or contains unknown variables');
  }
}

function parseString(directive: Directive, value: string): string {
  switch (directive.name) {
    case 'dbfilename':
    case 'appendfilename':
    case 'appenddirname':
      checkFileName(directive.name, value);
      break;
    case 'cluster-announce-hostname':
      checkHostName(value);
      break;
    case 'proc-title-template':
      checkTitleTemplate(value);
      break;
  }
  return value;
}

/** The absolute path of an existing directory. */
function parseDirectory(arg: string, current: string): string {
  const directory = path.resolve(fromByteString(current), fromByteString(arg));
  const stats = arg === '' ? undefined : statSync(directory, { throwIfNoEntry: false });
  if (stats === undefined) throw new InvalidValue('No such file or directory');
  if (!stats.isDirectory()) throw new InvalidValue('Not a directory');
  return toByteString(directory);
}

function parseSave(args: readonly string[]): string {
  if (args.length === 0 || (args.length === 1 && args[0] === '')) return '';
  const numbers: (bigint | number)[] = [];
  if (args.length % 2 === 1) throw new InvalidValue('Invalid save parameters');
  for (let at = 0; at < args.length; at += 2) {
    const seconds = parseLooseInteger(args[at]);
    const changes = parseLooseInteger(args[at + 1]);
    if (seconds === null || changes === null || seconds < 1n || toInt32(changes) < 0) {
      throw new InvalidValue('Invalid save parameters');
    }
    numbers.push(seconds, toInt32(changes));
  }
  return numbers.join(' ');
}

const CLIENT_CLASSES: Readonly<Record<string, number>> = { normal: 0, slave: 1, replica: 1, pubsub: 2 };

function parseOutputLimits(args: readonly string[], current: string): string {
  if (args.length % 4 !== 0) {
    throw new InvalidValue('Wrong number of arguments in buffer limit configuration.');
  }
  const limits = current.split(' ');
  for (let at = 0; at < args.length; at += 4) {
    const index = CLIENT_CLASSES[args[at].toLowerCase()];
    if (index === undefined) {
      throw new InvalidValue('Invalid client class specified in buffer limit configuration.');
    }
    const hard = parseMemory(args[at + 1]);
    const soft = parseMemory(args[at + 2]);
    const seconds = parseLooseInteger(args[at + 3]);
    if (hard < 0n || soft < 0n || seconds === null || toInt32(seconds) < 0) {
      throw new InvalidValue('Error in hard, soft or soft_seconds setting in buffer limit configuration.');
    }
    limits.splice(index * 4 + 1, 3, String(hard), String(soft), String(toInt32(seconds)));
  }
  return limits.join(' ');
}

function parseBind(args: readonly string[]): string {
  if (args.length > BIND_ADDRESSES_MAX) throw new InvalidValue('Too many bind addresses specified.');
  return args.join(' ');
}

function parseEventClasses(arg: string): string {
  const chosen = new Set(arg.replaceAll('A', EVENT_CLASSES_ALL));
  for (const letter of chosen) {
    if (!EVENT_CLASSES.includes(letter)) {
      throw new InvalidValue("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    }
  }
  const all = [...EVENT_CLASSES_ALL].every((letter) => chosen.has(letter));
  const letters = [...EVENT_CLASSES].filter((letter) => chosen.has(letter));
  // After "A", print only the letters that it does not include.
  return all
    ? `A${letters.filter((letter) => !EVENT_CLASSES_ALL.includes(letter)).join('')}`
    : letters.join('');
}

function parseOomScores(args: readonly string[]): string {
  if (args.length !== 3) throw new InvalidValue('wrong number of arguments');
  const values = args.map(parseLooseInteger);
  if (values.some((value) => value === null || value < -2000n || value > 2000n)) {
    throw new InvalidValue('Invalid oom-score-adj-values, elements must be between -2000 and 2000.');
  }
  return values.join(' ');
}

/** A number with up to six decimals. */
function formatDecimals(value: number): string {
  const text = value.toFixed(6).replace(/\.?0+$/, '');
  return Object.is(value, -0) ? `-${text}` : text;
}

function parsePercentiles(args: readonly string[]): string {
  if (args.length === 1 && args[0] === '') return '';
  return args
    .map((arg) => {
      const isInfinite = /^[+-]?inf(inity)?$/i.test(arg);
      const value = isInfinite ? Number.POSITIVE_INFINITY : /\S/.test(arg) ? Number(arg) : Number.NaN;
      if (Number.isNaN(value)) throw new InvalidValue('Invalid latency-tracking-info-percentiles parameters');
      if (value < 0 || value > 100) {
        throw new InvalidValue('latency-tracking-info-percentiles parameters should sit between [0.0,100.0]');
      }
      return formatDecimals(value);
    })
    .join(' ');
}

function parseReplicaOf(args: readonly string[]): string {
  if (args.length !== 2) throw new InvalidValue('wrong number of arguments');
  if (args[0].toLowerCase() === 'no' && args[1].toLowerCase() === 'one') return '';
  const port = parseLooseInteger(args[1]);
  if (port === null || port < 0n || port > 65535n) throw new InvalidValue('Invalid master port');
  return `${args[0]} ${port}`;
}

function parseSpecial(directive: Directive, args: readonly string[], current: string): string {
  switch (directive.name) {
    case 'save':
      return parseSave(args);
    case 'client-output-buffer-limit':
      return parseOutputLimits(args, current);
    case 'bind':
      return parseBind(args);
    case 'dir':
      return parseDirectory(args[0], current);
    case 'notify-keyspace-events':
      return parseEventClasses(args[0]);
    case 'oom-score-adj-values':
      return parseOomScores(args);
    case 'latency-tracking-info-percentiles':
      return parsePercentiles(args);
    case 'replicaof':
      return parseReplicaOf(args);
    default:
      return args.join(' ');
  }
}

function parseNumber(directive: Directive, arg: string): string {
  if (directive.kind === 'octal') {
    if (!/^[0-7]+$/.test(arg)) {
      throw new InvalidValue("argument couldn't be parsed as an octal number");
    }
    return checkRange(directive, BigInt(`0o${arg}`)).toString(8);
  }
  if (directive.kind === 'memory') {
    const bytes = parseMemory(arg);
    if (bytes < 0n) throw new InvalidValue('argument must be a memory value');
    return String(clamp(directive.name, checkRange(directive, bytes)));
  }
  const value = parseStrictInteger(arg);
  if (value === null) throw new InvalidValue("argument couldn't be parsed into an integer");
  return String(clamp(directive.name, checkRange(directive, value)));
}

/**
 * Reads the arguments of a directive.
 * @param current the value so far: client-output-buffer-limit and dir build on it
 * @returns the value as CONFIG GET prints it
 * @throws InvalidValue
 */
export function parseValue(directive: Directive, args: readonly string[], current: string): string {
  if (!directive.multiple && args.length !== 1) throw new InvalidValue('wrong number of arguments');
  switch (directive.kind) {
    case 'boolean': {
      const value = args[0].toLowerCase();
      if (value !== 'yes' && value !== 'no') throw new InvalidValue("argument must be 'yes' or 'no'");
      return value;
    }
    case 'integer':
    case 'octal':
    case 'memory':
      return parseNumber(directive, args[0]);
    case 'memory-or-percent':
      return parseMemoryOrPercent(args[0]);
    case 'choice':
      return parseChoice(directive, args[0]);
    case 'flags':
      return parseFlags(directive, args);
    case 'string':
      return parseString(directive, args[0]);
    case 'special':
      return parseSpecial(directive, args, current);
  }
}

/** Throws InvalidValue if CONFIG SET refuses a value that a configuration file may have. */
export function checkSettable(directive: Directive, value: string): void {
  if (directive.name === 'activedefrag' && value === 'yes') {
    throw new InvalidValue(
      'Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc like the one shipped by default with the Redis source distribution',
    );
  }
}

/** Splits the one argument of CONFIG SET for a directive that takes several. */
export function splitValue(directive: Directive, value: string): string[] {
  if (!directive.multiple) return [value];
  return value === '' ? [] : value.split(' ');
}

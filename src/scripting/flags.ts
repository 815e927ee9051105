/** The first line of scripts and libraries: `#!lua name=mylib flags=no-writes,allow-oom`. */
import { splitArguments } from '../config/quoting.js';

/** What a script or a function says of itself. The order is that of assembly/functions.ts. */
export const enum ScriptFlag {
  NoWrites = 1,
  AllowOom = 2,
  AllowStale = 4,
  NoCluster = 8,
  AllowCrossSlotKeys = 16,
  /** A script without a first line of that kind: what it may do follows from what it does. */
  Compatible = 32,
}

/** The flags' names, in the order of their bits. */
export const SCRIPT_FLAG_NAMES = [
  'no-writes',
  'allow-oom',
  'allow-stale',
  'no-cluster',
  'allow-cross-slot-keys',
];

/** Names of a set of flags, in Redis's order. */
export function flagNames(flags: number): string[] {
  return SCRIPT_FLAG_NAMES.filter((_, bit) => (flags & (1 << bit)) !== 0);
}

const LINE_END = 10;

function firstLine(source: Uint8Array): { line: string; length: number } | undefined {
  const zero = source.indexOf(0);
  const end = source.indexOf(LINE_END);
  if (end < 0 || (zero >= 0 && zero < end)) return undefined;
  return { line: Buffer.from(source.buffer, source.byteOffset, end).toString('latin1'), length: end };
}

function hasShebang(source: Uint8Array): boolean {
  return source.length >= 2 && source[0] === 0x23 && source[1] === 0x21;
}

/** How a script's source begins: its flags, and where its code does (the line's end belongs to the code). */
export interface ScriptHeader {
  flags: number;
  codeStart: number;
}

/** Reads the first line of a script of EVAL. Returns an error's text (without "ERR") if it is wrong. */
export function parseScriptHeader(source: Uint8Array): ScriptHeader | string {
  if (!hasShebang(source)) return { flags: ScriptFlag.Compatible, codeStart: 0 };
  const first = firstLine(source);
  if (first === undefined) return 'Invalid script shebang';
  const parts = splitArguments(first.line);
  if (!parts || parts.length === 0) return 'Invalid engine in script shebang';
  if (parts[0] !== '#!lua') return `Unexpected engine in script shebang: ${parts[0]}`;
  let flags = 0;
  for (const part of parts.slice(1)) {
    if (!part.startsWith('flags=')) return `Unknown lua shebang option: ${part}`;
    const names = part.slice('flags='.length);
    if (names === '') continue;
    for (const name of names.split(',')) {
      const bit = SCRIPT_FLAG_NAMES.indexOf(name);
      if (bit < 0) return `Unexpected flag in script shebang: ${name}`;
      flags |= 1 << bit;
    }
  }
  return { flags, codeStart: first.length };
}

/** How a library's source begins. */
export interface LibraryHeader {
  engine: string;
  name: string;
  codeStart: number;
}

const NAME_RULE =
  'Library names can only contain letters, numbers, or underscores(_) and must be at least one character long';

/** Whether a name may be one of a library or a function. */
export function isLibraryName(name: string): boolean {
  return /^[A-Za-z0-9_]+$/.test(name);
}

/** Reads the first line of a library. Returns an error's text (without "ERR") if it is wrong. */
export function parseLibraryHeader(source: Uint8Array): LibraryHeader | string {
  if (!hasShebang(source)) return 'Missing library metadata';
  const first = firstLine(source);
  const parts = first && splitArguments(first.line);
  if (first === undefined || !parts || parts.length === 0) return 'Invalid library metadata';
  const engine = parts[0].slice(2);
  let name: string | undefined;
  for (const part of parts.slice(1)) {
    if (part.slice(0, 5).toLowerCase() !== 'name=') return `Invalid metadata value given: ${part}`;
    if (name !== undefined) return 'Invalid metadata value, name argument was given multiple times';
    name = part.slice(5);
  }
  if (name === undefined) return 'Library name was not given';
  if (!isLibraryName(name)) return NAME_RULE;
  if (engine.toLowerCase() !== 'lua') return `Engine '${engine}' not found`;
  return { engine: 'LUA', name, codeStart: first.length };
}

/** An error's text for the name of a function, undefined if it may be one. */
export function functionNameError(name: string): string | undefined {
  return isLibraryName(name) ? undefined : NAME_RULE;
}

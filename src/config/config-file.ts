/** Reading configuration texts: lines, quotes, comments and include patterns. */

import { readdirSync } from 'node:fs';
import path from 'node:path';
import { GlobPattern } from '../structures/glob.js';
import { fromByteString, splitArguments } from './quoting.js';

/** A mistake in the configuration; the message is one line for the user. */
export class ConfigError extends Error {}

export interface DirectiveLine {
  /** Where it stands, e.g. "redis.conf line 12". */
  readonly place: string;
  /** As written, without surrounding white space. */
  readonly text: string;
  /** Name and values. */
  readonly args: readonly string[];
}

/** The error about a line, e.g. `redis.conf line 12: 'maxmemory 10q': argument must be a memory value`. */
export function lineError(line: Omit<DirectiveLine, 'args'>, reason: string): ConfigError {
  return new ConfigError(`${line.place}: '${fromByteString(line.text)}': ${reason}`);
}

/**
 * The directives of a configuration text.
 * @param text a byte string
 * @param origin what errors call the text
 * @throws ConfigError
 */
export function* parseConfigText(text: string, origin: string): Generator<DirectiveLine> {
  const lines = text.split('\n');
  for (let index = 0; index < lines.length; index++) {
    const trimmed = lines[index].replace(/^[ \t\r]+|[ \t\r]+$/g, '');
    if (trimmed === '' || trimmed.startsWith('#')) continue;
    const line = { place: `${origin} line ${index + 1}`, text: trimmed };
    const args = splitArguments(trimmed);
    if (args === null) throw lineError(line, 'unbalanced quotes in configuration line');
    if (args.length > 0) yield { ...line, args };
  }
}

/** Whether a path holds wildcards. */
export function isPathPattern(pattern: string): boolean {
  return /[*?[]/.test(pattern);
}

/** The files that a path with wildcards stands for, sorted; as usual, no wildcard matches a leading dot. */
export function expandPath(pattern: string): string[] {
  let found = [pattern.startsWith('/') ? '/' : ''];
  for (const segment of pattern.split('/')) {
    if (segment === '') continue;
    if (!isPathPattern(segment)) {
      found = found.map((directory) => path.join(directory, segment));
      continue;
    }
    const glob = new GlobPattern(new TextEncoder().encode(segment));
    found = found.flatMap((directory) =>
      listDirectory(directory)
        .filter((name) => {
          const bytes = new TextEncoder().encode(name);
          return (!name.startsWith('.') || segment.startsWith('.')) && glob.matches(bytes, 0, bytes.length);
        })
        .map((name) => path.join(directory, name)),
    );
  }
  return found.sort();
}

function listDirectory(directory: string): string[] {
  try {
    return readdirSync(directory === '' ? '.' : directory);
  } catch {
    return [];
  }
}

/** Random scripts: what is sent, on which connection, in which pipelines. */

import { Buffer } from 'node:buffer';
import { keepsSameScores } from './families/sorted-sets.js';
import type { Family } from './family.js';
import { Vocabulary, type Word } from './vocabulary.js';

/** Connections that a script uses in turn. */
export const CONNECTIONS = 3;
export const COMMANDS_PER_SCRIPT = 200;

const DEEPEST_PIPELINE = 40;
/** Longer words are cut when a script is printed; the seed repeats them in full. */
const QUOTED_BYTES_MAX = 320;
/** How often a family that has byte sequences gives one in place of a command; they take some 25 ms each. */
const BYTES_CHANCE = 0.08;
/** Long enough for a time to live of {@link Family.shortLived} to be over. */
const SHORT_LIFE_PAUSE_MS = 15;

export interface CommandStep {
  kind: 'command';
  connection: number;
  args: Word[];
  /** Whether the pipeline ends with this command: its reply is awaited before anything else is sent. */
  endsPipeline: boolean;
  pauseMs: number;
}

/** Bytes for a connection of their own, one write each. */
export interface BytesStep {
  kind: 'bytes';
  writes: Uint8Array[];
}

export type Step = CommandStep | BytesStep;

export interface Script {
  seed: number;
  /** RESP version of each connection at the start. */
  resp: (2 | 3)[];
  steps: Step[];
  /** Whether keys expire while it runs; then DBSIZE depends on when each server reclaims them. */
  hasShortLived: boolean;
}

function text(word: Word | undefined): string {
  return word === undefined ? '' : word.toString('latin1' as never).toLowerCase();
}

/** Whether a number is so large that it would make a string of more than a mebibyte, or a bitmap of that. */
function isCostlyOffset(word: string): boolean {
  const number = Math.abs(Number(word.replace(/^#/, '')));
  return number >= 1 << 20;
}

/** Subcommands of COMMAND that, given no names, report on all commands. */
const WHOLE_TABLE = new Set(['', 'count', 'docs', 'info', 'list']);

/** Whether a count of members makes a command draw some of them at random. */
function isDraw(word: string): boolean {
  const count = Number(word);
  return count !== 0 && count < 10_000;
}

const EXPIRY_OPTIONS = new Set(['ex', 'px', 'exat', 'pxat']);

/** Whether a time to live could run out while the script runs. */
function isRacyTime(word: string, isMilliseconds: boolean): boolean {
  const number = Number(word);
  return number > 0 && number < (isMilliseconds ? 100_000 : 100);
}

/** Whether a reading command would wait. */
function mayBlock(args: readonly Word[]): boolean {
  return args.some((word, i) => text(word) === 'block' && Number(text(args[i + 1])) >= 0);
}

/**
 * Whether a command can be part of a script: it neither needs hundreds of megabytes nor depends on the
 * moment at which it runs.
 */
export function isSuitable(args: readonly Word[]): boolean {
  const name = text(args[0]);
  if (!keepsSameScores(args.map(text))) return false;
  switch (name) {
    case 'hrandfield':
      // Only what leaves nothing to chance.
      return args.length > 3 || (args.length === 3 && !isDraw(text(args[2])));
    case 'zrank':
    case 'zrevrank':
      // WITHSCORE came later than the reference.
      return args.length !== 4;
    case 'zrandmember':
      return args[2] === undefined || Number(args[2]) > -10_000;
    case 'setbit':
    case 'setrange':
      return !isCostlyOffset(text(args[2]));
    case 'bitfield': {
      const words = args.slice(2).map(text);
      return !words.some(
        (word, i) => (word === 'set' || word === 'incrby') && isCostlyOffset(words[i + 2] ?? ''),
      );
    }
    case 'command':
      // The whole table grows command by command; it is compared elsewhere.
      return args.length > 2 || !WHOLE_TABLE.has(text(args[1]));
    case 'config':
      // A small memory ceiling would evict keys.
      return !args.some((word) => text(word) === 'maxmemory') || text(args[3]) === 'x';
    case 'shutdown':
      // With an argument it is a mistake; without, it works.
      return args.length > 1;
    case 'spop':
    case 'srandmember':
      // Only what leaves nothing to chance: all members, none, or an error.
      return args.length > 3 || (args.length === 3 && !isDraw(text(args[2])));
    case 'lpos':
      // Redis 7.0 overflows here, later versions reply with an error.
      return !args.some((word) => text(word) === '-9223372036854775808');
    case 'expire':
    case 'setex':
      return !isRacyTime(text(args[2]), false);
    case 'pexpire':
    case 'psetex':
      return !isRacyTime(text(args[2]), true);
    case 'set':
    case 'getex':
      for (let i = 1; i + 1 < args.length; i++) {
        const option = text(args[i]);
        if (EXPIRY_OPTIONS.has(option) && isRacyTime(text(args[i + 1]), option.startsWith('p'))) return false;
      }
      return true;
    case 'restore':
    case 'restore-asking':
      // Redis adds the current time to what is near the end of time, and overflows.
      return !isRacyTime(text(args[2]), true) && Math.abs(Number(text(args[2]))) <= Number.MAX_SAFE_INTEGER;
    case 'info':
      return text(args[1]) === 'bogus';
    case 'debug':
      return text(args[1]) !== 'sleep' || text(args[2]) === '0';
    case 'client':
      // Tracking can't be switched on; what is wrong with trying is compared.
      if (text(args[1]) === 'tracking' && text(args[2]) === 'on') return args.length > 4;
      return text(args[1]) !== 'kill' || args.length > 2;
    case 'xadd':
      // An id of the server's own comes from the clock.
      return !args.some((word) => text(word) === '*');
    case 'xread':
      // The last entry can be asked for since Redis 7.4.
      return !mayBlock(args) && !args.some((word) => text(word) === '+');
    case 'xreadgroup':
      return !mayBlock(args);
    case 'xautoclaim':
      // For large counts it depends on the machine whether Redis has memory.
      return !args.some((word, i) => text(word) === 'count' && Number(text(args[i + 1])) > 1000);
    case 'monitor':
      return args.length > 1;
    case 'latency':
      return text(args[1]) !== 'histogram' || args.length > 2;
    default:
      return true;
  }
}

/** A command that is slightly wrong: other case, too few or too many words, words exchanged. */
function distort(v: Vocabulary, args: Word[]): Word[] {
  const words = args.slice();
  const last = words.length - 1;
  switch (v.below(5)) {
    case 0:
      words[0] = v.spelled(v.spelled(String(words[0])));
      break;
    case 1:
      if (last > 0) words.pop();
      break;
    case 2:
      words.push(v.value());
      break;
    case 3:
      if (last > 1) {
        const i = v.between(1, last);
        const j = v.between(1, last);
        const exchanged = words[i]!;
        words[i] = words[j]!;
        words[j] = exchanged;
      }
      break;
    default:
      if (last > 0) words[v.between(1, last)] = v.integerOrNot();
  }
  return words;
}

function pickCommand(v: Vocabulary, family: Family): Word[] {
  let total = 0;
  for (const [weight] of family.commands) total += weight;
  for (;;) {
    let dice = v.below(total * 16) / 16;
    let args: Word[] = ['PING'];
    for (const [weight, make] of family.commands) {
      if (dice < weight) {
        args = make(v);
        break;
      }
      dice -= weight;
    }
    if (v.chance(0.15)) args[0] = v.spelled(String(args[0]));
    if (v.chance(0.04)) args = distort(v, args);
    if (isSuitable(args)) return args;
  }
}

/** The script of a seed; the same seed and families always give the same script. */
export function makeScript(
  seed: number,
  families: readonly Family[],
  commands = COMMANDS_PER_SCRIPT,
): Script {
  const v = new Vocabulary(seed);
  const hasShortLived = v.chance(0.15) && families.some((family) => family.shortLived);
  // Half of the scripts stay within two families, so that commands of one kind meet more often.
  const chosen = v.chance(0.5) ? [v.pick(families), v.pick(families)] : [...families];
  const steps: Step[] = [];
  let connection = 0;
  let left = 0;
  for (let i = 0; i < commands; i++) {
    if (left === 0) {
      left = v.chance(0.4) ? 1 : v.between(1, DEEPEST_PIPELINE);
      connection = v.below(CONNECTIONS);
    }
    left--;
    const family = v.pick(chosen);
    if (family.bytes && v.chance(BYTES_CHANCE)) {
      const previous = steps.at(-1);
      if (previous?.kind === 'command') previous.endsPipeline = true;
      steps.push({ kind: 'bytes', writes: family.bytes(v) });
      left = 0;
      continue;
    }
    const isShortLived = hasShortLived && family.shortLived !== undefined && v.chance(0.15);
    const args = isShortLived ? v.pick(family.shortLived!)(v) : pickCommand(v, family);
    // A queued command's time to live starts at EXEC.
    const needsPause = isShortLived || (hasShortLived && text(args[0]) === 'exec');
    if (needsPause) left = 0;
    const pauseMs = needsPause ? SHORT_LIFE_PAUSE_MS : 0;
    steps.push({ kind: 'command', connection, args, endsPipeline: left === 0, pauseMs });
  }
  const resp = Array.from({ length: CONNECTIONS }, () => v.pick([2, 3] as const));
  return { seed, resp, steps, hasShortLived };
}

function quote(word: Word): string {
  const bytes = Buffer.from(word as string, 'utf8');
  if (bytes.length > QUOTED_BYTES_MAX) {
    return `${quote(bytes.subarray(0, QUOTED_BYTES_MAX))}…(${bytes.length} bytes)`;
  }
  const plain = bytes.toString('latin1');
  if (/^[\w:.*?{}+-]+$/.test(plain)) return plain;
  let quoted = '"';
  for (const byte of bytes) {
    if (byte === 0x22 || byte === 0x5c) quoted += `\\${String.fromCharCode(byte)}`;
    else if (byte >= 0x20 && byte < 0x7f) quoted += String.fromCharCode(byte);
    else quoted += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `${quoted}"`;
}

/** A command as one would type it into redis-cli. */
export function formatCommand(args: readonly Word[]): string {
  return args.map(quote).join(' ');
}

/** A script for people to read: one line per step, `--` between pipelines. */
export function formatScript(script: Script): string {
  const lines = [`connections start with RESP ${script.resp.join(', ')}`];
  for (const step of script.steps) {
    if (step.kind === 'bytes') {
      lines.push(
        `  bytes on a new connection: ${step.writes.map(quote as (b: Uint8Array) => string).join(' | ')}`,
      );
      continue;
    }
    lines.push(`  ${step.connection}> ${formatCommand(step.args)}`);
    if (step.pauseMs > 0) lines.push(`  pause ${step.pauseMs} ms`);
    if (step.endsPipeline) lines.push('  --');
  }
  return lines.join('\n');
}

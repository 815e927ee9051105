/**
 * The command line in redis-server's form: `[redis.conf] [--directive value …] [-]`. A directive takes
 * all arguments up to the next one that names a directive, so values may start with a dash.
 */

import { readFileSync } from 'node:fs';
import { Config, describeArguments } from './config.js';
import { directiveIndex } from './directives.js';
import { nameInRedis7, OtherDirective, otherDirective } from './other-versions.js';
import { splitArguments, toByteString } from './quoting.js';

export interface CommandLine {
  /** What is no directive: a configuration file, options of the program itself. */
  readonly others: readonly string[];
  /** Whether "-" asks to read a configuration from standard input. */
  readonly readsStandardInput: boolean;
  /** Names with their values, in order. */
  readonly directives: readonly (readonly string[])[];
}

/** Options of the program itself, in Redis's spelling and commander's. */
const PROGRAM_OPTIONS = new Set(['--help', '--version', '-h', '-v']);

function startsDirective(arg: string): boolean {
  if (!arg.startsWith('--') || PROGRAM_OPTIONS.has(arg)) return false;
  const [name] = arg.slice(2).split(/[=\s]/, 1);
  return directiveIndex(nameInRedis7(name)) >= 0 || otherDirective(name, []) !== OtherDirective.Unknown;
}

/** Name and values in one argument: `--maxmemory=1gb`, `'--save 900 1'`, or the name alone. */
function splitOption(arg: string): string[] {
  const option = arg.slice(2);
  const equals = /^([\w-]+)=(.*)$/s.exec(option);
  if (equals !== null) return [equals[1], equals[2]];
  return splitArguments(option) ?? [option];
}

/** Sorts the arguments of the command line. */
export function parseCommandLine(argv: readonly string[]): CommandLine {
  const others: string[] = [];
  const directives: string[][] = [];
  let readsStandardInput = false;
  let open: string[] | null = null;
  argv.forEach((arg, index) => {
    const isProgramOption = PROGRAM_OPTIONS.has(arg) && (open === null || open.length > 1);
    if (arg === '-' && (index === argv.length - 1 || open === null)) {
      readsStandardInput = true;
    } else if (isProgramOption) {
      others.push(arg);
      open = null;
    } else if (startsDirective(arg) || (arg.startsWith('--') && (open === null || open.length > 1))) {
      open = splitOption(arg);
      directives.push(open);
    } else if (open !== null) {
      open.push(arg);
    } else if (
      others.some((other) => !PROGRAM_OPTIONS.has(other)) &&
      directiveIndex(nameInRedis7(arg)) >= 0
    ) {
      // Behind the file the first directive may do without its dashes, as in redis-server.
      open = [arg];
      directives.push(open);
    } else {
      others.push(arg);
    }
  });
  return { others, readsStandardInput, directives };
}

/**
 * The configuration that a command line asks for: first the file, then standard input, then directives.
 * @throws ConfigError
 */
export function loadConfig(file: string | null, line: CommandLine): Config {
  const config = new Config();
  if (file !== null) config.loadFile(file);
  if (line.readsStandardInput) config.loadText(readFileSync(0, 'latin1'), 'standard input');
  for (const [name, ...values] of line.directives) {
    // "--save" alone turns saving off, as in redis-server.
    const args = name.toLowerCase() === 'save' && values.length === 0 ? [''] : values;
    config.loadArguments([name, ...args].map(toByteString), toByteString(describeArguments(name, values)));
  }
  config.checkLoaded();
  return config;
}

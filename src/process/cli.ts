#!/usr/bin/env node
/** The command line: reads the configuration and starts the server. */

import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { Command, Option } from 'commander';
import { loadConfig, parseCommandLine } from '../config/command-line.js';
import type { Config } from '../config/config.js';
import { loadLibc } from '../system/libc.js';
import { DAMSELFLY_VERSION, REDIS_VERSION } from '../system/version.js';
import { ignoreSignals } from './signals.js';
import { keepHeapSmall } from './start-memory.js';
import { startDaemon } from './supervision.js';

/** The directives that --help explains, by group. */
const explained: Readonly<Record<string, readonly (readonly [flags: string, description: string])[]>> = {
  'Network:': [
    ['--port <port>', 'TCP port, 0 for none (default: 6379)'],
    ['--bind <address...>', 'addresses to listen on (default: all)'],
    ['--unixsocket <path>', 'also listen on a unix socket'],
    ['--protected-mode <yes|no>', 'without password, serve only local clients (default: yes)'],
    ['--maxclients <count>', 'connections at the same time (default: 10000)'],
    ['--timeout <seconds>', 'close connections that are idle, 0 for never (default: 0)'],
  ],
  'Threads:': [
    ['--threads <count>', 'worker threads, 0 for one per core (default: 0)'],
    ['--transport <auto|io_uring|epoll|node>', 'how sockets are read (default: auto)'],
  ],
  'Memory:': [
    ['--maxmemory <bytes>', 'ceiling for the data, e.g. 1gb; 0 for none (default: 0)'],
    ['--maxmemory-policy <policy>', 'what to evict at the ceiling, e.g. allkeys-lru (default: noeviction)'],
  ],
  'General:': [
    ['--requirepass <password>', 'password that clients must give'],
    ['--databases <count>', 'databases for SELECT (default: 16)'],
    ['--dir <path>', 'working directory (default: the current one)'],
    ['--logfile <path>', 'where to log (default: standard output)'],
    ['--loglevel <level>', 'debug, verbose, notice or warning (default: notice)'],
    ['--enable-debug-command <yes|no|local>', 'who may use DEBUG (default: no)'],
  ],
};

const examples = `
Every directive of redis.conf is an option too; those that have no effect yet are named in a warning.

Examples:
  damselfly
  damselfly /etc/damselfly.conf --port 7000
  damselfly --threads 4 --maxmemory 4gb --maxmemory-policy allkeys-lfu
  echo 'port 7000' | damselfly -`;

function fail(message: string): never {
  process.stderr.write(`damselfly: ${message}\n`);
  process.exit(1);
}

/** Options of redis-cli that users may give to this server by mistake, and their names here. */
const CLIENT_OPTIONS: Readonly<Record<string, string>> = {
  '-p': '--port',
  '-s': '--unixsocket',
  '-a': '--requirepass',
};

function describeUsageError(message: string): string {
  const text = message.replace(/^error: /, '').replace(/\n\s*/g, ' ');
  const option = /^unknown option '(-\w)/.exec(text)?.[1] ?? '';
  return option in CLIENT_OPTIONS ? `${text} (did you mean '${CLIENT_OPTIONS[option]}'?)` : text;
}

function createProgram(): Command {
  const program = new Command('damselfly')
    .description('An in-memory data store that speaks the Redis protocol and uses every core.')
    .usage('[redis.conf] [--directive value ...] [-]')
    .argument('[redis.conf]', 'configuration file')
    .helpOption('-h, --help', 'show this help')
    .version(
      `Damselfly server v=${DAMSELFLY_VERSION} redis=${REDIS_VERSION} node=${process.version}`,
      '-v, --version',
      'show the version',
    )
    .addHelpText('after', examples)
    .configureOutput({ writeErr: () => {} })
    .exitOverride((error) => {
      if (error.exitCode === 0) process.exit(0);
      fail(describeUsageError(error.message));
    });
  for (const [group, options] of Object.entries(explained)) {
    for (const [flags, description] of options) {
      program.addOption(new Option(flags, description).helpGroup(group));
    }
  }
  return program;
}

function warn(config: Config): void {
  const { ignoredDirectives, replacedValues } = config;
  const parts: string[] = [];
  if (ignoredDirectives.size > 0) {
    parts.push(`accepted, but without effect in this version: ${[...ignoredDirectives].join(', ')}`);
  }
  if (replacedValues.size > 0) parts.push(`not known in this version: ${[...replacedValues].join(', ')}`);
  const { activeWorkers, threads } = config;
  if (activeWorkers > threads) {
    parts.push(
      `active-workers is ${activeWorkers}, but there are ${threads} threads: all of them are active`,
    );
  }
  if (parts.length > 0) process.stderr.write(`damselfly: warning: ${parts.join('; ')}\n`);
}

/** As with the other threads (system/thread.ts): the young generation of the heap does not grow. */
const HEAP_FLAGS = '--semi-space-growth-factor=1';

async function main(): Promise<void> {
  setFlagsFromString(HEAP_FLAGS);
  ignoreSignals();
  const line = parseCommandLine(process.argv.slice(2));
  const program = createProgram().parse([...line.others], { from: 'user' });
  const config = loadConfig(program.args[0] ?? null, line);
  warn(config);
  if (config.daemonize && !config.isUnderSystemd) {
    await startDaemon(config);
  } else {
    const libc = loadLibc();
    if (libc !== null) keepHeapSmall(libc);
    // With `require`, so that the server stays a bundle of its own: not every call starts a server.
    const { startServer } = createRequire(import.meta.url)('./server.js') as typeof import('./server.js');
    await startServer(config);
  }
}

// Whatever prevents the start (a bad value, a port in use) is one line and not a stack.
main().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)));

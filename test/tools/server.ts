/**
 * Starts servers for tests: a Damselfly or a redis-server, each on a free port of the loopback
 * interface, with a directory of its own that vanishes with it.
 *
 * Environment:
 *   DAMSELFLY_TEST_SERVER     `redis`: run against redis-server instead, to test the tests
 *   DAMSELFLY_TEST_THREADS    worker counts that command tests run with, default `1,3`
 *   DAMSELFLY_TEST_TRANSPORT  transport of the network layer, default: the server's default
 *   DAMSELFLY_TEST_VERBOSE    `1`: pass the servers' output through to stderr
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Redis, type RedisOptions } from 'ioredis';
import type { Test } from 'tap';
import { freePort } from './free-port.js';
import { RawClient } from './raw-client.js';

/** Directory that holds the compiled `src/`, `workers/` and `test/`. */
export const distDirectory = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

/** The program that `damselfly` runs. */
export const damselflyScript = path.join(distDirectory, 'bundle', 'src', 'process', 'cli.js');
/** The same, in modules that hooks can replace. */
const unbundledScript = path.join(distDirectory, 'src', 'process', 'cli.js');

// For servers that hang: a machine with other work takes its time.
const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 120_000;
const LOG_TIMEOUT_MS = 120_000;
const STDERR_LIMIT = 1 << 20;

/** A client of an earlier test that is still there then makes a server unfit for another. */
const LAST_CLIENT_TIMEOUT_MS = 5000;
/** What tests leave behind. */
const CLEARING = [
  ['CLIENT', 'UNPAUSE'],
  ['FLUSHALL'],
  ['FUNCTION', 'FLUSH'],
  ['SCRIPT', 'FLUSH'],
  ['ACL', 'LOG', 'RESET'],
  ['DEBUG', 'SET-ACTIVE-EXPIRE', '1'],
];
/** What is noted of commands. Replies differ with what there was; Redis does not know all of them. */
const CLEARING_LOGS = [
  ['LATENCY', 'RESET'],
  ['COMMANDLOG', 'RESET', 'large-request'],
  ['COMMANDLOG', 'RESET', 'large-reply'],
  ['SLOWLOG', 'RESET'],
  ['CONFIG', 'RESETSTAT'],
];

export type ServerKind = 'damselfly' | 'redis';

export interface ServerOptions {
  kind?: ServerKind;
  /** Directives of redis.conf; an array stands for several values of one directive. */
  directives?: Record<string, string | number | readonly string[]>;
  /** Worker threads, Damselfly only. */
  threads?: number;
  /** How many of them are active; 0: as many as the load needs. Default: all, since tests are about what happens between them. */
  activeWorkers?: number;
  /** Path of a redis.conf that precedes the directives. */
  configFile?: string;
  environment?: Record<string, string>;
  /** Options of node itself, Damselfly only, which then runs unbundled: such as hooks that replace modules. */
  nodeOptions?: readonly string[];
  /** `ulimit -n` of the process. */
  descriptorsMax?: number;
  /** For `withServers`: not a server that an earlier test has had. */
  isFresh?: boolean;
  /** Default: a free port. 0: no TCP, then `directives.unixsocket` must be given. */
  port?: number;
}

export interface ServerExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Whether a program is on the PATH. */
export function hasProgram(name: string): boolean {
  return (process.env.PATH ?? '')
    .split(':')
    .some((directory) => directory !== '' && existsSync(path.join(directory, name)));
}

/** It lets a server end with the test that has started it, however that ends. */
const hasSetpriv = hasProgram('setpriv');

/** For tap's `skip` option: false if redis-server can be started, else the reason to skip. */
export function skipWithoutRedis(): false | string {
  return hasProgram('redis-server') ? false : 'redis-server is not installed';
}

/** Worker counts that command tests run with. */
export function threadCounts(): number[] {
  return (process.env.DAMSELFLY_TEST_THREADS ?? '1,3').split(',').map(Number);
}

export function defaultKind(): ServerKind {
  return process.env.DAMSELFLY_TEST_SERVER === 'redis' ? 'redis' : 'damselfly';
}

/** The command line, program first, that starts such a server. */
export function serverCommandLine(options: ServerOptions, port: number, directory: string): string[] {
  const kind = options.kind ?? defaultKind();
  const directives: Record<string, string | number | readonly string[]> = {
    port,
    bind: '127.0.0.1',
    dir: directory,
    save: '',
    'enable-debug-command': 'yes',
  };
  const { nodeOptions } = options;
  const program = nodeOptions === undefined ? [damselflyScript] : [...nodeOptions, unbundledScript];
  const line: string[] = kind === 'redis' ? ['redis-server'] : [process.execPath, ...program];
  if (options.configFile !== undefined) line.push(options.configFile);
  if (kind === 'damselfly') {
    const threads = options.threads ?? threadCounts().at(-1)!;
    directives.threads = threads;
    directives['active-workers'] = options.activeWorkers ?? threads;
    const transport = process.env.DAMSELFLY_TEST_TRANSPORT;
    if (transport) directives.transport = transport;
  }
  for (const [name, value] of Object.entries({ ...directives, ...options.directives })) {
    line.push(`--${name}`, ...(typeof value === 'object' ? value : [String(value)]));
  }
  if (hasSetpriv) line.unshift('setpriv', '--pdeathsig', 'KILL');
  const { descriptorsMax } = options;
  if (descriptorsMax !== undefined) {
    return ['sh', '-c', `ulimit -n ${descriptorsMax} && exec "$@"`, 'sh', ...line];
  }
  return line;
}

const running = new Set<TestServer>();
process.on('exit', () => {
  for (const server of running) server.process.kill('SIGKILL');
});
// The time of a test file is up: what its servers say may tell why.
process.once('SIGALRM', () => {
  for (const server of running) process.stderr.write(`server at port ${server.port}:\n${server.output()}\n`);
});

export class TestServer {
  readonly kind: ServerKind;
  readonly port: number;
  /** Its working directory, removed by {@link stop}. */
  readonly directory: string;
  readonly process: ChildProcess;
  /** Settles when the process has ended. */
  readonly exited: Promise<ServerExit>;
  /** What it printed so far (the last MiB). */
  stdout = '';
  stderr = '';
  private readonly socketPath: string | undefined;
  private settingsAtStart: Buffer | null = null;
  private readonly clients = new Set<Redis>();
  private readonly rawClients = new Set<RawClient>();

  private constructor(
    kind: ServerKind,
    port: number,
    directory: string,
    line: string[],
    options: ServerOptions,
  ) {
    this.kind = kind;
    this.port = port;
    this.directory = directory;
    const socketPath = options.directives?.unixsocket;
    this.socketPath = port === 0 && socketPath !== undefined ? String(socketPath) : undefined;
    const child = spawn(line[0]!, line.slice(1), {
      cwd: directory,
      env: { ...process.env, ...options.environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process = child;
    running.add(this);
    const verbose = process.env.DAMSELFLY_TEST_VERBOSE === '1';
    child.stdout!.on('data', (chunk: Buffer) => {
      this.stdout = (this.stdout + chunk.toString('latin1')).slice(-STDERR_LIMIT);
      if (verbose) process.stderr.write(chunk);
    });
    child.stderr!.on('data', (chunk: Buffer) => {
      this.stderr = (this.stderr + chunk.toString('latin1')).slice(-STDERR_LIMIT);
      if (verbose) process.stderr.write(chunk);
    });
    this.exited = new Promise((resolve) => {
      child.on('error', (error) => {
        running.delete(this);
        this.stderr += String(error);
        resolve({ code: -1, signal: null });
      });
      child.on('close', (code, signal) => {
        running.delete(this);
        resolve({ code, signal });
      });
    });
  }

  /** Starts a server without waiting until it serves, e.g. to see it fail. */
  static async launch(options: ServerOptions = {}): Promise<TestServer> {
    const port = options.port ?? (await freePort());
    const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-test-'));
    const line = serverCommandLine(options, port, directory);
    return new TestServer(options.kind ?? defaultKind(), port, directory, line, options);
  }

  /** Starts a server and waits until it answers PING. Throws with its output if it does not. */
  static async start(options: ServerOptions = {}): Promise<TestServer> {
    const server = await TestServer.launch(options);
    try {
      await server.ready();
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  /** Waits until PING is answered, with whatever reply (it may ask for a password). */
  async ready(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const { exitCode, signalCode } = this.process;
      if (exitCode !== null || signalCode !== null || this.process.pid === undefined) {
        await this.exited;
        throw new Error(`${this.kind} ended during start (${exitCode ?? signalCode}):\n${this.output()}`);
      }
      const client = await RawClient.connect(this.address()).catch(() => null);
      if (client) {
        // The answer is awaited, however slow the start: given up, it would be executed in the midst of a test.
        const reply = await Promise.race([
          client.command('PING').catch(() => null),
          delay(deadline - Date.now(), null, { ref: false }),
        ]);
        await client.close();
        if (reply && !reply.toString('latin1').startsWith('-LOADING')) return;
      }
      if (Date.now() > deadline) throw new Error(`${this.kind} does not answer PING:\n${this.output()}`);
      await delay(20);
    }
  }

  address(): { port: number } | { path: string } {
    return this.socketPath === undefined ? { port: this.port } : { path: this.socketPath };
  }

  output(): string {
    return this.stdout + this.stderr;
  }

  /** Settles once its output matches: it comes through a pipe, possibly after what it tells of can be seen. */
  async untilLogged(pattern: string | RegExp): Promise<void> {
    const deadline = performance.now() + LOG_TIMEOUT_MS;
    while (!(typeof pattern === 'string' ? this.output().includes(pattern) : pattern.test(this.output()))) {
      if (performance.now() > deadline) throw new Error(`${pattern} was not logged:\n${this.output()}`);
      await delay(10);
    }
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** An ioredis client; {@link stop} disconnects it. */
  client(options: RedisOptions = {}): Redis {
    const client = new Redis({ ...this.address(), retryStrategy: null, ...options } as RedisOptions);
    // A test sees failures as rejected commands; without a listener ioredis would print each of them.
    client.on('error', () => {});
    this.clients.add(client);
    return client;
  }

  /** A client for raw bytes; {@link stop} closes it. */
  async rawClient(): Promise<RawClient> {
    const client = await RawClient.connect(this.address());
    this.rawClients.add(client);
    return client;
  }

  /** Closes the clients, and forgets keys, functions, logs and counters. Throws if the server can't do so now. */
  async clear(): Promise<void> {
    await this.closeClients();
    const client = await this.rawClient();
    for (const command of CLEARING) {
      const reply = await client.text(...command);
      if (reply !== '+OK\r\n') throw new Error(`${command.join(' ')}: ${reply}`);
    }
    const deadline = performance.now() + LAST_CLIENT_TIMEOUT_MS;
    while ((await client.text('CLIENT', 'LIST')).match(/\bid=/g)!.length > 1) {
      if (performance.now() > deadline) throw new Error('clients of an earlier test are still there');
      await delay(5);
    }
    await client.pipeline(CLEARING_LOGS);
    await this.closeClients();
  }

  /**
   * Makes it as it was when it had started, but for what nobody resets, such as the ids of clients. Returns whether that
   * was possible.
   */
  async reset(): Promise<boolean> {
    const { exitCode, signalCode } = this.process;
    if (exitCode !== null || signalCode !== null) return false;
    try {
      await this.closeClients();
      if (this.settingsAtStart?.equals(await this.settings()) !== true) return false;
      await this.clear();
    } catch {
      return false;
    }
    rmSync(path.join(this.directory, 'dump.rdb'), { force: true });
    this.stdout = '';
    this.stderr = '';
    return true;
  }

  /** Notes how it is set up, for {@link reset}. */
  async rememberSettings(): Promise<void> {
    this.settingsAtStart = await this.settings();
    const client = await this.rawClient();
    await client.pipeline(CLEARING_LOGS);
    await this.closeClients();
  }

  /** All that a client can configure. */
  private async settings(): Promise<Buffer> {
    const client = await this.rawClient();
    const replies = [await client.command('CONFIG', 'GET', '*'), await client.command('ACL', 'LIST')];
    await this.closeClients();
    return Buffer.concat(replies);
  }

  private async closeClients(): Promise<void> {
    for (const client of this.clients) client.disconnect();
    await Promise.all([...this.rawClients].map((client) => client.close()));
    this.clients.clear();
    this.rawClients.clear();
  }

  /**
   * Stops the server with a signal (SIGKILL if it does not obey in time), closes the clients and
   * removes its directory. May be called again.
   */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<ServerExit> {
    await this.closeClients();
    this.process.kill(signal);
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const exit = await this.exited;
    clearTimeout(timer);
    rmSync(this.directory, { recursive: true, force: true });
    return exit;
  }
}

/** A new folder for servers of a test. It is removed after they have ended; `t.testdir()` would be removed before. */
export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'damselfly-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  return folder;
}

/** A number in a section of INFO. */
export async function infoNumber(client: Redis, section: string, name: string): Promise<number> {
  return numberOf(await client.info(section), name);
}

/** The number of a field in the text of INFO. */
export function numberOf(info: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)![1]);
}

/** Runs a program to its end; for command line tests. */
export function run(line: readonly string[], input?: string | Uint8Array) {
  const result = spawnSync(line[0]!, line.slice(1), {
    input,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: 120_000,
  });
  return { code: result.status, signal: result.signal, stdout: result.stdout, stderr: result.stderr };
}

/**
 * Runs a test body against a server for each worker count of {@link threadCounts}: the one that an earlier test of `t` had
 * with the same options, if it can be reset to what it was, else a new one. To start one takes longer than most tests.
 * @example withServers(t, 'incr', {}, async (t, server) => { t.equal(await server.client().incr('k'), 1); });
 */
export async function withServers(
  t: Test,
  name: string,
  options: ServerOptions,
  body: (t: Test, server: TestServer) => Promise<void>,
): Promise<void> {
  const pool = poolOf(t);
  const counts = defaultKind() === 'redis' ? [1] : threadCounts();
  for (const threads of counts) {
    await t.test(`${name}, ${threads} worker${threads === 1 ? '' : 's'}`, {}, async (inner) => {
      const server = await pool.get({ ...options, threads });
      await body(inner, server);
      inner.notMatch(server.stderr, /BUG REPORT/, 'the server has not crashed');
    });
  }
}

/** Like {@link withServers}, without options. */
export function sharedServers(
  t: Test,
): (name: string, body: (t: Test, server: TestServer) => Promise<void>) => Promise<void> {
  return (name, body) => withServers(t, name, {}, body);
}

const pools = new WeakMap<Test, ServerPool>();

function poolOf(t: Test): ServerPool {
  const known = pools.get(t);
  if (known !== undefined) return known;
  const pool = new ServerPool();
  pools.set(t, pool);
  t.teardown(() => pool.stop());
  return pool;
}

/** Servers of one test file, which runs one test at a time. */
class ServerPool {
  private readonly servers = new Map<number, TestServer>();
  private options = '';

  async get(options: ServerOptions & { threads: number }): Promise<TestServer> {
    const { threads, ...others } = options;
    const text = JSON.stringify(others);
    if (text !== this.options) await this.stop();
    this.options = text;
    const kept = this.servers.get(threads);
    if (kept !== undefined && !options.isFresh && (await kept.reset())) return kept;
    await kept?.stop('SIGKILL');
    const server = await TestServer.start(options);
    this.servers.set(threads, server);
    if (!options.isFresh) await server.rememberSettings();
    return server;
  }

  /** Nothing of them is needed any more, so they need not shut down in good order. */
  async stop(): Promise<void> {
    await Promise.all([...this.servers.values()].map((server) => server.stop('SIGKILL')));
    this.servers.clear();
  }
}

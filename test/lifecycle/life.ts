/**
 * One life of a server: it starts, a dataset is grown, clients write, it saves or stops in one way (ways.ts), and a new
 * one starts on its files. What is there then is compared with what was acknowledged, and so is what redis-server loads
 * from the same files; redis-check-rdb and redis-check-aof read them.
 *
 * Redis 7.0 knows no fields that expire, so its programs are left out where some do.
 */

import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { BulkClient } from '../tools/bulk-client.js';
import { OrderedLoad } from '../tools/ordered-load.js';
import { Random } from '../tools/random.js';
import { hasProgram, run, type ServerKind, TestServer } from '../tools/server.js';
import { type DatasetOptions, GrownDataset } from './grown-dataset.js';
import type { Directives, Way } from './ways.js';

export interface LifeOptions extends DatasetOptions {
  readonly way: Way;
  readonly threads: number;
  readonly transport: string;
  /** Whether clients write while it saves or stops, or all is at rest. */
  readonly load: 'rest' | 'writers';
}

/**
 * Between which two times (of performance.now()) what has been saved was read: what was acknowledged before the first
 * is there, what was sent after the second is not.
 */
export interface Moment {
  readonly from: number;
  readonly to: number;
}

/** The end of the process: all that was acknowledged at all is there. */
export const EVERYTHING: Moment = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY };

const LOAD_CLIENTS = 6;
/** Elements of the collections that clients change, if those of the dataset are large, too. */
const LOAD_ELEMENTS = 1500;
const LARGE_ELEMENTS = 10_000;
const POLL_MS = 5;
/** For what takes long only if something is wrong. */
const WAIT_MS_MAX = 120_000;
const OUTPUT_CHARACTERS_MAX = 1500;

export class Life {
  readonly options: LifeOptions;
  readonly dataset: GrownDataset;
  /** Where the files are. */
  readonly directory: string;
  server!: TestServer;
  /** For commands one after another. */
  client!: BulkClient;
  /** What was not as it should be. */
  readonly problems: string[] = [];
  /** How much later keys may expire: MIGRATE sends what is left of a key's time. */
  delayMsMax = 0;
  private readonly load: OrderedLoad;
  private readonly others: TestServer[] = [];

  constructor(options: LifeOptions, seed: number) {
    this.options = options;
    this.dataset = new GrownDataset(options);
    this.directory = mkdtempSync(path.join(tmpdir(), 'damselfly-life-'));
    const firstElements = options.largest > LARGE_ELEMENTS && options.load === 'writers' ? LOAD_ELEMENTS : 0;
    this.load = new OrderedLoad(new Random(seed), LOAD_CLIENTS, firstElements);
  }

  /** Lives; returns what was not as it should be. */
  async live(): Promise<string[]> {
    const { way } = this.options;
    try {
      this.server = await this.start('damselfly', this.directory, way.directives);
      this.client = await BulkClient.connect(this.server.address());
      await this.dataset.build(this.client);
      if (this.options.load === 'writers') await this.load.start(this.server.address());
      await this.writeMore();
      const moment = await way.act(this);
      await this.end();
      if (way.files !== 'none') await this.examineFiles(moment);
    } catch (error) {
      this.problems.push((error as Error).stack ?? String(error));
      this.problems.push(`the log ends with: ${this.server?.output().slice(-OUTPUT_CHARACTERS_MAX)}`);
    } finally {
      for (const server of [this.server, ...this.others]) await server?.stop('SIGKILL');
      rmSync(this.directory, { recursive: true, force: true });
    }
    return this.problems;
  }

  /** Has clients write something more; without writers, all is at rest again afterwards. */
  async writeMore(): Promise<void> {
    if (this.options.load === 'rest') await this.load.start(this.server.address());
    await this.load.progressed(this.options.load === 'rest' ? 3 : 30);
    if (this.options.load === 'rest') await this.load.stop();
  }

  /** All clients have what they wait for, and send nothing more. */
  async stopWriting(): Promise<void> {
    if (this.options.load === 'writers') await this.load.stop();
  }

  /** Does something that saves, and returns when. */
  async moment(action: () => Promise<unknown>): Promise<Moment> {
    const from = performance.now();
    await action();
    return { from, to: performance.now() };
  }

  /** Sends a command, and expects a reply. */
  async expect(expected: RegExp, ...args: string[]): Promise<void> {
    const raw = await this.server.rawClient();
    const reply = await raw.text(...args);
    if (!expected.test(reply)) throw new Error(`${args.join(' ')} was answered with ${reply}`);
    await raw.close();
  }

  /** Waits until INFO persistence has some lines. */
  async untilInfo(...lines: string[]): Promise<void> {
    await this.until(lines.join(', '), async () => {
      const info = String(await this.client.call('INFO', 'persistence'));
      return lines.every((line) => info.includes(`\r\n${line}\r\n`));
    });
  }

  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (const giveUpAt = performance.now() + WAIT_MS_MAX; !(await isSo()); await delay(POLL_MS)) {
      if (performance.now() > giveUpAt) throw new Error(`it has not come to ${what}`);
    }
  }

  /** Sends SHUTDOWN; the process must end, in good order, without an answer. */
  async shutdown(...options: string[]): Promise<void> {
    const raw = await this.server.rawClient();
    raw.send('SHUTDOWN', ...options);
    const reply = await raw.read().catch(() => null);
    if (reply !== null) throw new Error(`SHUTDOWN ${options.join(' ')} was answered with ${reply}`);
    await this.exited();
  }

  /** Sends a signal; the process must end in good order. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    this.server.process.kill(signal);
    await this.exited();
  }

  private async exited(): Promise<void> {
    const { server } = this;
    await this.until('the end of the process', () => {
      if (/can't exit/.test(server.output())) throw new Error('the server refuses to end');
      return server.process.exitCode !== null || server.process.signalCode !== null;
    });
    const { code, signal } = await server.exited;
    if (code !== 0) throw new Error(`the process ended with ${code ?? signal}`);
  }

  /** Ends the process at once, if it lives. */
  private async end(): Promise<void> {
    const { server } = this;
    this.client.close();
    if (/BUG REPORT/.test(server.stderr)) throw new Error('the server has crashed');
    await server.stop('SIGKILL');
    await this.load.ended();
  }

  /** Starts another server, which ends with this life. */
  async start(kind: ServerKind, directory: string, directives: Directives): Promise<TestServer> {
    const { threads, transport } = this.options;
    const ours: Directives = kind === 'damselfly' ? { transport } : {};
    const server = await TestServer.start({
      kind,
      threads,
      directives: { ...ours, ...directives, dir: directory },
    });
    this.others.push(server);
    return server;
  }

  /** Whether Redis's programs can read what there is. */
  get suitsRedis(): boolean {
    return this.options.expiry !== 'fields' && hasProgram('redis-server');
  }

  /** Compares what the server has now; nobody writes. */
  async examineLive(): Promise<void> {
    await this.examine('the living server', this.server, EVERYTHING);
    await this.expect(/^\+OK/, 'DEBUG', 'VERIFY');
  }

  private async examineFiles(moment: Moment): Promise<void> {
    const { way } = this.options;
    const directives = { ...way.directives, ...way.restart };
    if (this.suitsRedis) {
      this.checkFiles();
      // On a copy: what starts on the files may change them.
      const copy = mkdtempSync(path.join(tmpdir(), 'damselfly-life-copy-'));
      try {
        cpSync(this.directory, copy, { recursive: true });
        const redis = await this.start('redis', copy, directives);
        await this.examine('redis-server', redis, moment);
        await redis.stop('SIGKILL');
      } finally {
        rmSync(copy, { recursive: true, force: true });
      }
    }
    this.server = await this.start('damselfly', this.directory, directives);
    await this.examine('the next server', this.server, moment);
    await this.expect(/^\+OK/, 'DEBUG', 'VERIFY');
  }

  /** Has Redis's programs read the files. */
  private checkFiles(): void {
    const { files } = this.options.way;
    const snapshot = path.join(this.directory, 'dump.rdb');
    const manifest = path.join(this.directory, 'appendonlydir', 'appendonly.aof.manifest');
    if (files === 'snapshot' || existsSync(snapshot)) this.check('redis-check-rdb', snapshot);
    if (files === 'append-only') this.check('redis-check-aof', manifest);
  }

  private check(program: string, file: string): void {
    const { code, stdout, stderr } = run([program, file]);
    if (code === 0) return;
    this.problems.push(`${program} says: ${(stdout + stderr).slice(-OUTPUT_CHARACTERS_MAX)}`);
  }

  /** Compares what a server has with what was acknowledged up to a moment. */
  private async examine(who: string, server: TestServer, moment: Moment): Promise<void> {
    const survival = await this.load.examine(server.client(), moment.from);
    const problems = [...survival.problems];
    if (survival.lostMs > 0) problems.push(`${survival.lost} writes that were acknowledged are not there`);
    if (survival.latestSentAt > moment.to) problems.push('what was sent later is there');
    problems.push(...(await this.compareDataset(server, survival.keys)));
    this.problems.push(...problems.map((problem) => `${who}: ${problem}`));
  }

  /** How the dataset differs in a server. `otherKeys`: keys of database 0 beside it. */
  async compareDataset(server: TestServer, otherKeys: number): Promise<string[]> {
    const client = await BulkClient.connect(server.address());
    try {
      return await this.dataset.differences(client, otherKeys, this.delayMsMax);
    } finally {
      client.close();
    }
  }
}

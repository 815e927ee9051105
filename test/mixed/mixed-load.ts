/** A chat, a job queue and cached readers on one server, all at once, while connections move between its workers. */

import { Random } from '../tools/random.js';
import type { TestServer } from '../tools/server.js';
import { CachedReading } from './cache.js';
import { Chat } from './chat.js';
import { Jobs } from './jobs.js';
import { again, Findings, type Load, openIoredis, pause } from './part.js';

export interface Outcome {
  readonly problems: readonly string[];
  readonly report: string;
}

/** Changes what decides where connections are, and how much is remembered of what clients have read. */
async function disturb(load: Load, threads: number): Promise<string> {
  const { random } = load;
  const client = openIoredis(load.port);
  await again(load, async () => {
    await client.config('SET', 'active-workers', random.between(1, threads));
    await client.config('SET', 'tracking-table-max-keys', random.pick([20, 1_000_000]));
    await pause(load, 1500);
  });
  const moved = /moved_connections:(\d+)/.exec(await client.info('damselfly'));
  await client.quit();
  return `${moved?.[1]} moves of connections`;
}

export async function runMixedLoad(
  server: TestServer,
  threads: number,
  seconds: number,
  seed: number,
): Promise<Outcome> {
  const findings = new Findings();
  const endMs = performance.now() + 1000 * seconds;
  const loadOf = (number: number): Load => ({
    port: server.port,
    random: new Random(seed + number),
    isOver: () => performance.now() > endMs || findings.problems.length >= 20,
    found: findings.note,
  });
  const broken = (error: Error): void => findings.note(error.stack ?? String(error));
  const parts = [new Chat(loadOf(0)), new Jobs(loadOf(1)), new CachedReading(loadOf(2))];
  const [moves] = await Promise.all([
    disturb(loadOf(3), threads),
    ...parts.map((part) => part.run().catch(broken)),
  ]);
  const client = openIoredis(server.port);
  const verified = await client.call('DEBUG', 'VERIFY').catch(String);
  if (verified !== 'OK') findings.note(`DEBUG VERIFY: ${verified}`);
  await client.quit();
  if (server.stderr.includes('BUG REPORT')) findings.note(server.stderr);
  const problems = [...findings.problems];
  if (findings.unnamed > 0) problems.push(`and ${findings.unnamed} more`);
  return { problems, report: [...parts.map((part) => part.report()), moves].join('\n') };
}

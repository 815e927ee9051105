/**
 * Long runs of the generated test of clients that wait:
 *
 *   node dist/test/compat/run-waiting.js --scripts 1000 --seed 7 --threads 3
 */

import { Command } from 'commander';
import { type ServerKind, TestServer } from '../tools/server.js';
import { runWaitingScript } from './waiting.js';

const options = new Command()
  .description('sends random scripts of clients that wait to redis-server and Damselfly and compares')
  .option('--scripts <n>', 'how many scripts', '200')
  .option('--seed <n>', 'seed of the first script', String(Date.now() % 1_000_000_000))
  .option('--threads <n>', 'worker threads of Damselfly', '3')
  .option('--failures <n>', 'stop after so many', '5')
  .option('--subject <kind>', 'damselfly or redis', 'damselfly')
  .option('--port <port>', 'compare with a Damselfly that already runs on this port')
  .parse()
  .opts<Record<string, string>>();

const reference = await TestServer.start({ kind: 'redis' });
const subject = options.port
  ? null
  : await TestServer.start({ kind: options.subject as ServerKind, threads: Number(options.threads) });
let failures = 0;
for (let script = 0; script < Number(options.scripts) && failures < Number(options.failures); script++) {
  const seed = Number(options.seed) + script;
  const difference = await runWaitingScript(
    seed,
    reference.address(),
    subject === null ? { port: Number(options.port) } : subject.address(),
  );
  if (difference === null) continue;
  failures++;
  console.log(`\n${difference}`);
}
console.log(`${failures} failures`);
await Promise.all([reference.stop(), subject?.stop()]);
process.exitCode = failures > 0 ? 1 : 0;

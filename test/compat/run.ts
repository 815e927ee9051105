/**
 * Long runs of the generated compatibility test:
 *
 *   node dist/test/compat/run.js --commands 500000 --seed 7 --families strings,keys --threads 3
 *
 * `--commands 1 --seed N` repeats the script of one seed. `--subject redis` compares redis-server with
 * itself, which shows what the test itself gets wrong.
 */

import { Command } from 'commander';
import { type ServerKind, TestServer } from '../tools/server.js';
import { compareServers, familiesByName } from './compare.js';
import { families } from './families/all.js';

const program = new Command()
  .description('sends random commands to redis-server and Damselfly and compares the replies')
  .option('--commands <n>', 'how many commands to send', '100000')
  .option('--seed <n>', 'seed of the first script', String(Date.now() % 1_000_000_000))
  .option('--families <names>', 'families of commands', families.map((family) => family.name).join(','))
  .option('--threads <n>', 'worker threads of Damselfly', '3')
  .option('--failures <n>', 'stop after so many different failures', '20')
  .option('--subject <kind>', 'damselfly or redis', 'damselfly')
  .option('--port <port>', 'compare with a Damselfly that already runs on this port')
  .parse();
const options = program.opts<Record<string, string>>();

const reference = await TestServer.start({ kind: 'redis' });
const subject = options.port
  ? null
  : await TestServer.start({ kind: options.subject as ServerKind, threads: Number(options.threads) });

console.log(`seed ${options.seed}, families ${options.families}`);
const result = await compareServers({
  reference: reference.address(),
  subject: subject ? subject.address() : { port: Number(options.port) },
  commands: Number(options.commands),
  seed: Number(options.seed),
  families: familiesByName(options.families!),
  failuresMax: Number(options.failures),
  onFailure: (report) => console.log(`\n${report}`),
  onProgress(done, failures) {
    if (done % 50_000 === 0) console.log(`${done} commands, ${failures} failures`);
  },
});
console.log(`\n${result.commands} commands, ${result.failures.length} different failures`);
if (subject && subject.process.exitCode !== null) console.log(subject.output());
await Promise.all([reference.stop(), subject?.stop()]);
process.exitCode = result.failures.length > 0 ? 1 : 0;

/**
 * A chat, a job queue and cached readers with ioredis and node-redis: `npm run test:mixed -- --minutes 60`. Checks that no
 * message is lost or doubled and that no cached value is stale; the exit code is 0 only if all is well.
 *
 *   --minutes N   how long (default 1)
 *   --threads N   workers of the server (default 4)
 *   --seed N      of the clients; drivers and threads still do things in an order of their own
 */

import { parseArgs } from 'node:util';
import { TestServer } from '../tools/server.js';
import { runMixedLoad } from './mixed-load.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    threads: { type: 'string', default: '4' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
const threads = Number(values.threads);
process.stdout.write(`seed ${values.seed}, ${values.minutes} minutes, ${threads} workers\n`);
const server = await TestServer.start({ kind: 'damselfly', threads });
const { problems, report } = await runMixedLoad(
  server,
  threads,
  60 * Number(values.minutes),
  Number(values.seed),
);
process.stdout.write(`${report}\n`);
for (const problem of problems) process.stdout.write(`PROBLEM ${problem}\n`);
if (problems.length > 0) process.stdout.write(`${server.output().slice(-4000)}\n`);
await server.stop();
process.exitCode = problems.length > 0 ? 1 : 0;

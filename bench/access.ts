/**
 * What rules of users cost: processor time per GET at pipeline 16 for the default user, for one who may do all and for one
 * whose commands and keys are checked, beside redis-server.
 *
 * Users take turns, and so do the servers. Printed are medians over the rounds, and of the ratios within a round.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { type ServerKind, TestServer } from '../test/tools/server.js';
import { cpuSeconds } from './process-cost.js';
import { formatNumber, formatTable, median } from './table.js';

const runFile = promisify(execFile);
const PASSWORD = 'secret';

const program = new Command()
  .description('measures what rules of users cost, beside redis-server')
  .option('--rounds <n>', 'rounds per server and user', '9')
  .option('--requests <n>', 'requests of a round', '600000')
  .option('--threads <n>', "Damselfly's threads", '1')
  .parse();
const options = program.opts<Record<string, string>>();
const [rounds, requests] = [Number(options.rounds), Number(options.requests)];

/** Names of users and their rules. */
const USERS: readonly (readonly [string, readonly string[]])[] = [
  ['default', []],
  ['unrestricted', ['~*', '&*', '+@all']],
  ['one pattern', ['~key:*', '+@read']],
  ['two patterns', ['~other:*', '~key:*', '+@all', '-@dangerous']],
];
const userName = (name: string): string => name.replaceAll(' ', '-');

async function start(kind: ServerKind): Promise<TestServer> {
  const server = await TestServer.start({ kind, threads: Number(options.threads) });
  for (const [name, rules] of USERS.slice(1)) {
    await server.client().call('ACL', 'SETUSER', userName(name), 'on', `>${PASSWORD}`, ...rules);
  }
  return server;
}

/** Processor time per GET, in µs. */
async function measure(server: TestServer, name: string): Promise<number> {
  const login = name === 'default' ? [] : ['--user', userName(name), '-a', PASSWORD];
  const load = ['-c', '50', '-n', String(requests), '-P', '16', '-r', '100000', '-t', 'get'];
  const before = cpuSeconds(server.pid);
  await runFile('redis-benchmark', ['-p', String(server.port), ...login, ...load], { maxBuffer: 1 << 26 });
  return ((cpuSeconds(server.pid) - before) * 1e6) / requests;
}

const servers = [await start('redis'), await start('damselfly')];
const samples = servers.map(() => USERS.map((): number[] => []));
// The first round shows how a server becomes warm.
for (let round = -1; round < rounds; round++) {
  for (const [user, [name]] of USERS.entries()) {
    for (const [index, server] of servers.entries()) {
      const cost = await measure(server, name);
      if (round >= 0) samples[index]![user]!.push(cost);
    }
  }
}
/** Compared within each round, since a machine has its moods. */
const growth = (users: readonly number[][], user: number): number =>
  median(users[user]!.map((cost, round) => cost / users[0]![round]!));
const rows = USERS.map(([name], user) => [
  name,
  ...samples.flatMap((users) => [median(users[user]!), growth(users, user)]).map(formatNumber),
]);
console.log(formatTable([['GET, CPU µs', 'redis', '÷ default', 'damselfly', '÷ default'], ...rows]));
for (const server of servers) await server.stop();

/**
 * A short run of the generated compatibility test (`run.ts` is for long ones).
 * DAMSELFLY_COMPAT_COMMANDS and DAMSELFLY_COMPAT_SEED change its size and start.
 */

import t from 'tap';
import { skipWithoutRedis, TestServer, withServers } from '../tools/server.js';
import { compareServers, familiesByName } from './compare.js';

const COMMANDS = Number(process.env.DAMSELFLY_COMPAT_COMMANDS ?? 10_000);
const SEED = Number(process.env.DAMSELFLY_COMPAT_SEED ?? 1);
const FAILURES_MAX = 5;

t.setTimeout(0);
if (skipWithoutRedis()) {
  t.pass('skipped', { skip: skipWithoutRedis() });
} else {
  const reference = await TestServer.start({ kind: 'redis' });
  t.teardown(() => reference.stop());
  let seed = SEED;
  await withServers(t, 'random commands get the replies of redis-server', {}, async (t, server) => {
    t.setTimeout(0);
    const result = await compareServers({
      reference: reference.address(),
      subject: server.address(),
      commands: COMMANDS,
      seed,
      families: familiesByName(
        'strings,bitmaps,hyperloglogs,geo,keys,sets,sorted-sets,hashes,lists,sort,streams,dumps,transactions,connection,server,protocol',
      ),
      failuresMax: FAILURES_MAX,
    });
    for (const failure of result.failures) {
      t.comment(failure);
      t.fail(failure.split('\n')[0]!);
    }
    t.ok(result.commands >= COMMANDS || result.failures.length > 0);
    // The next worker count gets other scripts.
    seed += 1_000_000;
  });
}

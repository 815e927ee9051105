/**
 * A short run of the generated test of clients that wait (`run-waiting.ts` is for long ones, with other seeds). Its scripts are
 * always the same: in which order the keys of a transaction are ready is not the same in all versions of Redis, if a stream
 * was deleted and made anew as something else.
 */

import t from 'tap';
import { skipWithoutRedis, TestServer, withServers } from '../tools/server.js';
import { runWaitingScript } from './waiting.js';

const SCRIPTS = Number(process.env.DAMSELFLY_WAITING_SCRIPTS ?? 25);
const SEED = Number(process.env.DAMSELFLY_WAITING_SEED ?? 1);

t.setTimeout(0);
if (skipWithoutRedis()) {
  t.pass('skipped', { skip: skipWithoutRedis() });
} else {
  const reference = await TestServer.start({ kind: 'redis' });
  t.teardown(() => reference.stop());
  let seed = SEED;
  await withServers(t, 'clients are woken as by redis-server', {}, async (t, server) => {
    t.setTimeout(0);
    for (let script = 0; script < SCRIPTS; script++) {
      const difference = await runWaitingScript(seed++, reference.address(), server.address());
      t.equal(difference, null);
      if (difference !== null) break;
    }
  });
}

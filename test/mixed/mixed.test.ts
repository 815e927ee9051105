/** A few seconds of what `npm run test:mixed` does for as long as one likes. */

import t from 'tap';
import { TestServer } from '../tools/server.js';
import { runMixedLoad } from './mixed-load.js';

const THREADS = 4;
const SECONDS = 4;

t.setTimeout(0);

t.test('a chat, a job queue and cached readers', async (t) => {
  const seed = Date.now() % 1_000_000;
  const server = await TestServer.start({ kind: 'damselfly', threads: THREADS });
  t.teardown(() => server.stop('SIGKILL'));
  const { problems, report } = await runMixedLoad(server, THREADS, SECONDS, seed);
  t.comment(report);
  t.same(problems, [], `seed ${seed}`);
});

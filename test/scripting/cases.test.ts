/** The script engine against what Redis replies to fixed scripts. */
import t from 'tap';
import { skipWithoutRedis, TestServer } from '../tools/server.js';
import { CASES } from './cases.js';
import { TestEngine } from './test-engine.js';

t.test('fixed scripts', async (t) => {
  const tested = new TestEngine();
  for (const [script, reply] of CASES) {
    t.equal(tested.eval(script, ['k1', 'k2'], ['a1', 'a2']), reply, script);
  }
});

t.test('fixed scripts on redis-server', { skip: skipWithoutRedis() }, async (t) => {
  const server = await TestServer.start({ kind: 'redis' });
  const client = await server.rawClient();
  for (const [script, reply] of CASES) {
    const args = ['EVAL', Buffer.from(script, 'latin1'), '2', 'k1', 'k2', 'a1', 'a2'] as const;
    t.equal(await client.text(...args), reply, script);
  }
  await server.stop();
});

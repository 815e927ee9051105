/** MODULE and DEBUG LISTPACK: byte by byte as redis-server answers. */

import t from 'tap';
import { skipWithoutRedis, TestServer } from '../../tools/server.js';

const commands = [
  'MODULE',
  'MODULE LIST',
  'MODULE LIST x',
  'MODULE LOAD',
  'MODULE LOAD /nosuch',
  'MODULE LOAD /nosuch a b',
  'MODULE LOADEX',
  'MODULE LOADEX /nosuch',
  'MODULE LOADEX /nosuch CONFIG a',
  'MODULE LOADEX /nosuch CONFIG a b',
  'MODULE LOADEX /nosuch CONFIG a b CONFIG c d ARGS 1 2',
  'MODULE LOADEX /nosuch what',
  'MODULE UNLOAD',
  'MODULE UNLOAD x',
  'MODULE UNLOAD x y',
  'MODULE NOSUCH',
];

t.test('MODULE', { skip: skipWithoutRedis() }, async (t) => {
  for (const permission of ['no', 'yes', 'local']) {
    const replies: string[][] = [];
    for (const kind of ['redis', 'damselfly'] as const) {
      const server = await TestServer.start({
        kind,
        threads: 1,
        directives: { 'enable-module-command': permission },
      });
      t.teardown(() => server.stop('SIGKILL'));
      const client = await server.rawClient();
      const answers: string[] = [];
      for (const command of commands) answers.push(`${command}: ${await client.text(...command.split(' '))}`);
      replies.push(answers);
    }
    t.same(replies[1], replies[0], `enable-module-command ${permission}`);
  }
});

t.test('DEBUG LISTPACK', { skip: skipWithoutRedis() }, async (t) => {
  const replies: string[][] = [];
  for (const kind of ['redis', 'damselfly'] as const) {
    const server = await TestServer.start({ kind, threads: 1 });
    t.teardown(() => server.stop('SIGKILL'));
    const client = await server.rawClient();
    await client.text('HSET', 'hash', 'field', 'value');
    await client.text('ZADD', 'zset', '1', 'member');
    await client.text('SET', 'string', 'value');
    await client.text('SADD', 'integers', '1');
    const answers: string[] = [];
    for (const key of ['hash', 'zset', 'string', 'integers', 'nosuch']) {
      answers.push(await client.text('DEBUG', 'LISTPACK', key));
    }
    answers.push(await client.text('DEBUG', 'LISTPACK'));
    replies.push(answers);
    if (kind === 'damselfly') await server.untilLogged(/DEBUG LISTPACK hash: \d+ bytes, 1 elements\n/);
  }
  t.same(replies[1], replies[0]);
});

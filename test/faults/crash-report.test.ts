/** What ends the process: an exception under a lock, a thread that dies. It must say all it knows. */

import t from 'tap';
import { TestServer } from '../tools/server.js';

const crash = async (...commands: string[][]): Promise<{ code: number | null; stderr: string }> => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 3 });
  const bystander = await server.rawClient();
  await bystander.command('SET', 'other', 'value');
  const client = await server.rawClient();
  for (const command of commands) client.send(...command);
  const { code } = await server.exited;
  await server.stop();
  return { code, stderr: server.stderr };
};

t.test('an exception while locks are held', async (t) => {
  const { code, stderr } = await crash(['MULTI'], ['SET', 'key', 'value'], ['DEBUG', 'PANIC'], ['EXEC']);
  t.equal(code, 1);
  t.match(stderr, /BUG REPORT START[\s\S]*BUG REPORT END/);
  t.match(stderr, /version \d+\.\d+\.\d+, node v/);
  t.match(stderr, /Error: DEBUG PANIC\n +at .*debug/, 'the stack');
  t.match(stderr, /command: DEBUG\nargc: 2\nargv\[0\]: "DEBUG"\nargv\[1\]: "PANIC"/);
  t.match(stderr, /addr=127\.0\.0\.1:\d+ db=0 .*multi=1/);
  for (const title of ['Server', 'Clients', 'Memory', 'Stats', 'Commandstats', 'Keyspace']) {
    t.match(stderr, new RegExp(`\n# ${title}\n`), `INFO ${title}`);
  }
  t.match(stderr, /db0:keys=2,/);
});

t.test('a thread that ends', async (t) => {
  const { code, stderr } = await crash(['DEBUG', 'SEGFAULT']);
  t.equal(code, 1);
  t.match(stderr, /worker \d: Error: the thread ended with code 139/);
  t.match(stderr, /argv\[1\]: "SEGFAULT"/);
  t.match(stderr, /\n# Memory\nused_memory:/);
});

t.test('long arguments are cut', async (t) => {
  const { stderr } = await crash(['DEBUG', 'PANIC', 'x'.repeat(5000), ...new Array(40).fill('y')]);
  t.match(stderr, /argv\[2\]: "x{128}" \.\.\. \(5000 bytes\)/);
  t.match(stderr, /\(27 more arguments\)/);
});

/** A log that can't be written any more: the server goes on without it, and ends as it should. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { TestServer } from '../tools/server.js';

/** Has the threads of the server write to its log, then the main thread, which ends it. */
async function useAndEnd(t: Test, server: TestServer): Promise<void> {
  const client = await server.rawClient();
  t.equal(await client.text('SET', 'key', 'value'), '+OK\r\n');
  t.equal(await client.text('BGSAVE'), '+Background saving started\r\n');
  while (!(await client.text('INFO', 'persistence')).includes('rdb_bgsave_in_progress:0'));
  t.match(await client.text('INFO', 'persistence'), 'rdb_last_bgsave_status:ok');
  t.equal(await client.text('GET', 'key'), '$5\r\nvalue\r\n');
  t.same(await server.stop(), { code: 0, signal: null });
}

for (const threads of [1, 3]) {
  t.test(`nobody reads the output, ${threads} threads`, async (t) => {
    const server = await TestServer.start({ kind: 'damselfly', threads });
    server.process.stdout!.destroy();
    await useAndEnd(t, server);
  });

  t.test(`the directory of the log file has gone, ${threads} threads`, async (t) => {
    const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-log-'));
    const logfile = path.join(directory, 'log');
    const server = await TestServer.start({ kind: 'damselfly', threads, directives: { logfile } });
    rmSync(directory, { recursive: true });
    await useAndEnd(t, server);
  });
}

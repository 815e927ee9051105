/** Who has the reply to CLIENT KILL or QUIT finds the client gone, whichever worker has its connection. */

import t from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { sharedServers, type TestServer } from '../../tools/server.js';

const ROUNDS = 40;
const withServer = sharedServers(t);

async function clientWithId(server: TestServer): Promise<{ client: RawClient; id: string }> {
  const client = await server.rawClient();
  return { client, id: (await client.text('CLIENT', 'ID')).slice(1).trim() };
}

withServer('a client that was killed while it waits gets nothing', async (t, server) => {
  const control = await server.rawClient();
  for (let round = 0; round < ROUNDS; round++) {
    const { client, id } = await clientWithId(server);
    client.send('BLPOP', 'list', 0);
    while (!(await control.text('CLIENT', 'LIST', 'ID', id)).includes('flags=b'));
    for (const command of [
      ['CLIENT', 'KILL', 'ID', id],
      ['RPUSH', 'list', 'value'],
      ['LPOP', 'list'],
    ])
      control.send(...command);
    const replies = [await control.read(), await control.read(), await control.read()].join('');
    if (replies !== ':1\r\n:1\r\n$5\r\nvalue\r\n') t.fail(replies);
  }
  const waiting = await clientWithId(server);
  waiting.client.send('BLPOP', 'list', 0);
  while (!(await control.text('INFO', 'clients')).includes('blocked_clients:1\r'));
  await control.text('RPUSH', 'list', 'value');
  t.equal((await waiting.client.read()).toString(), '*2\r\n$4\r\nlist\r\n$5\r\nvalue\r\n');
});

for (const way of ['QUIT', 'KILL']) {
  withServer(`a redirection to a client that has gone breaks: ${way}`, async (t, server) => {
    const control = await server.rawClient();
    const reader = await server.rawClient();
    for (let round = 0; round < ROUNDS; round++) {
      const { client, id } = await clientWithId(server);
      await client.command('SUBSCRIBE', '__redis__:invalidate');
      await reader.text('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id);
      await reader.text('GET', 'key');
      if (way === 'QUIT') await client.text('QUIT');
      else await control.text('CLIENT', 'KILL', 'ID', id);
      await control.text('SET', 'key', String(round));
      // The change reaches the reader's worker before this does.
      const info = await reader.text('CLIENT', 'TRACKINGINFO');
      if (!info.includes('broken_redirect')) t.fail(`round ${round}`);
      await reader.text('CLIENT', 'TRACKING', 'OFF');
    }
    t.pass();
  });
}

withServer('a client that has read the reply to QUIT is no subscriber', async (t, server) => {
  const control = await server.rawClient();
  for (let round = 0; round < ROUNDS; round++) {
    const client = await server.rawClient();
    await client.command('SUBSCRIBE', 'channel');
    await client.text('QUIT');
    const receivers = await control.text('PUBLISH', 'channel', 'x');
    if (receivers !== ':0\r\n') t.fail(receivers);
  }
  t.pass();
});

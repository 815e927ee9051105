import t from 'tap';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

onServers('DELIFEQ deletes a string that has the value', async (t, server) => {
  const client = await server.rawClient();
  t.equal(await client.text('DELIFEQ', 'k', 'a'), ':0\r\n');
  await client.command('SET', 'k', 'a');
  t.equal(await client.text('DELIFEQ', 'k', 'A'), ':0\r\n');
  t.equal(await client.text('DELIFEQ', 'k', ''), ':0\r\n');
  t.equal(await client.text('GET', 'k'), '$1\r\na\r\n');
  t.equal(await client.text('DELIFEQ', 'k', 'a'), ':1\r\n');
  t.equal(await client.text('EXISTS', 'k'), ':0\r\n');
  await client.command('SET', 'k', '123');
  t.equal(await client.text('DELIFEQ', 'k', '123'), ':1\r\n');
  await client.command('RPUSH', 'list', 'a');
  t.match(await client.text('DELIFEQ', 'list', 'a'), /^-WRONGTYPE/);
  t.match(await client.text('DELIFEQ', 'k'), /^-ERR wrong number of arguments/);
});

onServers('a lock is released by its owner alone', async (t, server) => {
  const clients = Array.from({ length: 5 }, () => server.client());
  let holders = 0;
  let holdersMax = 0;
  let taken = 0;
  await Promise.all(
    clients.map(async (client, index) => {
      const token = `token ${index}`;
      for (let round = 0; round < 20; ) {
        if ((await client.set('lock', token, 'NX')) === null) {
          if (Number(await client.call('DELIFEQ', 'lock', `${token}?`)) !== 0) t.fail('not the owner');
          continue;
        }
        holdersMax = Math.max(holdersMax, ++holders);
        taken++;
        round++;
        holders--;
        if (Number(await client.call('DELIFEQ', 'lock', token)) !== 1) t.fail('the lock is lost');
      }
    }),
  );
  t.equal(holdersMax, 1);
  t.equal(taken, 100);
});

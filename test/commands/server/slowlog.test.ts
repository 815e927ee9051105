import t from 'tap';
import { bulkText, elementsOf } from '../../compat/replies.js';
import { defaultKind, withServers } from '../../tools/server.js';

const everything = { directives: { 'slowlog-log-slower-than': '0', 'slowlog-max-len': '128' } };

type Entry = [number, number, number, string[], string, string];

withServers(t, 'every command is logged with a threshold of zero', everything, async (t, server) => {
  const client = server.client({ connectionName: 'me', enableReadyCheck: false });
  const other = server.client({ enableReadyCheck: false });
  await other.ping();
  await client.slowlog('RESET');
  await client.set('k', 'v'.repeat(200));
  await client.mget(...Array.from({ length: 40 }, (_, index) => `key${index}`));
  await other.get('k');
  await client.call('AUTH', 'default', 'anything');
  const entries = (await client.slowlog('GET')) as Entry[];
  const args = entries.map((entry) => entry[3]);
  const set = entries.find((entry) => entry[3][0] === 'set');
  t.same(set?.[3], ['set', 'k', `${'v'.repeat(128)}... (72 more bytes)`]);
  t.match(set?.[4], /^127\.0\.0\.1:\d+$/);
  t.equal(set?.[5], 'me');
  t.ok((set?.[2] ?? -1) >= 0 && Math.abs((set?.[1] ?? 0) - Date.now() / 1000) < 100);
  const mget = args.find((request) => request[0] === 'mget');
  t.equal(mget?.length, 32);
  t.equal(mget?.[31], '... (10 more arguments)');
  t.ok(args.some((request) => request.join(' ') === 'get k'));
  t.notOk(args.some((request) => request.includes('anything')));
  const ids = entries.map((entry) => entry[0]);
  t.same(
    ids,
    [...ids].sort((one, two) => two - one),
  );
  t.equal(((await client.slowlog('GET', '2')) as Entry[]).length, 2);
  t.ok(Number(await client.slowlog('LEN')) > 4);
});

const slow = { directives: { 'slowlog-log-slower-than': '100000', 'latency-monitor-threshold': '100' } };

withServers(t, 'only slow commands are logged otherwise', slow, async (t, server) => {
  const client = await server.rawClient();
  await client.pipeline([
    ['SET', 'a', '1'],
    ['GET', 'a'],
    ['DEBUG', 'SLEEP', '0.2'],
    ['GET', 'a'],
  ]);
  await client.text('MULTI');
  await client.text('DEBUG', 'SLEEP', '0.15');
  await client.text('EXEC');
  t.equal(await client.text('SLOWLOG', 'LEN'), ':2\r\n');
  t.match(
    await client.text('SLOWLOG', 'GET'),
    /^\*2\r\n\*6\r\n:\d+\r\n:\d+\r\n:1\d{5}\r\n\*3\r\n\$5\r\nDEBUG\r\n\$5\r\nSLEEP\r\n\$4\r\n0.15\r\n\$\d+\r\n127/,
  );
  t.equal(await client.text('SLOWLOG', 'GET', '-2'), '-ERR count should be greater than or equal to -1\r\n');
  t.equal(await client.text('SLOWLOG', 'GET', 'x'), '-ERR count should be greater than or equal to -1\r\n');
  t.equal(await client.text('SLOWLOG', 'RESET'), '+OK\r\n');
  t.equal(await client.text('SLOWLOG', 'GET', '-1'), '*0\r\n');
});

withServers(t, 'commands of scripts', {}, async (t, server) => {
  const client = await server.rawClient();
  await client.command('CLIENT', 'SETNAME', 'caller');
  await client.command('CONFIG', 'SET', 'slowlog-log-slower-than', '0');
  await client.command('SLOWLOG', 'RESET');
  const script = "for i = 1, 9 do redis.call('ECHO', i) end";
  await client.command('EVAL', script, '0');
  const entries = elementsOf(await client.command('SLOWLOG', 'GET', '20'))!.map(
    (entry) => elementsOf(entry)!,
  );
  const lines = entries.map((entry) => elementsOf(entry[3]!)!.map(bulkText).join(' '));
  const calls = Array.from({ length: 9 }, (_, index) => `ECHO ${9 - index}`);
  t.same(lines, [`EVAL ${script} 0`, ...calls, 'SLOWLOG RESET'].slice(0, lines.length));
  t.ok(lines.length >= 10, 'each is there');
  for (const entry of entries) {
    t.same(entry[4], entries[0]![4], 'with the address of the client');
    t.equal(bulkText(entry[5]!), 'caller');
  }
});

withServers(t, 'latency monitor', slow, async (t, server) => {
  const client = await server.rawClient();
  t.equal(await client.text('LATENCY', 'LATEST'), '*0\r\n');
  t.equal(
    await client.text('LATENCY', 'GRAPH', 'command'),
    "-ERR No samples available for event 'command'\r\n",
  );
  await client.text('DEBUG', 'SLEEP', '0.15');
  t.match(
    await client.text('LATENCY', 'LATEST'),
    /^\*1\r\n\*4\r\n\$7\r\ncommand\r\n:\d+\r\n:1\d\d\r\n:1\d\d\r\n$/,
  );
  t.match(await client.text('LATENCY', 'HISTORY', 'command'), /^\*1\r\n\*2\r\n:\d+\r\n:1\d\d\r\n$/);
  t.equal(await client.text('LATENCY', 'HISTORY', 'other'), '*0\r\n');
  t.match(
    await client.text('LATENCY', 'GRAPH', 'command'),
    /^\$\d+\r\ncommand - high 1\d\d ms, low 1\d\d ms \(all time high 1\d\d ms\)\n-{80}\n \n \n \n_\n \n\d\ns\n\r\n$/,
  );
  t.match(await client.text('LATENCY', 'DOCTOR'), /1\. command: 1 latency spikes \(average 1\d\dms, /);
  t.equal(await client.text('LATENCY', 'RESET', 'other'), ':0\r\n');
  t.equal(await client.text('LATENCY', 'RESET', 'command'), ':1\r\n');
  t.equal(await client.text('LATENCY', 'LATEST'), '*0\r\n');
});

withServers(t, 'latency histogram', { isFresh: true }, async (t, server) => {
  const client = await server.rawClient();
  t.equal(await client.text('LATENCY', 'HISTOGRAM', 'blabla'), '*0\r\n');
  for (let call = 0; call < 3; call++) await client.text('SET', 'k', 'v');
  await client.pipeline(Array.from({ length: 50 }, () => ['GET', 'k']));
  await client.text('CLIENT', 'ID');
  t.match(
    await client.text('LATENCY', 'HISTOGRAM', 'set', 'nothing', 'client', 'get'),
    /^\*6\r\n\$3\r\nset\r\n\*4\r\n\$5\r\ncalls\r\n:3\r\n\$14\r\nhistogram_usec\r\n\*\d+\r\n(:\d+\r\n)+\$9\r\nclient\|id\r\n[\s\S]*\$3\r\nget\r\n\*4\r\n\$5\r\ncalls\r\n:50\r\n/,
  );
  if (defaultKind() === 'redis') return;
  await client.text('HELLO', '3');
  t.match(
    await client.text('LATENCY', 'HISTOGRAM', 'set'),
    /^%1\r\n\$3\r\nset\r\n%2\r\n\$5\r\ncalls\r\n:3\r\n/,
  );
});

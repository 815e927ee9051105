import t from 'tap';
import { withServers } from '../../tools/server.js';

type Entry = [id: number, time: number, value: number, args: string[], address: string, name: string];

const limits = {
  directives: { 'commandlog-request-larger-than': '1000', 'commandlog-reply-larger-than': '2000' },
};

withServers(t, 'requests and replies are logged by their size', limits, async (t, server) => {
  const client = server.client({ connectionName: 'me', enableReadyCheck: false });
  const raw = await server.rawClient();
  const entriesOf = async (type: string) => (await client.call('COMMANDLOG', 'GET', '-1', type)) as Entry[];
  const valuesOf = async (type: string) =>
    (await entriesOf(type)).map(([, , value, args]) => [args[0]?.toUpperCase(), value]);
  await client.ping();

  // "*3\r\n$3\r\nset\r\n$1\r\nk\r\n$3\r\n...\r\n" is 28 bytes around the value.
  const framed = (length: number) => ['SET', 'k', 'v'.repeat(length)];
  await client.call(...(framed(971) as [string, string, string]));
  t.same(await entriesOf('large-request'), []);
  await client.call(...(framed(972) as [string, string, string]));
  const [entry] = await entriesOf('large-request');
  t.equal(entry?.[2], 1000);
  t.same(entry?.[3], ['SET', 'k', `${'v'.repeat(128)}... (844 more bytes)`]);
  t.match(entry?.[4], /^127\.0\.0\.1:\d+$/);
  t.equal(entry?.[5], 'me');

  // The same commands one by one, in a pipeline, and in a transaction, whose EXEC is not logged.
  await client.call('COMMANDLOG', 'RESET', 'large-request');
  const large = 'w'.repeat(1992);
  const small = 'w'.repeat(1990);
  await raw.pipeline([
    ['SET', 'large', large],
    ['SET', 'small', small],
    ['GET', 'small'],
    ['GET', 'large'],
    ['MGET', 'large', 'small', 'nothing'],
  ]);
  t.same(await valuesOf('large-request'), [
    ['SET', 2023],
    ['SET', 2025],
  ]);
  t.same(await valuesOf('large-reply'), [
    ['MGET', 4 + 2001 + 1999 + 5],
    ['GET', 2001],
  ]);
  await raw.pipeline([['MULTI'], ['GET', 'large'], ['SET', 'large', large], ['EXEC']]);
  t.same((await valuesOf('large-reply'))[0], ['GET', 2001]);
  t.same((await valuesOf('large-request'))[0], ['SET', 2025]);
  t.equal(await client.call('COMMANDLOG', 'LEN', 'LARGE-REPLY'), 3);
  t.equal(((await client.call('COMMANDLOG', 'GET', '1', 'large-reply')) as Entry[]).length, 1);

  // Many small arguments are a large request, too.
  const keys = Array.from({ length: 120 }, (_, index) => `k${index}`);
  await raw.command('EXISTS', ...keys);
  t.same((await valuesOf('large-request'))[0], ['EXISTS', 6 + 12 + 10 * 8 + 90 * 9 + 20 * 10]);

  // The directives bound the logs and turn them off.
  await client.config('SET', 'commandlog-large-reply-max-len', '2', 'commandlog-request-larger-than', '-1');
  await raw.pipeline([
    ['GET', 'large'],
    ['SET', 'large', large],
  ]);
  t.equal(await client.call('COMMANDLOG', 'LEN', 'large-reply'), 2);
  t.same((await valuesOf('large-request'))[0], ['EXISTS', 6 + 12 + 10 * 8 + 90 * 9 + 20 * 10]);
  await client.config('SET', 'commandlog-reply-larger-than', '1');
  await raw.command('GET', 'nothing');
  t.same((await valuesOf('large-reply'))[0], ['GET', 5]);
  await client.config(
    'SET',
    'commandlog-request-larger-than',
    '1000',
    'commandlog-reply-larger-than',
    '2000',
  );
  await client.config('SET', 'commandlog-large-reply-max-len', '128');
});

withServers(t, 'COMMANDLOG and SLOWLOG read the same log of slow commands', {}, async (t, server) => {
  const client = await server.rawClient();
  await client.text('CONFIG', 'SET', 'commandlog-execution-slower-than', '0');
  t.equal(
    await client.text('CONFIG', 'GET', 'slowlog-log-slower-than'),
    '*2\r\n$23\r\nslowlog-log-slower-than\r\n$1\r\n0\r\n',
  );
  await client.text('SET', 'a', '1');
  await client.text('CONFIG', 'SET', 'commandlog-execution-slower-than', '-1');
  t.equal(await client.text('SLOWLOG', 'GET'), await client.text('COMMANDLOG', 'GET', '10', 'slow'));
  t.match(await client.text('COMMANDLOG', 'LEN', 'slow'), /^:[1-9]\r\n/);
  t.equal(await client.text('COMMANDLOG', 'RESET', 'slow'), '+OK\r\n');
  t.equal(await client.text('SLOWLOG', 'LEN'), ':0\r\n');
  const badType = '-ERR type should be one of the following: slow, large-request, large-reply\r\n';
  const badCount = '-ERR count should be greater than or equal to -1\r\n';
  t.equal(await client.text('COMMANDLOG', 'LEN', 'fast'), badType);
  t.equal(await client.text('COMMANDLOG', 'RESET', 'fast'), badType);
  t.equal(await client.text('COMMANDLOG', 'GET', '1', 'fast'), badType);
  t.equal(await client.text('COMMANDLOG', 'GET', '-2', 'slow'), badCount);
  t.equal(await client.text('COMMANDLOG', 'GET', 'x', 'slow'), badCount);
  t.equal(
    await client.text('COMMANDLOG', 'GET', '1'),
    "-ERR wrong number of arguments for 'commandlog|get' command\r\n",
  );
  t.match(await client.text('COMMANDLOG', 'HELP'), /^\*15\r\n\+COMMANDLOG <subcommand>/);
});

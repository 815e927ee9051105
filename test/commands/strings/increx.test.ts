import t from 'tap';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

const MAX = '9223372036854775807';
const MIN = '-9223372036854775808';

/** The value before (null: no key), the arguments behind the key, the reply, and the value after. */
type Case = readonly [before: string | null, args: string, reply: string, after: string | null];

const added = (value: string, applied: string): string => `*2\r\n:${value}\r\n:${applied}\r\n`;
const addedFloat = (value: string, applied: string): string =>
  `*2\r\n$${value.length}\r\n${value}\r\n$${applied.length}\r\n${applied}\r\n`;

const INTEGERS: readonly Case[] = [
  [null, '', added('1', '1'), '1'],
  ['7', '', added('8', '1'), '8'],
  ['7', 'BYINT -9', added('-2', '-9'), '-2'],
  ['7', 'byint 0', added('7', '0'), '7'],
  ['7', 'BYINT 3 UBOUND 10', added('10', '3'), '10'],
  ['7', 'BYINT 4 UBOUND 10', added('7', '0'), '7'],
  ['7', 'BYINT 4 UBOUND 10 SATURATE', added('10', '3'), '10'],
  ['7', 'SATURATE BYINT -40 LBOUND -5', added('-5', '-12'), '-5'],
  ['7', 'BYINT -40 LBOUND -5', added('7', '0'), '7'],
  // A value that is beyond a bound already comes back to it.
  ['70', 'UBOUND 10', added('70', '0'), '70'],
  ['70', 'UBOUND 10 SATURATE', added('10', '-60'), '10'],
  ['-70', 'LBOUND 10 SATURATE', added('10', '80'), '10'],
  ['70', 'BYINT -65 UBOUND 10', added('5', '-65'), '5'],
  [null, 'LBOUND 10', added('0', '0'), null],
  [null, 'LBOUND 10 SATURATE', added('10', '10'), '10'],
  ['5', 'LBOUND 5 UBOUND 5 SATURATE', added('5', '0'), '5'],
  // The range of the type is a bound, too.
  [MAX, '', added(MAX, '0'), MAX],
  [MAX, 'SATURATE', added(MAX, '0'), MAX],
  [MIN, 'BYINT -1', added(MIN, '0'), MIN],
  [MIN, 'BYINT -1 SATURATE', added(MIN, '0'), MIN],
  ['9223372036854775800', 'BYINT 10 SATURATE', added(MAX, '7'), MAX],
  ['-1', `BYINT ${MIN}`, added('-1', '0'), '-1'],
  ['0', `BYINT ${MIN}`, added(MIN, MIN), MIN],
  [MIN, `BYINT ${MAX}`, added('-1', MAX), '-1'],
  ['1', `UBOUND ${MIN} SATURATE`, '-ERR applied increment would overflow\r\n', '1'],
  ['0', `UBOUND ${MIN} SATURATE`, added(MIN, MIN), MIN],
  // Where doubles end.
  ['9007199254740991', '', added('9007199254740992', '1'), '9007199254740992'],
  ['9007199254740992', '', added('9007199254740993', '1'), '9007199254740993'],
  ['9007199254740993', 'BYINT -2', added('9007199254740991', '-2'), '9007199254740991'],
  [
    '9007199254740990',
    'BYINT 9007199254740990',
    added('18014398509481980', '9007199254740990'),
    '18014398509481980',
  ],
  [
    '-9007199254740990',
    'LBOUND 9007199254740990 SATURATE',
    added('9007199254740990', '18014398509481980'),
    '9007199254740990',
  ],
  ['5', 'UBOUND 9007199254740993 BYINT 9007199254740989', added('5', '0'), '5'],
  [
    '5',
    'UBOUND 9007199254740993 BYINT 9007199254740988',
    added('9007199254740993', '9007199254740988'),
    '9007199254740993',
  ],
  // Errors
  ['x', '', '-ERR value is not an integer or out of range\r\n', 'x'],
  ['1.5', '', '-ERR value is not an integer or out of range\r\n', '1.5'],
  ['1', 'BYINT x', '-ERR Increment is not an integer or out of range\r\n', '1'],
  ['1', 'BYINT 1.5', '-ERR Increment is not an integer or out of range\r\n', '1'],
  ['1', 'LBOUND x', '-ERR LBOUND is not an integer or out of range\r\n', '1'],
  ['1', 'UBOUND 9223372036854775808', '-ERR UBOUND is not an integer or out of range\r\n', '1'],
  ['1', 'LBOUND 2 UBOUND 1', "-ERR LBOUND can't be greater than UBOUND\r\n", '1'],
  ['1', `LBOUND ${MAX} UBOUND 9223372036854775806`, "-ERR LBOUND can't be greater than UBOUND\r\n", '1'],
  ['1', 'BYINT', '-ERR syntax error\r\n', '1'],
  ['1', 'FOO', '-ERR syntax error\r\n', '1'],
  ['1', 'BYINT 1 BYFLOAT 1', '-ERR syntax error\r\n', '1'],
  ['1', 'BYINT 1 BYINT 1', '-ERR syntax error\r\n', '1'],
  ['1', 'SATURATE SATURATE', '-ERR syntax error\r\n', '1'],
  ['1', 'EX 10 PX 10', '-ERR syntax error\r\n', '1'],
  ['1', 'EX 10 PERSIST', '-ERR syntax error\r\n', '1'],
  ['1', 'PERSIST ENX', '-ERR syntax error\r\n', '1'],
  ['1', 'ENX', '-ERR ENX flag requires an expiration\r\n', '1'],
  ['1', 'EX 0', "-ERR invalid expire time in 'increx' command\r\n", '1'],
  ['1', 'EX x', '-ERR value is not an integer or out of range\r\n', '1'],
];

const FLOATS: readonly Case[] = [
  [null, 'BYFLOAT 1.5', addedFloat('1.5', '1.5'), '1.5'],
  ['2', 'BYFLOAT 0.1', addedFloat('2.1', '0.1'), '2.1'],
  ['3.0e1', 'BYFLOAT -0.5', addedFloat('29.5', '-0.5'), '29.5'],
  ['1.5', 'BYFLOAT 2 UBOUND 3', addedFloat('1.5', '0'), '1.5'],
  ['1.5', 'BYFLOAT 2 UBOUND 3 SATURATE', addedFloat('3', '1.5'), '3'],
  ['1.5', 'BYFLOAT -2 LBOUND 0.25 SATURATE', addedFloat('0.25', '-1.25'), '0.25'],
  ['1.5', 'BYFLOAT 2 LBOUND -inf UBOUND inf', addedFloat('3.5', '2'), '3.5'],
  ['1.5', 'BYFLOAT 2 UBOUND -inf', "-ERR LBOUND can't be greater than UBOUND\r\n", '1.5'],
  [
    '1.5',
    'BYFLOAT 2 LBOUND -inf UBOUND -inf SATURATE',
    '-ERR applied increment would be Infinity\r\n',
    '1.5',
  ],
  ['1.5', 'BYFLOAT inf', '-ERR BYFLOAT increment cannot be Infinity\r\n', '1.5'],
  ['1.5', 'BYFLOAT x', '-ERR Increment is not a valid float\r\n', '1.5'],
  ['1.5', 'BYFLOAT 1 LBOUND x', '-ERR LBOUND is not a valid float\r\n', '1.5'],
  ['1.5', 'BYFLOAT 1 LBOUND 2 UBOUND 1', "-ERR LBOUND can't be greater than UBOUND\r\n", '1.5'],
  ['x', 'BYFLOAT 1', '-ERR value is not a valid float\r\n', 'x'],
];

onServers('sums, bounds and errors', async (t, server) => {
  const client = await server.rawClient();
  for (const [before, args, reply, after] of [...INTEGERS, ...FLOATS]) {
    await client.command('DEL', 'k');
    if (before !== null) await client.command('SET', 'k', before);
    const words = args === '' ? [] : args.split(' ');
    t.equal(await client.text('INCREX', 'k', ...words), reply, `${before}: ${args}`);
    const value = after === null ? '$-1\r\n' : `$${after.length}\r\n${after}\r\n`;
    t.equal(await client.text('GET', 'k'), value, `after ${before}: ${args}`);
  }
  await client.command('RPUSH', 'list', 'a');
  t.match(await client.text('INCREX', 'list'), /^-WRONGTYPE/);
  await client.text('HELLO', '3');
  await client.command('SET', 'k', '1.5');
  t.equal(await client.text('INCREX', 'k', 'BYFLOAT', '1'), '*2\r\n,2.5\r\n,1\r\n');
});

onServers('expiry', async (t, server) => {
  const client = server.client();
  const ttl = () => client.pttl('k');
  await client.call('INCREX', 'k', 'EX', '100');
  const first = await ttl();
  t.ok(first > 90_000 && first <= 100_000, `${first}`);
  await client.call('INCREX', 'k', 'EX', '500', 'ENX');
  t.ok((await ttl()) <= 100_000, 'ENX leaves an expiry alone');
  await client.call('INCREX', 'k');
  const kept = await ttl();
  t.ok(kept > 0 && kept <= 100_000, 'without an option the expiry stays');
  // What is declined changes nothing.
  t.same(await client.call('INCREX', 'k', 'UBOUND', '1', 'PERSIST'), [3, 0]);
  t.ok((await ttl()) > 0);
  t.same(await client.call('INCREX', 'k', 'PERSIST'), [4, 1]);
  t.equal(await ttl(), -1);
  await client.call('INCREX', 'k', 'PX', '200000', 'ENX');
  t.ok((await ttl()) > 190_000);
  t.same(await client.call('INCREX', 'k', 'EXAT', '4102444800'), [6, 1]);
  t.equal(await client.call('EXPIRETIME', 'k'), 4102444800);
  // An expiry in the past deletes the key, though the sum is replied.
  t.same(await client.call('INCREX', 'k', 'PXAT', '1'), [7, 1]);
  t.equal(await client.exists('k'), 0);
  t.same(await client.call('INCREX', 'k', 'PXAT', '1'), [1, 1]);
  t.equal(await client.exists('k'), 0);
  t.same(await client.call('INCREX', 'k', 'BYFLOAT', '0.5', 'EX', '100'), ['0.5', '0.5']);
  t.ok((await ttl()) > 90_000);
});

onServers('a limit holds however many clients count at once', async (t, server) => {
  const clients = Array.from({ length: 6 }, () => server.client());
  let accepted = 0;
  await Promise.all(
    clients.map(async (client) => {
      const pipeline = client.pipeline();
      for (let index = 0; index < 200; index++) {
        pipeline.call('INCREX', 'limit', 'UBOUND', '500', 'EX', '1000', 'ENX');
      }
      for (const [, reply] of (await pipeline.exec()) ?? []) accepted += (reply as [number, number])[1];
    }),
  );
  t.equal(accepted, 500);
  t.equal(await clients[0]!.get('limit'), '500');
});

import t from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

/**
 * The next lines that a monitor gets, without their times and clients. What the server was asked at its start,
 * to see whether it is there, may come late.
 */
async function lines(monitor: RawClient, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) {
    const line = (await monitor.read()).toString('latin1');
    const text = line.replace(/^\+\d+\.\d{6} \[(\d+) (127\.0\.0\.1:\d+|\[::1\]:\d+)\] (.*)\r\n$/s, '$1 $3');
    if (text !== '0 "PING"') found.push(text);
  }
  return found;
}

onServers('MONITOR shows commands of all workers', async (t, server) => {
  const monitor = await server.rawClient();
  // More clients than workers, so that each worker runs something.
  const clients = await Promise.all(Array.from({ length: 6 }, () => server.rawClient()));
  t.equal(await monitor.text('MONITOR'), '+OK\r\n');
  for (const [index, client] of clients.entries()) {
    await client.text('SET', `key:${index}`, '1');
    t.strictSame(await lines(monitor, 1), [`0 "SET" "key:${index}" "1"`]);
  }
  for (const client of [monitor, ...clients]) await client.close();
});

onServers('what MONITOR shows', async (t, server) => {
  const monitor = await server.rawClient();
  const client = await server.rawClient();
  await monitor.text('MONITOR');
  await client.text('select', '5');
  await client.text('SET', 'a', Buffer.from('\r\n\t\x07\b"\\\x00\x7f\xff é', 'latin1'));
  t.strictSame(await lines(monitor, 2), [
    '5 "select" "5"',
    String.raw`5 "SET" "a" "\r\n\t\a\b\"\\\x00\x7f\xff \xe9"`,
  ]);

  // Neither what administrators do nor what is refused; an unknown password is nobody's business.
  await client.text('CONFIG', 'GET', 'port');
  await client.text('CLIENT', 'LIST');
  await client.text('SLOWLOG', 'LEN');
  await client.text('NOSUCH');
  await client.text('GET');
  await client.text('AUTH', 'secret');
  await client.text('AUTH', 'user', 'secret');
  await client.text('HELLO', '3', 'AUTH', 'user', 'secret', 'SETNAME', 'me');
  await client.text('CLIENT', 'SETNAME', 'me');
  t.strictSame(await lines(monitor, 4), [
    '5 "AUTH" "(redacted)"',
    '5 "AUTH" "(redacted)" "(redacted)"',
    '5 "HELLO" "3" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me"',
    '5 "CLIENT" "SETNAME" "me"',
  ]);

  // A transaction is shown as it runs.
  await client.pipeline([
    ['MULTI'],
    ['INCR', 'n'],
    ['SELECT', '2'],
    ['EXEC'],
    ['MULTI'],
    ['nosuch'],
    ['EXEC'],
  ]);
  t.strictSame(await lines(monitor, 6), [
    '5 "MULTI"',
    '5 "INCR" "n"',
    '2 "SELECT" "2"',
    '2 "EXEC"',
    '2 "MULTI"',
    '2 "EXEC"',
  ]);

  // A line longer than a message between workers.
  const value = 'x'.repeat(300_000);
  await client.text('SET', 'a', value);
  t.strictSame(await lines(monitor, 1), [`2 "SET" "a" "${value}"`]);
  await client.text('QUIT');
  t.strictSame(await lines(monitor, 1), ['2 "QUIT"']);
  await monitor.close();
});

onServers('a client in MONITOR', async (t, server) => {
  const monitor = await server.rawClient();
  const other = await server.rawClient();
  await monitor.text('MONITOR');
  monitor.send('MONITOR');
  t.equal(await monitor.text('GET', 'a'), "-ERR Replica can't interact with the keyspace\r\n");
  t.equal(await monitor.text('SET', 'a', '1'), "-ERR Replica can't interact with the keyspace\r\n");
  t.equal(await monitor.text('ping'), '+PONG\r\n');
  t.strictSame(await lines(monitor, 1), ['0 "ping"']);
  t.match(await monitor.text('CLIENT', 'INFO'), / flags=O /);
  t.strictSame(await lines(monitor, 1), ['0 "CLIENT" "INFO"']);
  t.match(await other.text('CLIENT', 'LIST', 'TYPE', 'normal'), / flags=O /);
  t.equal(await other.text('CLIENT', 'LIST', 'TYPE', 'replica'), '$0\r\n\r\n');
  t.equal(await monitor.text('RESET'), '+RESET\r\n');
  t.equal(await monitor.text('GET', 'a'), '$-1\r\n');
  t.match(await monitor.text('CLIENT', 'INFO'), / flags=N /);
  await other.text('MULTI');
  t.equal(await other.text('MONITOR'), '+QUEUED\r\n');
  t.equal(await other.text('EXEC'), "*1\r\n-ERR MONITOR isn't allowed for DENY BLOCKING client\r\n");
  t.equal(monitor.unread, 0);
  await monitor.close();
  await other.close();
});

onServers('many commands at once reach all monitors in order', async (t, server) => {
  const monitors = await Promise.all(Array.from({ length: 4 }, () => server.rawClient()));
  const client = await server.rawClient();
  for (const monitor of monitors) await monitor.text('MONITOR');
  const count = 5000;
  const requests = Array.from({ length: count }, (_, index) => ['SET', `key:${index}`, 'v'.repeat(200)]);
  const expected = requests.map((request) => `0 ${request.map((text) => `"${text}"`).join(' ')}`);
  const [, ...seen] = await Promise.all([
    client.pipeline(requests),
    ...monitors.map((monitor) => lines(monitor, count)),
  ]);
  for (const [index, one] of seen.entries()) t.ok(one.join() === expected.join(), `monitor ${index}`);
  for (const one of [client, ...monitors]) await one.close();
});

import t from 'tap';
import { withServers } from '../../tools/server.js';

const WRONG_PASSWORD = '-WRONGPASS invalid username-password pair or user is disabled.\r\n';
const NOT_AUTHENTICATED = '-NOAUTH Authentication required.\r\n';
const NAME_ERROR = '-ERR Client names cannot contain spaces, newlines or special characters.\r\n';
const HELLO_UNAUTHENTICATED =
  '-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n';

withServers(t, 'replies', {}, async (t, server) => {
  const client = await server.rawClient();
  const expect = async (request: string[], reply: string | RegExp): Promise<void> => {
    const got = await client.text(...request);
    if (typeof reply === 'string') t.equal(got, reply, request.join(' '));
    else t.match(got, reply, request.join(' '));
  };
  await expect(['PING'], '+PONG\r\n');
  await expect(['PING', ''], '$0\r\n\r\n');
  await expect(['ping', 'a b'], '$3\r\na b\r\n');
  await expect(['PING', 'a', 'b'], "-ERR wrong number of arguments for 'ping' command\r\n");
  await expect(['ECHO', 'x\r\ny'], '$4\r\nx\r\ny\r\n');
  await expect(['ECHO'], "-ERR wrong number of arguments for 'echo' command\r\n");
  await expect(['SELECT', '15'], '+OK\r\n');
  await expect(['SELECT', '16'], '-ERR DB index is out of range\r\n');
  await expect(['SELECT', '-1'], '-ERR DB index is out of range\r\n');
  await expect(['SELECT', 'x'], '-ERR value is not an integer or out of range\r\n');
  await expect(['SELECT', '9999999999999999999999'], '-ERR value is not an integer or out of range\r\n');
  await expect(
    ['SELECT', '9999999999'],
    '-ERR value is out of range, value must between -2147483648 and 2147483647\r\n',
  );
  await expect(
    ['AUTH', 'x'],
    '-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n',
  );
  await expect(['AUTH', 'nobody', 'x'], WRONG_PASSWORD);
  await expect(['AUTH', 'default', 'anything'], '+OK\r\n');
  await expect(['AUTH', 'a', 'b', 'c'], '-ERR syntax error\r\n');
  await expect(['AUTH'], "-ERR wrong number of arguments for 'auth' command\r\n");
  await expect(['HELLO', '4'], '-NOPROTO unsupported protocol version\r\n');
  await expect(['HELLO', '1'], '-NOPROTO unsupported protocol version\r\n');
  await expect(['HELLO', 'x'], '-ERR Protocol version is not an integer or out of range\r\n');
  await expect(['HELLO', '2', 'foo'], "-ERR Syntax error in HELLO option 'foo'\r\n");
  await expect(['HELLO', '2', 'AUTH'], "-ERR Syntax error in HELLO option 'AUTH'\r\n");
  await expect(['HELLO', '2', 'AUTH', 'nobody', 'x'], WRONG_PASSWORD);
  await expect(['HELLO', '3', 'SETNAME', 'a b'], NAME_ERROR);
  await expect(
    ['HELLO'],
    /^\*14\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n\$7\r\nversion\r\n\$\d\r\n[\d.]+\r\n\$5\r\nproto\r\n:2\r\n\$2\r\nid\r\n:\d+\r\n\$4\r\nmode\r\n\$10\r\nstandalone\r\n\$4\r\nrole\r\n\$6\r\nmaster\r\n\$7\r\nmodules\r\n\*0\r\n$/,
  );
  await expect(['HELLO', '3', 'AUTH', 'default', 'x', 'SETNAME', 'me'], /^%7\r\n\$6\r\nserver\r\n/);
  await expect(['CLIENT', 'GETNAME'], '$2\r\nme\r\n');
  await expect(['GET', 'nothing'], '_\r\n');
  await expect(['HELLO', '2'], /^\*14\r\n/);
  await expect(['GET', 'nothing'], '$-1\r\n');
});

withServers(t, 'reset', {}, async (t, server) => {
  const client = await server.rawClient();
  const other = await server.rawClient();
  await client.text('SET', 'k', 'zero');
  await client.text('HELLO', '3', 'SETNAME', 'me');
  await client.text('SELECT', '3');
  await client.text('CLIENT', 'NO-EVICT', 'ON');
  await client.text('WATCH', 'k');
  await client.text('MULTI');
  await client.text('SET', 'k', 'three');
  t.equal(await client.text('RESET'), '+RESET\r\n');
  t.equal(await client.text('CLIENT', 'GETNAME'), '$-1\r\n');
  t.equal(await client.text('GET', 'k'), '$4\r\nzero\r\n');
  t.match(await client.text('CLIENT', 'INFO'), / flags=e db=0 .* multi=-1 .* resp=2\s/);
  // Nothing is watched any more.
  await client.text('MULTI');
  await other.text('SET', 'k', 'new');
  t.equal(await client.text('EXEC'), '*0\r\n');
  t.equal(await client.text('RESET', 'x'), "-ERR wrong number of arguments for 'reset' command\r\n");
});

withServers(t, 'quit', {}, async (t, server) => {
  const client = await server.rawClient();
  client.write('PING\r\nQUIT\r\nPING\r\n');
  t.equal(Buffer.concat(await client.readMany(2)).toString(), '+PONG\r\n+OK\r\n');
  await t.rejects(client.read());
  const other = await server.rawClient();
  await other.text('MULTI');
  t.equal(await other.text('QUIT'), '+OK\r\n');
  await t.rejects(other.read());
});

withServers(t, 'a password', { directives: { requirepass: 'secret' } }, async (t, server) => {
  const client = await server.rawClient();
  t.equal(await client.text('GET', 'k'), NOT_AUTHENTICATED);
  t.equal(await client.text('PING'), NOT_AUTHENTICATED);
  t.equal(await client.text('CLIENT', 'ID'), NOT_AUTHENTICATED);
  t.equal(await client.text('GET'), "-ERR wrong number of arguments for 'get' command\r\n");
  t.equal(await client.text('AUTH', 'wrong'), WRONG_PASSWORD);
  t.equal(await client.text('AUTH', 'default', 'wrong'), WRONG_PASSWORD);
  t.equal(await client.text('HELLO', '3'), HELLO_UNAUTHENTICATED);
  t.equal(await client.text('HELLO', '3', 'AUTH', 'default', 'wrong'), WRONG_PASSWORD);
  t.equal(await client.text('HELLO', '3', 'SETNAME', 'a'), HELLO_UNAUTHENTICATED);
  t.equal(await client.text('AUTH', 'secret'), '+OK\r\n');
  t.equal(await client.text('GET', 'k'), '$-1\r\n');
  // A wrong password does not take away what was given before.
  t.equal(await client.text('AUTH', 'wrong'), WRONG_PASSWORD);
  t.equal(await client.text('GET', 'k'), '$-1\r\n');
  t.equal(await client.text('RESET'), '+RESET\r\n');
  t.equal(await client.text('GET', 'k'), NOT_AUTHENTICATED);
  t.match(await client.text('HELLO', '3', 'AUTH', 'default', 'secret'), /^%7\r\n/);
  t.equal(await client.text('GET', 'k'), '_\r\n');
  const pipelined = await server.rawClient();
  const replies = await pipelined.pipeline([
    ['GET', 'k'],
    ['AUTH', 'default', 'secret'],
    ['GET', 'k'],
  ]);
  t.equal(Buffer.concat(replies).toString(), `${NOT_AUTHENTICATED}+OK\r\n$-1\r\n`);
});

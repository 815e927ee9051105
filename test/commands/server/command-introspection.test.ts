import t from 'tap';
import { createCommandTable } from '../../../src/commands/commands.js';
import { writePreparedReply } from '../../../src/commands/server/command-introspection.js';
import { ReplyWriter } from '../../../src/protocol/reply-writer.js';
import { PreparedReplies, PreparedReply } from '../../../src/state/prepared-replies.js';
import { defaultKind, withServers } from '../../tools/server.js';

const REPLIES: readonly [string, string][] = [
  ['COMMAND INFO nosuch', '*1\r\n$-1\r\n'],
  ['COMMAND GETKEYS MSET a 1 b 2', '*2\r\n$1\r\na\r\n$1\r\nb\r\n'],
  ['COMMAND GETKEYS GET', "-ERR wrong number of arguments for 'command|getkeys' command\r\n"],
  ['COMMAND GETKEYS nosuch a', '-ERR Invalid command specified\r\n'],
  ['COMMAND GETKEYS GET a b', '-ERR Invalid number of arguments specified for command\r\n'],
  ['COMMAND GETKEYS ECHO a', '-ERR The command has no key arguments\r\n'],
  ['COMMAND GETKEYSANDFLAGS SET a b', '*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n'],
  ['COMMAND LIST FILTERBY ACLCAT foo', '*0\r\n'],
  ['COMMAND LIST FILTERBY PATTERN xyz*', '*0\r\n'],
  ['COMMAND LIST FILTERBY PATTERN PSETE*', '*1\r\n$6\r\npsetex\r\n'],
  ['COMMAND LIST FILTERBY MODULE x', '*0\r\n'],
  ['COMMAND LIST FILTERBY foo x', '-ERR syntax error\r\n'],
  ['COMMAND COUNT x', "-ERR wrong number of arguments for 'command|count' command\r\n"],
  ['COMMAND foo', "-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n"],
];

withServers(t, 'replies', {}, async (t, server) => {
  const client = await server.rawClient();
  for (const [request, expected] of REPLIES) {
    t.equal(await client.text(...request.split(' ')), expected, request);
  }
  const count = Number((await client.text('COMMAND', 'COUNT')).slice(1));
  t.ok(count > 50);
  t.ok((await client.text('COMMAND')).startsWith(`*${count}\r\n*10\r\n`));
  t.match(await client.text('COMMAND', 'LIST'), /\r\nclient\|list\r\n/);
  t.match(await client.text('COMMAND', 'DOCS', 'get'), /^\*2\r\n\$3\r\nget\r\n\*\d+\r\n/);
});

withServers(t, 'what is prepared is what would be said', {}, async (t, server) => {
  if (defaultKind() === 'redis') return;
  const client = await server.rawClient();
  const table = createCommandTable();
  for (const { kind, protocol } of PreparedReplies.wanted()) {
    const expected = new ReplyWriter();
    expected.protocol = protocol;
    writePreparedReply(expected, table, kind);
    const text = Buffer.from(expected.bytes.subarray(0, expected.length)).toString('latin1');
    await client.text('HELLO', String(protocol));
    const request = kind === PreparedReply.Commands ? ['COMMAND'] : ['COMMAND', 'DOCS'];
    // Before it is prepared, if the test is quick, and afterwards.
    for (let round = 0; round < 3; round++) {
      const reply = (await client.command(...request)).toString('latin1');
      t.ok(reply === text, `${request.join(' ')}, RESP${protocol}`);
    }
  }
});

t.test('prepared replies', async (t) => {
  const handle = PreparedReplies.create();
  const one = new PreparedReplies(handle);
  const other = new PreparedReplies(handle);
  t.equal(other.get(PreparedReply.Commands, 2), null);
  t.ok(one.put(PreparedReply.Documents, 3, Buffer.from('first')));
  t.ok(one.put(PreparedReply.Commands, 2, Buffer.from('second')));
  t.equal(Buffer.from(other.get(PreparedReply.Documents, 3)!).toString(), 'first');
  t.equal(Buffer.from(other.get(PreparedReply.Commands, 2)!).toString(), 'second');
  t.equal(other.get(PreparedReply.Documents, 2), null);
  t.notOk(one.put(PreparedReply.Documents, 2, Buffer.alloc(2 << 20)), 'there is no room');
  t.equal(other.get(PreparedReply.Documents, 2), null);
});

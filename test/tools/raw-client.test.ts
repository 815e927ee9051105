import { Buffer } from 'node:buffer';
import net from 'node:net';
import t from 'tap';
import { encodeCommand, findReplyEnd, RawClient } from './raw-client.js';

const REPLIES = [
  '+OK\r\n',
  '-ERR no\r\n',
  ':-12\r\n',
  '$-1\r\n',
  '$0\r\n\r\n',
  '$4\r\na\r\nb\r\n',
  '*-1\r\n',
  '*0\r\n',
  '*2\r\n*1\r\n:1\r\n$1\r\nx\r\n',
  '%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n',
  '~1\r\n_\r\n',
  ',1.5\r\n',
  '#t\r\n',
  '(123\r\n',
  '=7\r\ntxt:abc\r\n',
  '!3\r\nERR\r\n',
  '|1\r\n+ttl\r\n:3\r\n*1\r\n+x\r\n',
];

t.test('the end of a reply is found in whole and in any part of it', async (t) => {
  for (const reply of REPLIES) {
    const bytes = Buffer.from(`${reply}+next\r\n`);
    t.equal(findReplyEnd(bytes, 0), reply.length, JSON.stringify(reply));
    let incomplete = 0;
    for (let size = 0; size < reply.length; size++) {
      if (findReplyEnd(bytes.subarray(0, size), 0) < -size) incomplete++;
    }
    t.equal(incomplete, reply.length, `${JSON.stringify(reply)} cut anywhere is incomplete`);
  }
  t.throws(() => findReplyEnd(Buffer.from('what\r\n'), 0));
});

t.test('commands are encoded as bulk strings', async (t) => {
  t.equal(encodeCommand(['GET', 'k', 1]).toString(), '*3\r\n$3\r\nGET\r\n$1\r\nk\r\n$1\r\n1\r\n');
});

t.test('replies arrive one by one however the bytes are cut; pushes stand apart', async (t) => {
  const bytes = `${REPLIES.join('')}>2\r\n+a\r\n+b\r\n+end\r\n`;
  const server = net.createServer((socket) => {
    socket.setNoDelay(true);
    let at = 0;
    const timer = setInterval(() => {
      if (at >= bytes.length) {
        clearInterval(timer);
        socket.end();
      } else socket.write(bytes.slice(at, at + 7));
      at += 7;
    }, 1);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = await RawClient.connect({ port: (server.address() as net.AddressInfo).port });
  const replies = await client.readMany(REPLIES.length + 1);
  t.same(
    replies.map((reply) => reply.toString()),
    [...REPLIES, '+end\r\n'],
  );
  t.equal(client.pushes.length, 1);
  await t.rejects(client.read(), { message: 'connection closed' });
  await client.closed;
  await new Promise((resolve) => server.close(resolve));
});

/** Publishing and subscribing over several workers: who gets what, in which order, and who is closed. */

import t from 'tap';
import { bulkText, elementsOf } from '../../compat/replies.js';
import type { RawClient } from '../../tools/raw-client.js';
import { sharedServers, type TestServer, withServers } from '../../tools/server.js';

const withServer = sharedServers(t);

async function subscriber(server: TestServer, ...command: string[]): Promise<RawClient> {
  const client = await server.rawClient();
  client.send(...command);
  await client.readMany(command.length - 1);
  return client;
}

const messageOf = (reply: Buffer): string[] => elementsOf(reply)!.map(bulkText);

withServer('PUBLISH counts all who get it', async (t, server) => {
  const control = server.client();
  const clients: RawClient[] = [];
  for (let index = 0; index < 8; index++)
    clients.push(await subscriber(server, 'SUBSCRIBE', 'news', 'other'));
  const patterns = [
    await subscriber(server, 'PSUBSCRIBE', 'n*', 'news', 'nothing'),
    await subscriber(server, 'PSUBSCRIBE', 'ne?s'),
  ];
  const shards = await subscriber(server, 'SSUBSCRIBE', 'news');
  t.equal(await control.publish('news', 'hello'), 11);
  t.equal(await control.call('SPUBLISH', 'news', 'shard'), 1);
  t.equal(await control.publish('nobody', 'hello'), 0 + 1, 'n*');
  for (const client of clients) t.same(messageOf(await client.read()), ['message', 'news', 'hello']);
  t.same(messageOf(await patterns[0]!.read()), ['pmessage', 'n*', 'news', 'hello']);
  t.same(messageOf(await patterns[0]!.read()), ['pmessage', 'news', 'news', 'hello']);
  t.same(messageOf(await patterns[1]!.read()), ['pmessage', 'ne?s', 'news', 'hello']);
  t.same(messageOf(await shards.read()), ['smessage', 'news', 'shard']);
  t.same(((await control.pubsub('CHANNELS')) as string[]).sort(), ['news', 'other']);
  t.same(await control.pubsub('NUMSUB', 'news', 'none'), ['news', 8, 'none', 0]);
  t.equal(await control.pubsub('NUMPAT'), 4);
  t.same(await control.call('PUBSUB', 'SHARDNUMSUB', 'news'), ['news', 1]);
  for (const client of [...clients, ...patterns, shards]) await client.close();
  // The server learns of it by and by.
  while (((await control.pubsub('NUMSUB', 'news')) as unknown[])[1] !== 0);
  while (Number(await control.pubsub('NUMPAT')) !== 0);
  t.equal(await control.publish('news', 'hello'), 0);
});

withServer('what is being sent stays as it is while more messages are written', async (t, server) => {
  const channels = ['left', 'right'];
  const listeners = [
    await subscriber(server, 'SUBSCRIBE', 'left'),
    await subscriber(server, 'SUBSCRIBE', 'right'),
  ];
  const publisher = await server.rawClient();
  // In turns, so that what one has got is sent before the next is written. Each pipeline is longer than the buffer has grown to.
  for (let messages = 50; messages <= 1600; messages *= 2) {
    const texts = Array.from({ length: messages }, (_, index) => `${index} `.repeat(40));
    const replies = publisher.pipeline(texts.map((text, index) => ['PUBLISH', channels[index % 2]!, text]));
    for (const [side, listener] of listeners.entries()) {
      const seen = (await listener.readMany(messages / 2)).map((reply) => messageOf(reply)[2]);
      t.same(
        seen,
        texts.filter((_, index) => index % 2 === side),
        `${messages} messages`,
      );
    }
    await replies;
  }
});

withServer('all subscribers see one order, and each publisher keeps its own', async (t, server) => {
  const messages = 300;
  const publishers = 6;
  const clients = await Promise.all(
    Array.from({ length: 9 }, (_, index) =>
      subscriber(server, ...(index % 3 === 2 ? ['PSUBSCRIBE', 'chat*'] : ['SUBSCRIBE', 'chat'])),
    ),
  );
  await Promise.all(
    Array.from({ length: publishers }, async (_, index) => {
      const client = server.client();
      for (let message = 0; message < messages; message += 10) {
        const pipeline = client.pipeline();
        for (let count = 0; count < 10; count++) pipeline.publish('chat', `${index}:${message + count}`);
        await pipeline.exec();
      }
    }),
  );
  const orders = await Promise.all(
    clients.map(async (client) => {
      const replies = await client.readMany(messages * publishers);
      return replies.map((reply) => messageOf(reply).at(-1));
    }),
  );
  for (const order of orders) t.equal(order.join(), orders[0]!.join());
  for (let index = 0; index < publishers; index++) {
    const own = orders[0]!.filter((message) => message!.startsWith(`${index}:`));
    t.equal(own.join(), Array.from({ length: messages }, (_, message) => `${index}:${message}`).join());
  }
});

withServer('who gets the message of a transaction sees its changes', async (t, server) => {
  const control = server.client();
  const clients = await Promise.all(
    Array.from({ length: 6 }, () => subscriber(server, 'SUBSCRIBE', 'changed')),
  );
  const readers = clients.map(() => server.client());
  for (let round = 1; round <= 40; round++) {
    const sent = control.multi().publish('changed', String(round)).set('k', round).exec();
    await Promise.all(
      clients.map(async (client, index) => {
        t.equal(messageOf(await client.read())[2], String(round));
        t.equal(await readers[index]!.get('k'), String(round));
      }),
    );
    await sent;
  }
});

withServer('the restricted mode of RESP2, RESET and QUIT', async (t, server) => {
  const client = await subscriber(server, 'SUBSCRIBE', 'a');
  t.match(await client.text('GET', 'k'), /^-ERR Can't execute 'get'/);
  t.equal(await client.text('PING'), '*2\r\n$4\r\npong\r\n$0\r\n\r\n');
  t.equal(await client.text('PING', 'x'), '*2\r\n$4\r\npong\r\n$1\r\nx\r\n');
  t.equal(await client.text('RESET'), '+RESET\r\n');
  t.equal(await server.client().publish('a', 'x'), 0);
  t.equal(await client.text('PING'), '+PONG\r\n');
  await client.command('HELLO', '3');
  client.send('SUBSCRIBE', 'a');
  t.equal(await client.text('SET', 'k', 'v'), '+OK\r\n', 'with RESP3 all commands are there');
  t.equal(await client.text('PUBLISH', 'a', 'to itself'), ':1\r\n');
  t.equal(client.pushes.length, 2);
  t.equal(await client.text('QUIT'), '+OK\r\n');
  await client.closed;
});

withServer('CLIENT REPLY does not silence what subscribing pushes', async (t, server) => {
  const client = await server.rawClient();
  client.send('CLIENT', 'REPLY', 'OFF');
  client.send('SUBSCRIBE', 'a');
  t.same(messageOf(await client.read()).slice(0, 2), ['subscribe', 'a']);
  await server.client().publish('a', 'x');
  t.same(messageOf(await client.read()), ['message', 'a', 'x']);
});

await withServers(t, 'who does not keep up is closed, and nobody else', {}, async (t, server) => {
  const control = server.client();
  const payload = 'x'.repeat(64 * 1024);
  await control.config('SET', 'client-output-buffer-limit', 'pubsub 8mb 0 0');
  const quick = await subscriber(server, 'SUBSCRIBE', 'flood');
  const slow = await subscriber(server, 'SUBSCRIBE', 'flood');
  slow.socket.pause();
  let received = 0;
  let sent = 0;
  while ((await control.publish('flood', payload)) > 1 || sent < 50) {
    sent++;
    await quick.read();
    received++;
    if (sent > 5000) break;
  }
  sent++;
  await quick.read();
  received++;
  t.ok(sent < 5000, `closed after ${sent} messages`);
  t.equal(received, sent, 'the other one has got all');
  // The soft limit: more than 1 MB for 1 second.
  await control.config('SET', 'client-output-buffer-limit', 'pubsub 0 1mb 1');
  const lazy = await subscriber(server, 'SUBSCRIBE', 'flood');
  lazy.socket.pause();
  while ((await control.publish('flood', payload)) > 1) await quick.read();
  await quick.read();
  t.equal(await control.publish('flood', 'last'), 1);
  t.equal(messageOf(await quick.read())[2], 'last');
  t.equal(await control.call('DEBUG', 'VERIFY'), 'OK');
});

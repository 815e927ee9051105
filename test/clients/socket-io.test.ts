/** Socket.IO on several servers: what one of them sends reaches the clients of all, through pub/sub. */

import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createAdapter, createShardedAdapter } from '@socket.io/redis-adapter';
import { createClient } from 'redis';
import { Server } from 'socket.io';
import { io, type Socket } from 'socket.io-client';
import t, { type Test } from 'tap';
import { TestServer } from '../tools/server.js';

const NODES = 3;
const CLIENTS = 6;
const MESSAGES = 50;

type Adapter = ReturnType<typeof createAdapter> | ReturnType<typeof createShardedAdapter>;

async function talk(t: Test, makeAdapter: () => Promise<Adapter>): Promise<void> {
  const nodes: { http: HttpServer; sockets: Server }[] = [];
  for (let index = 0; index < NODES; index++) {
    const http = createServer();
    const sockets = new Server(http, { adapter: await makeAdapter() });
    sockets.on('connection', (socket) => {
      socket.on('enter', async (room: string, done: () => void) => {
        await socket.join(room);
        done();
      });
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    nodes.push({ http, sockets });
  }
  const clients: Socket[] = [];
  const received: string[][] = [];
  t.teardown(async () => {
    for (const client of clients) client.disconnect();
    await Promise.all(nodes.map(({ sockets }) => sockets.close()));
  });
  for (let index = 0; index < CLIENTS; index++) {
    const { port } = nodes[index % NODES]!.http.address() as AddressInfo;
    const client = io(`http://127.0.0.1:${port}`, { transports: ['websocket'] });
    const messages: string[] = [];
    client.on('message', (text: string) => messages.push(text));
    await new Promise<void>((resolve) => client.on('connect', resolve));
    await client.emitWithAck('enter', `room ${index % 2}`);
    clients.push(client);
    received.push(messages);
  }
  const [first] = nodes;
  // All nodes know each other once they answer for all clients.
  while ((await first!.sockets.fetchSockets().catch(() => [])).length < CLIENTS) await delay(20);
  for (let number = 0; number < MESSAGES; number++) {
    const { sockets } = nodes[number % NODES]!;
    sockets.emit('message', `all ${number}`);
    sockets.to('room 0').emit('message', `even ${number}`);
  }
  const wanted = (name: string) => Array.from({ length: MESSAGES }, (_, number) => `${name} ${number}`);
  for (const [index, messages] of received.entries()) {
    const all = index % 2 === 0 ? [...wanted('all'), ...wanted('even')] : wanted('all');
    while (messages.length < all.length) await delay(10);
    t.same([...messages].sort(), all.sort(), 'each once');
  }
}

t.test("Socket.IO's adapter", async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 4 });
  t.teardown(() => server.stop('SIGKILL'));
  const connect = async (protocol: 2 | 3) => {
    const client = createClient({ url: `redis://127.0.0.1:${server.port}`, RESP: protocol });
    client.on('error', () => {});
    await client.connect();
    // Not before it has unsubscribed.
    t.teardown(() => client.close());
    return client;
  };
  await t.test('with ioredis', (t) => talk(t, async () => createAdapter(server.client(), server.client())));
  await t.test('with node-redis', (t) =>
    talk(t, async () => createAdapter(await connect(2), await connect(2))),
  );
  await t.test('with sharded channels', (t) =>
    talk(t, async () => createShardedAdapter(await connect(3), await connect(3))),
  );
});

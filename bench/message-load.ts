/** Load that redis-benchmark can't make: messages that many subscribers get. */

import type net from 'node:net';
import { command, hasLines, LoadConnection, sampleOf } from './load-connection.js';
import type { Sample } from './workloads.js';

const CHANNEL = 'news';

export interface Audience {
  readonly subscribers: number;
  readonly publishers: number;
  /** How many messages a publisher sends at once. */
  readonly pipeline: number;
  readonly messageBytes: number;
}

/** A subscriber, and how many bytes it has got since it subscribed. */
class Subscriber {
  gotBytes = 0;

  constructor(readonly socket: net.Socket) {}

  static async open(port: number, onProgress: () => void): Promise<Subscriber> {
    const connection = await LoadConnection.open(port);
    await connection.send(command('SUBSCRIBE', CHANNEL), hasLines(6));
    const subscriber = new Subscriber(connection.socket);
    connection.socket.removeAllListeners('data');
    // Bytes are enough: a string of each would cost more than the server's work.
    (connection.socket as net.Socket).on('data', (chunk: string) => {
      subscriber.gotBytes += chunk.length;
      onProgress();
    });
    return subscriber;
  }
}

/** Publishes so many deliveries to all subscribers; what is measured is per delivery. A turn is a publisher's. */
export async function publish(
  audience: Audience,
  port: number,
  deliveries: number,
  cpuSeconds: () => number,
): Promise<Sample> {
  const perTurn = audience.subscribers * audience.publishers * audience.pipeline;
  const rounds = Math.max(1, Math.round(deliveries / perTurn));
  const message = command('message', CHANNEL, 'x'.repeat(audience.messageBytes));
  const expected = message.length * rounds * audience.publishers * audience.pipeline;
  let complete = 0;
  let allGot = (): void => {};
  const got = new Promise<void>((resolve) => {
    allGot = resolve;
  });
  const subscribers: Subscriber[] = [];
  for (let i = 0; i < audience.subscribers; i++) {
    const subscriber: Subscriber = await Subscriber.open(port, () => {
      if (subscriber.gotBytes === expected && ++complete === audience.subscribers) allGot();
    });
    subscribers.push(subscriber);
  }
  const publishers = await LoadConnection.openAll(port, audience.publishers);
  const request = command('PUBLISH', CHANNEL, 'x'.repeat(audience.messageBytes)).repeat(audience.pipeline);
  const sample = await sampleOf(rounds * perTurn, cpuSeconds, async (turns) => {
    const run = async (publisher: LoadConnection): Promise<void> => {
      for (let round = 0; round < rounds; round++) {
        const start = performance.now();
        await publisher.send(request, hasLines(audience.pipeline));
        turns.push(performance.now() - start);
      }
    };
    await Promise.all([got, ...publishers.map(run)]);
  });
  for (const { socket } of subscribers) socket.destroy();
  for (const publisher of publishers) publisher.close();
  return sample;
}

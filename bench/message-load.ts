/** Load that redis-benchmark can't make: messages that many subscribers get. */

import { Countdown, command, hasLines, LoadConnection, sampleOf } from './load-connection.js';
import type { Sample } from './workloads.js';

const CHANNEL = 'news';

export interface Audience {
  readonly subscribers: number;
  readonly publishers: number;
  /** How many messages a publisher sends at once. */
  readonly pipeline: number;
  readonly messageBytes: number;
}

/** Subscribes, and counts down when all that is expected has come. Bytes are enough: to parse them would cost more than the server's work. */
async function subscribe(
  connection: LoadConnection,
  expectedBytes: number,
  countdown: Countdown,
): Promise<void> {
  await connection.send(command('SUBSCRIBE', CHANNEL), hasLines(6));
  let leftBytes = expectedBytes;
  connection.onUnasked = (lengthBytes) => {
    leftBytes -= lengthBytes;
    if (leftBytes === 0) countdown.count();
  };
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
  const complete = new Countdown(audience.subscribers);
  const subscribers = await LoadConnection.openAll(port, audience.subscribers);
  for (const subscriber of subscribers) await subscribe(subscriber, expected, complete);
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
    await Promise.all([complete.over, ...publishers.map(run)]);
  });
  for (const connection of [...subscribers, ...publishers]) connection.close();
  return sample;
}

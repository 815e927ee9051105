/** What a worker has for publishing and subscribing. */

import type { Gate } from '../keyspace/gate.js';
import type { ChannelRegistry } from '../pubsub/channel-registry.js';
import { Publisher } from '../pubsub/publisher.js';
import { type MessageOutput, Subscriptions } from '../pubsub/subscriptions.js';
import type { ProcessState } from '../state/process-state.js';
import { Notices } from './notices.js';
import type { Session } from './session.js';

export interface Messaging {
  readonly subscriptions: Subscriptions<Session>;
  readonly publisher: Publisher<Session>;
  readonly notices: Notices;
}

export function createMessaging(
  registry: ChannelRegistry,
  output: MessageOutput<Session>,
  state: ProcessState,
  gate: Gate,
  worker: number,
  workerCount: number,
): Messaging {
  const subscriptions = new Subscriptions(registry, worker, output);
  const publisher = new Publisher(registry, subscriptions, state.mail, state.outbox, worker, workerCount);
  return { subscriptions, publisher, notices: new Notices(gate, publisher) };
}

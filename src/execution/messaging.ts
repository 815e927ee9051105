/** What a worker has for publishing and subscribing. */

import type { Gate } from '../keyspace/gate.js';
import type { ChannelRegistry } from '../pubsub/channel-registry.js';
import { Invalidations } from '../pubsub/invalidations.js';
import { Publisher } from '../pubsub/publisher.js';
import { type MessageOutput, Subscriptions } from '../pubsub/subscriptions.js';
import type { ProcessState } from '../state/process-state.js';
import { Notices } from './notices.js';
import type { Session } from './session.js';

export interface Messaging {
  readonly subscriptions: Subscriptions<Session>;
  readonly publisher: Publisher<Session>;
  readonly notices: Notices;
  readonly invalidations: Invalidations<Session>;
}

export function createMessaging(
  registry: ChannelRegistry,
  output: MessageOutput<Session>,
  state: ProcessState,
  gate: Gate,
  worker: number,
  workerCount: number,
  find: (id: number) => Session | undefined,
): Messaging {
  const subscriptions = new Subscriptions(registry, worker, output);
  const publisher = new Publisher(registry, subscriptions, state.mail, state.outbox, worker, workerCount);
  const { mail, outbox, clients, control } = state;
  const invalidations = new Invalidations<Session>({
    registry,
    subscriptions,
    clients,
    control,
    mail,
    outbox,
    worker,
    workerCount,
    find,
  });
  return { subscriptions, publisher, invalidations, notices: new Notices(gate, publisher, invalidations) };
}

/**
 * A chat: members publish numbered messages to rooms, listeners check that of each member they get every number once and in
 * order, from the moment when they have subscribed to the moment when they have left, and that all listeners of a room
 * get one order. The sum of what PUBLISH replies is the number of messages that were received, but for those who came or went meanwhile.
 */

import { again, type Load, openIoredis, openNodeRedis, pause } from './part.js';

const ROOMS = Array.from({ length: 6 }, (_, index) => `room:${index}`);
/** Their listeners leave without a word, so nobody knows how many have got a message. */
const ROUGH_ROOMS = ['rough:0', 'rough:1'];
const MEMBERS = 6;
const STEADY_LISTENERS = 4;
const PASSING_LISTENERS = 6;
const ROUGH_LISTENERS = 2;
const LONG_TEXT = 'x'.repeat(20_000);

type Receive = (room: string, message: string) => void;

interface Listener {
  subscribe(room: string): Promise<unknown>;
  subscribeAll(): Promise<unknown>;
  unsubscribe(): Promise<unknown>;
  leave(): void;
}

interface Publisher {
  publish(room: string, message: string): Promise<number>;
  leave(): Promise<unknown>;
}

async function openListener(load: Load, receive: Receive): Promise<Listener> {
  const { port, random } = load;
  const choice = random.below(3);
  if (choice === 0) {
    const client = openIoredis(port, { protocol: random.chance(0.5) ? 2 : 3 });
    let hasPattern = false;
    client.on('message', receive);
    client.on('pmessage', (_pattern: string, room: string, message: string) => receive(room, message));
    return {
      subscribe: (room) => client.subscribe(room),
      subscribeAll: () => {
        hasPattern = true;
        return client.psubscribe('room:*');
      },
      // ioredis does not get over a reply to UNSUBSCRIBE that says that nothing was subscribed.
      unsubscribe: () => (hasPattern ? client.punsubscribe() : client.unsubscribe()),
      leave: () => client.disconnect(),
    };
  }
  const client = await openNodeRedis(load, choice === 1 ? 2 : 3);
  const take = (message: string, room: string) => receive(room, message);
  return {
    subscribe: (room) => client.subscribe(room, take),
    subscribeAll: () => client.pSubscribe('room:*', take),
    unsubscribe: () => Promise.all([client.unsubscribe(), client.pUnsubscribe()]),
    leave: () => client.destroy(),
  };
}

async function openPublisher(load: Load): Promise<Publisher> {
  const { port, random } = load;
  if (random.chance(0.5)) {
    const client = openIoredis(port);
    return { publish: (room, message) => client.publish(room, message), leave: () => client.quit() };
  }
  const client = await openNodeRedis(load, random.chance(0.5) ? 2 : 3);
  return { publish: (room, message) => client.publish(room, message), leave: () => client.close() };
}

/** The numbers of one member's messages in one room. */
interface Sent {
  begun: number;
  replied: number;
}

/** The order of a room's messages, as the first of its steady listeners has seen each. */
class RoomOrder {
  private readonly messages: string[] = [];
  private readonly positions: number[] = [];
  private trimmed = 0;

  /** A listener that gets all messages of the room; returns its number. */
  join(): number {
    return this.positions.push(0) - 1;
  }

  /** Whether a listener gets this message next, as the others have. */
  agrees(listener: number, message: string): boolean {
    const at = this.positions[listener]!++ - this.trimmed;
    if (at === this.messages.length) this.messages.push(message);
    const isSame = this.messages[at] === message;
    const done = Math.min(...this.positions) - this.trimmed;
    if (done >= 1000) {
      this.messages.splice(0, done);
      this.trimmed += done;
    }
    return isSame;
  }
}

export class Chat {
  private readonly load: Load;
  private readonly sent = new Map<string, Sent>();
  private readonly orders = new Map(ROOMS.map((room) => [room, new RoomOrder()]));
  private published = 0;
  private promised = 0;
  private received = 0;
  private listeners = 0;
  private steadyListening = 0;
  private arePublishing = MEMBERS;

  constructor(load: Load) {
    this.load = load;
    for (let member = 0; member < MEMBERS; member++) {
      for (const room of [...ROOMS, ...ROUGH_ROOMS])
        this.sent.set(`${room} ${member}`, { begun: 0, replied: 0 });
    }
  }

  async run(): Promise<void> {
    const { load } = this;
    const steady = Array.from({ length: STEADY_LISTENERS }, () => this.listenSteadily());
    while (this.steadyListening < STEADY_LISTENERS) await pause(load, 10);
    const times = <T>(count: number, body: (index: number) => T): T[] =>
      Array.from({ length: count }, (_, index) => body(index));
    await Promise.all([
      ...times(MEMBERS, (member) => this.talk(member)),
      ...times(PASSING_LISTENERS, () => again(load, () => this.listenForAWhile())),
      ...times(ROUGH_LISTENERS, () => again(load, () => this.listenAndVanish())),
      ...steady,
    ]);
    // Who comes or goes while a message is published may be counted and get none, or the other way round.
    if (Math.abs(this.promised - this.received) > 8 * this.listeners)
      load.found(
        `chat: PUBLISH has replied ${this.promised} receivers in all, ${this.received} messages came`,
      );
  }

  report(): string {
    return `chat: ${this.published} published, ${this.received} received by ${this.listeners} listeners`;
  }

  private async talk(member: number): Promise<void> {
    const { load } = this;
    const { random } = load;
    await again(load, async () => {
      const publisher = await openPublisher(load);
      for (let bursts = random.between(1, 100); bursts > 0 && !load.isOver(); bursts--) {
        await Promise.all(
          Array.from({ length: random.between(1, 8) }, () =>
            this.publish(publisher, member, random.pick(ROOMS)),
          ),
        );
        if (random.chance(0.2)) await this.publish(publisher, member, random.pick(ROUGH_ROOMS));
        await pause(load, 30);
      }
      await publisher.leave();
    });
    this.arePublishing--;
  }

  private async publish(publisher: Publisher, member: number, room: string): Promise<void> {
    const sent = this.sent.get(`${room} ${member}`)!;
    const number = ++sent.begun;
    const text = this.load.random.chance(0.02) ? LONG_TEXT : 'hello';
    const receivers = await publisher.publish(room, `${member}:${number}:${text}`);
    sent.replied = Math.max(sent.replied, number);
    this.published++;
    if (!ROUGH_ROOMS.includes(room)) this.promised += receivers;
  }

  /** Listens to all rooms until all is said. */
  private async listenSteadily(): Promise<void> {
    const orders = new Map(ROOMS.map((room) => [room, this.orders.get(room)!.join()]));
    await this.listen(
      async (listener) => {
        if (this.load.random.chance(0.5)) await listener.subscribeAll();
        else for (const room of ROOMS) await listener.subscribe(room);
      },
      ROOMS,
      async () => {
        this.steadyListening++;
        while (this.arePublishing > 0) await pause(this.load, 20);
      },
      (room, message) => {
        if (!this.orders.get(room)!.agrees(orders.get(room)!, message))
          this.load.found(
            `chat: a listener of ${room} gets ${message.slice(0, 20)} where another got something else`,
          );
      },
    );
  }

  private async listenForAWhile(): Promise<void> {
    const { random } = this.load;
    const rooms = random.shuffle([...ROOMS]).slice(0, random.between(1, 3));
    await this.listen(
      (listener) => Promise.all(rooms.map((room) => listener.subscribe(room))),
      rooms,
      () => pause(this.load, 2000),
    );
  }

  private async listen(
    subscribe: (listener: Listener) => Promise<unknown>,
    rooms: readonly string[],
    stay: () => Promise<void>,
    also: Receive = () => {},
  ): Promise<void> {
    const last = new Map<string, number>();
    const first = new Map<string, number>();
    const receive: Receive = (room, message) => {
      this.received++;
      const [member, number] = message.split(':');
      const source = `${room} ${member}`;
      const before = last.get(source);
      if (before === undefined) first.set(source, Number(number));
      else if (Number(number) !== before + 1) this.load.found(`chat: ${source}: ${number} after ${before}`);
      last.set(source, Number(number));
      also(room, message);
    };
    const listener = await openListener(this.load, receive);
    await subscribe(listener);
    this.listeners++;
    const sources = [...this.sent].filter(([source]) => rooms.includes(source.split(' ')[0]!));
    const atStart = new Map(sources.map(([source, { begun }]) => [source, begun]));
    await stay();
    const atEnd = new Map(sources.map(([source, { replied }]) => [source, replied]));
    await listener.unsubscribe();
    for (const [source, begun] of atStart) {
      const firstNumber = first.get(source) ?? Number.POSITIVE_INFINITY;
      const wanted = atEnd.get(source)!;
      if (wanted > begun && firstNumber > begun + 1)
        this.load.found(
          `chat: ${source}: ${firstNumber} came first, ${begun + 1} was sent after the subscription`,
        );
      if (wanted > begun && (last.get(source) ?? 0) < wanted)
        this.load.found(`chat: ${source}: ${last.get(source)} came last, ${wanted} was sent before the end`);
    }
    listener.leave();
  }

  /** Leaves in the midst of messages. */
  private async listenAndVanish(): Promise<void> {
    const last = new Map<string, number>();
    const listener = await openListener(this.load, (room, message) => {
      const [member, number] = message.split(':');
      const source = `${room} ${member}`;
      const before = last.get(source);
      if (before !== undefined && Number(number) !== before + 1)
        this.load.found(`chat: ${source}: ${number} after ${before}`);
      last.set(source, Number(number));
    });
    for (const room of ROUGH_ROOMS) await listener.subscribe(room);
    await pause(this.load, 1000);
    listener.leave();
  }
}

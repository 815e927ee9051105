/** Replication over TLS, to redis-server and to Damselfly: full syncs, cut links, values of many records. */

import t from 'tap';
import { Authority, skipWithoutOpenSsl } from '../tools/certificates.js';
import { fillRandomly } from '../tools/dataset.js';
import { freePort } from '../tools/free-port.js';
import { Random } from '../tools/random.js';
import { type ServerKind, skipWithoutRedis } from '../tools/server.js';
import { compare, endHistory, info, start, untilLinked, writeRandomly } from './pairs.js';

t.setTimeout(0);

if (skipWithoutOpenSsl() || skipWithoutRedis()) {
  t.pass('the openssl command or redis-server is not installed');
  process.exit(0);
}
const authority = new Authority();
const identity = authority.sign('server');
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
const random = new Random(seed);
t.comment(`seed ${seed}`);

const PAIRS: readonly {
  readonly to: ServerKind;
  readonly isDiskless: 'yes' | 'no';
  readonly transport: string;
  readonly protocol: string;
}[] = [
  { to: 'redis', isDiskless: 'yes', transport: 'io_uring', protocol: 'TLSv1.3' },
  { to: 'damselfly', isDiskless: 'no', transport: 'epoll', protocol: 'TLSv1.2' },
];

for (const { to, isDiskless, transport, protocol } of PAIRS) {
  await t.test(`damselfly to ${to}, ${protocol}, diskless ${isDiskless}`, async (t) => {
    const [fromPort, toPort] = [await freePort(), await freePort()];
    const primary = await start('damselfly', {
      ...authority.directives(identity, fromPort),
      transport,
      'tls-protocols': protocol,
      'repl-diskless-sync': isDiskless,
      // A PING between the two commands that change the roles would be a history of its own.
      'repl-ping-replica-period': 3600,
    });
    const replica = await start(to, {
      ...authority.directives(identity, toPort),
      'tls-replication': 'yes',
    });
    t.teardown(() => Promise.all([primary.stop(), replica.stop()]));
    const there = primary.client();
    const here = replica.client();
    await fillRandomly(there, random, 40, ['string', 'list', 'set', 'zset', 'hash', 'stream']);
    await there.set('large', Buffer.alloc(3_000_000, 'large'));
    let isOver = false;
    const writing = writeRandomly(primary.client(), random, () => isOver);
    await here.call('REPLICAOF', '127.0.0.1', String(fromPort));
    await untilLinked(here);
    for (let cut = 0; cut < 2; cut++) {
      await there.append('large', Buffer.alloc(200_000, 'x'));
      await there.call('CLIENT', 'KILL', 'TYPE', 'replica');
      await untilLinked(here);
    }
    isOver = true;
    await writing;
    t.same(await compare(there, here), []);
    t.equal((await info(there, 'stats')).get('sync_full'), '1', 'cut links need no other full sync');
    t.ok(Number((await info(there, 'stats')).get('sync_partial_ok')) > 0);
    await there.set('last', '1');
    t.equal(await there.wait(1, 10_000), 1);
    t.equal(await here.get('last'), '1');
    const [, , replicas] = (await there.call('ROLE')) as [string, number, [string, string, string][]];
    t.match(replicas, [['127.0.0.1', String(toPort), /^\d+$/]], 'the port with TLS is announced');
    t.match(await there.call('CLIENT', 'LIST', 'TYPE', 'replica'), new RegExp(` flags=S .* tls=${protocol}`));
    if (to === 'damselfly') {
      // The roles change, and the link with them.
      await there.config('SET', 'tls-replication', 'yes');
      await endHistory(there, here);
      await here.call('REPLICAOF', 'NO', 'ONE');
      await there.call('REPLICAOF', '127.0.0.1', String(toPort));
      await untilLinked(there);
      await here.set('last', '2');
      t.same(await compare(here, there), []);
      t.equal((await info(here, 'stats')).get('sync_partial_ok'), '1');
    }
  });
}

import t from 'tap';
import { AccessLog, type Denial, DenialContext } from '../../src/state/access-log.js';

const denial = (object: string, user = 'u'): Denial => ({
  reason: 'command',
  context: DenialContext.TopLevel,
  object,
  user,
  client: `id=1 cmd=${object}`,
});

t.test('entries', async (t) => {
  const log = new AccessLog(AccessLog.create(1 << 20));
  log.add(denial('get'), 1000, 10);
  log.add(denial('set'), 2000, 10);
  log.add({ ...denial('get'), client: 'id=2' }, 3000, 10);
  t.same(
    log
      .get(10)
      .map(({ object, count, createdMs, updatedMs, id, client }) => [
        object,
        count,
        createdMs,
        updatedMs,
        id,
        client,
      ]),
    [
      ['get', 2, 1000, 3000, 0, 'id=2'],
      ['set', 1, 2000, 2000, 1, 'id=1 cmd=set'],
    ],
    'the same again counts, and comes first',
  );
  log.add(denial('get'), 100_000, 10);
  log.add(denial('get', 'v'), 100_000, 10);
  log.add({ ...denial('get'), context: DenialContext.Multi }, 100_000, 10);
  log.add({ ...denial('get'), reason: 'key' }, 100_000, 10);
  t.equal(log.get(10).length, 6, 'later, of another user, in another context, for another reason');
  t.equal(log.get(2).length, 2);
  log.verify();
  log.reset();
  t.same(log.get(10), []);
  log.verify();
});

t.test('bounds', async (t) => {
  const log = new AccessLog(AccessLog.create(1 << 20));
  for (let index = 0; index < 100; index++) log.add(denial(`c${index}`), 0, 5);
  t.same(
    log.get(100).map(({ object }) => object),
    ['c99', 'c98', 'c97', 'c96', 'c95'],
  );
  log.add(denial('c0'), 0, 0);
  t.same(log.get(100), []);
  for (let index = 0; index < 2000; index++) log.add(denial(`${index}:${'x'.repeat(10_000)}`), 0, 1_000_000);
  const entries = log.get(1_000_000);
  t.ok(entries.length > 50 && entries.length < 300, 'what there is no room for is forgotten');
  t.equal(entries[0]!.object.length, 4096, 'a long name is cut');
  t.match(entries[0]!.object, /^1999:/);
  log.reset();
  log.verify();
});

import t from 'tap';
import { Attention } from '../../src/memory/attention.js';
import { type NewLines, SharedLines } from '../../src/state/shared-lines.js';

t.test('lines come to whoever has not read them', async (t) => {
  const handle = SharedLines.create(1 << 20, Attention.create(1));
  const writer = new SharedLines(handle);
  const reader = new SharedLines(handle);
  t.equal(reader.read(), null);
  t.ok(writer.replace(['a', 'b']));
  t.same(reader.read(), { isAll: true, lines: ['a', 'b'] });
  t.equal(reader.read(), null);
  const taken: NewLines[] = [];
  const append = (lines: SharedLines, ...added: string[]): boolean =>
    lines.update(
      (news) => taken.push(news),
      () => added,
      () => ['all'],
    );
  t.ok(append(writer, 'c'));
  t.ok(append(reader, 'd'));
  t.same(taken, [{ isAll: false, lines: ['c'] }], 'who changes takes over what others have changed');
  t.same(writer.read(), { isAll: false, lines: ['d'] });
  t.same(new SharedLines(handle).read(), { isAll: true, lines: ['a', 'b', 'c', 'd'] });
  t.same(writer.readAgain(), { isAll: true, lines: ['a', 'b', 'c', 'd'] });
  t.ok(
    reader.update(
      () => {},
      () => null,
      () => [],
    ),
  );
  t.equal(writer.read(), null, 'nothing was changed');
});

t.test('many changes', async (t) => {
  const handle = SharedLines.create(1 << 20, Attention.create(1));
  const writer = new SharedLines(handle);
  const reader = new SharedLines(handle);
  writer.replace(['first']);
  let rewrites = 0;
  for (let index = 0; index < 1000; index++) {
    writer.update(
      () => t.fail('nobody else writes'),
      () => ['x'.repeat(1000)],
      () => {
        rewrites++;
        return [`all ${index}`];
      },
    );
  }
  t.ok(rewrites >= 2, 'all is written anew now and then');
  t.equal(reader.read()?.isAll, true);
  const before = writer.version;
  t.notOk(
    writer.update(
      () => {},
      () => ['x'.repeat(1 << 20)],
      () => ['x'.repeat(1 << 20)],
    ),
    'there is no room',
  );
  t.equal(writer.version, before);
});

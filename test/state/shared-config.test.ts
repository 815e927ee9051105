import t from 'tap';
import { Attention } from '../../src/memory/attention.js';
import { SharedConfig } from '../../src/state/shared-config.js';

t.test('readers get a new text once', async (t) => {
  const handle = SharedConfig.create(Attention.create(1));
  const writer = new SharedConfig(handle);
  const reader = new SharedConfig(handle);
  t.equal(reader.readIfNewer(0), null);
  t.equal(writer.publish('{"a":"é"}'), 1);
  t.same(reader.readIfNewer(0), { version: 1, json: '{"a":"é"}' });
  t.equal(reader.readIfNewer(1), null);
  t.equal(
    writer.update((json) => json.replace('é', 'longer than before')),
    2,
  );
  t.same(reader.readIfNewer(1), { version: 2, json: '{"a":"longer than before"}' });
  writer.publish('{}');
  t.same(reader.readIfNewer(2), { version: 3, json: '{}' });
  t.throws(() => writer.publish('x'.repeat(5 << 20)), RangeError);
  t.same(reader.readIfNewer(0), { version: 3, json: '{}' });
});

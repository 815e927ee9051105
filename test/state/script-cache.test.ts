import t from 'tap';
import { ScriptCache } from '../../src/state/script-cache.js';

const sha = (number: number): Int32Array => Int32Array.of(number * 4096 + (number % 7), number, 1, 2, 3);
const source = (number: number): Uint8Array => Buffer.from(`return ${number}`);

t.test('scripts are found in any thread until they are flushed', async (t) => {
  const handle = ScriptCache.create(1 << 20);
  const [one, two] = [new ScriptCache(handle), new ScriptCache(handle)];
  for (let number = 0; number < 300; number++) t.equal(one.add(sha(number), source(number), false), -1);
  for (let number = 0; number < 300; number++) t.same(two.source(sha(number)), source(number));
  t.equal(two.find(sha(300)), -2);
  t.equal(two.source(sha(300)), null);
  t.equal(two.count, 300);
  const { generation } = one;
  two.flush();
  t.not(one.generation, generation);
  t.equal(one.count, 0);
  t.equal(one.usedBytes, 0);
  t.equal(one.find(sha(1)), -2);
});

t.test('scripts of EVAL are evicted in the order of their last use', async (t) => {
  const cache = new ScriptCache(ScriptCache.create(4 << 20));
  cache.add(sha(9999), source(9999), false);
  const places = Array.from({ length: 500 }, (_, number) => cache.add(sha(number), source(number), true));
  t.ok(places.every((place) => place >= 0));
  cache.noteUse(places[0]!);
  t.equal(cache.add(sha(1), source(1), false), -1, 'it is loaded now');
  for (let number = 500; number < 503; number++) cache.add(sha(number), source(number), true);
  const gone = [0, 1, 2, 3, 4].filter((number) => cache.find(sha(number)) === -2);
  t.same(gone, [2, 3]);
  t.equal(cache.evictedCount, 2);
  t.equal(cache.count, 502);
  t.equal(cache.find(sha(9999)), -1);
});

t.test('a use is newer than the scripts that were added before it, however soon it comes', async (t) => {
  const cache = new ScriptCache(ScriptCache.create(4 << 20));
  const add = (number: number): void => cache.noteUse(cache.add(sha(number), source(number), true));
  const isThere = (number: number): boolean => cache.find(sha(number)) !== -2;
  for (let number = 1; number <= 500; number++) add(number);
  for (const number of [1, 2]) cache.noteUse(cache.find(sha(number)));
  for (let number = 501; number <= 997; number++) add(number);
  t.same([1, 2, 3, 499, 500].filter(isThere), [1, 2, 500]);
  t.equal(cache.count, 500);
});

t.test('a full memory takes nothing more', async (t) => {
  const cache = new ScriptCache(ScriptCache.create(1 << 20));
  const large = new Uint8Array(200_000);
  let added = 0;
  while (added < 20 && cache.add(sha(added), large, false) !== -2) added++;
  t.ok(added > 0 && added < 6);
  cache.flush();
  t.equal(cache.add(sha(0), large, false), -1);
});

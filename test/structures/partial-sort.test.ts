import t from 'tap';
import { sortPartially, sortStably } from '../../src/structures/partial-sort.js';
import { Random } from '../tools/random.js';

const SEED = Date.now() % 1_000_000;

/** Keys of elements: random, all alike, ascending, descending, or few different ones. */
function randomKeys(random: Random, length: number): Float64Array {
  const kind = random.below(5);
  return Float64Array.from({ length }, (_, index) => {
    if (kind === 0) return random.uint32();
    if (kind === 1) return 7;
    if (kind === 2) return index;
    return kind === 3 ? -index : random.below(5);
  });
}

t.test('all are sorted, and equal ones keep their order', async (t) => {
  const random = new Random(SEED);
  let wrong = 0;
  for (let round = 0; round < 1000; round++) {
    const length = random.below(round < 100 ? 12 : 200);
    const keys = randomKeys(random, length);
    const elements = Int32Array.from({ length: length + 5 }, (_, index) => index);
    sortStably(elements, length, (left, right) => keys[left]! - keys[right]!);
    const expected = Array.from(keys.keys()).sort(
      (left, right) => keys[left]! - keys[right]! || left - right,
    );
    expected.push(length, length + 1, length + 2, length + 3, length + 4);
    if (elements.join() !== expected.join()) wrong++;
  }
  t.equal(wrong, 0, `seed ${SEED}`);
});

t.test('the lowest are in front, sorted, and nothing is lost', async (t) => {
  const random = new Random(SEED);
  let wrong = 0;
  for (let round = 0; round < 2000; round++) {
    const length = random.between(1, round < 100 ? 12 : 300);
    const wanted = random.between(1, length);
    const keys = randomKeys(random, length);
    const elements = Int32Array.from({ length }, (_, index) => index);
    let comparisons = 0;
    sortPartially(elements, length, wanted, (left, right) => {
      comparisons++;
      return keys[left]! - keys[right]!;
    });
    const sorted = Float64Array.from(keys).sort();
    for (let index = 0; index < wanted; index++) if (keys[elements[index]!] !== sorted[index]) wrong++;
    if (new Set(elements).size !== length) wrong++;
    if (comparisons > 40 * length) wrong++;
  }
  t.equal(wrong, 0, `seed ${SEED}`);
});

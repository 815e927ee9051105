/** The heap of deadlines against a plain list. */

import t from 'tap';
import { type Deadline, Deadlines } from '../../src/execution/deadlines.js';
import { Random } from '../tools/random.js';

t.test('random steps', async (t) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const deadlines = new Deadlines<Deadline>();
  const known: Deadline[] = [];
  let nowMs = 0;
  t.equal(deadlines.nextMs, Number.POSITIVE_INFINITY);
  for (let step = 0; step < 20_000; step++) {
    const choice = random.below(100);
    if (choice < 50) {
      const item = { deadlineMs: nowMs + random.below(random.pick([3, 1000])), heapIndex: -1 };
      deadlines.add(item);
      known.push(item);
    } else if (choice < 80 && known.length > 0) {
      const [item] = known.splice(random.below(known.length), 1);
      deadlines.remove(item!);
      deadlines.remove(item!);
    } else {
      nowMs += random.below(40);
      let last = Number.NEGATIVE_INFINITY;
      for (let item = deadlines.takeDue(nowMs); item !== null; item = deadlines.takeDue(nowMs)) {
        if (item.deadlineMs > nowMs || item.deadlineMs < last) t.fail(`seed ${seed}: out of order`);
        last = item.deadlineMs;
        known.splice(known.indexOf(item), 1);
      }
      if (known.some(({ deadlineMs }) => deadlineMs <= nowMs)) t.fail(`seed ${seed}: one was left`);
    }
    const next = known.reduce((least, item) => Math.min(least, item.deadlineMs), Number.POSITIVE_INFINITY);
    if (deadlines.size !== known.length || deadlines.nextMs !== next) t.fail(`seed ${seed}: step ${step}`);
  }
  t.ok(nowMs > 0);
});

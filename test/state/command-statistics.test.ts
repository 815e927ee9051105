import t from 'tap';
import { InstantaneousMetric, ServerCounter, Statistics } from '../../src/state/command-statistics.js';

t.test('calls, errors and counters add up over workers', async (t) => {
  const handle = Statistics.create(2, 4);
  const statistics = new Statistics(handle);
  const [one, two] = new Statistics(handle).workers;
  one.recordCall(3, 1500);
  two.recordCall(3, 2600);
  two.recordCalls(3, 2, 4000);
  two.rejectedCalls[3]++;
  one.failedCalls[3] += 2;
  t.same(statistics.command(3), { calls: 4, microseconds: 8, rejectedCalls: 1, failedCalls: 2 });
  t.same(statistics.command(0), { calls: 0, microseconds: 0, rejectedCalls: 0, failedCalls: 0 });
  one.recordError('WRONGTYPE');
  one.recordError('ERR');
  two.recordError('ERR');
  t.same(
    [...statistics.errors()],
    [
      ['ERR', 2],
      ['WRONGTYPE', 1],
    ],
  );
  t.equal(statistics.total(ServerCounter.ErrorReplies), 3);
  one.keyspace[1] = 5;
  two.keyspace[1] = 6;
  t.equal(statistics.keyspaceTotal(1), 11);
  statistics.reset();
  t.equal(statistics.command(3).calls, 0);
  t.same([...statistics.errors()], []);
  t.equal(statistics.percentiles(3, [50]), null);
  one.recordError('ERR');
  t.same([...statistics.errors()], [['ERR', 1]]);
});

t.test('distinct errors are bounded', async (t) => {
  const statistics = new Statistics(Statistics.create(1, 1));
  for (let index = 0; index < 200; index++) statistics.workers[0].recordError(`E${index}`);
  t.equal(statistics.errors().size, 128);
  t.equal(statistics.total(ServerCounter.ErrorReplies), 200);
});

t.test('histograms and percentiles have the borders of two significant digits', async (t) => {
  const statistics = new Statistics(Statistics.create(1, 2));
  const [worker] = statistics.workers;
  t.equal(statistics.percentiles(1, [50]), null);
  worker.recordCall(1, 28_000);
  t.same(statistics.percentiles(1, [50, 99, 99.9]), [28.031, 28.031, 28.031]);
  worker.recordCall(1, 20_000);
  worker.recordCall(1, 74_000);
  t.same(statistics.percentiles(1, [0, 50, 99]), [20.095, 28.031, 74.239]);
  t.same(statistics.cumulativeHistogram(1), [
    [33, 2],
    [132, 3],
  ]);
  worker.recordCall(0, 0);
  worker.recordCall(0, 1000);
  worker.recordCall(0, 2e12);
  t.same(statistics.percentiles(0, [10, 50]), [0.001, 1.003]);
  t.same(statistics.cumulativeHistogram(0)[0], [1, 2]);
  t.equal(statistics.cumulativeHistogram(0).length, 2);
});

t.test('every value lies within one percent of its percentile', async (t) => {
  for (let value = 1; value < 1e9; value = Math.ceil(value * 1.37)) {
    const statistics = new Statistics(Statistics.create(1, 1));
    statistics.workers[0].recordCall(0, value);
    const [reported] = statistics.percentiles(0, [50]) ?? [];
    const ns = Math.round(reported * 1000);
    if (ns < value || ns - value > value / 100) t.fail(`${value} is reported as ${ns}`);
  }
});

t.test('rates are means of sixteen samples', async (t) => {
  const statistics = new Statistics(Statistics.create(2, 1));
  statistics.sample(1000);
  for (let sample = 1; sample <= 16; sample++) {
    statistics.workers[sample % 2].server[ServerCounter.CommandsProcessed] += 50;
    statistics.sample(1000 + sample * 100);
  }
  t.equal(statistics.instantaneous(InstantaneousMetric.Commands), 500);
  for (let sample = 17; sample <= 24; sample++) statistics.sample(1000 + sample * 100);
  t.equal(statistics.instantaneous(InstantaneousMetric.Commands), 250);
  t.equal(statistics.instantaneous(InstantaneousMetric.InputBytes), 0);
});

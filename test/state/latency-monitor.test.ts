import t from 'tap';
import { LATENCY_SAMPLES_MAX, LatencyMonitor, latencyFigures } from '../../src/state/latency-monitor.js';

t.test('one sample a second, the highest of it', async (t) => {
  const handle = LatencyMonitor.create();
  const monitor = new LatencyMonitor(handle);
  monitor.add('fast-command', 20, 9000);
  monitor.add('command', 300, 10_000);
  monitor.add('command', 500, 10_900);
  monitor.add('command', 400, 10_950);
  monitor.add('command', 100, 11_000);
  const reader = new LatencyMonitor(handle);
  t.same(reader.event('command'), {
    name: 'command',
    highestMs: 500,
    samples: [
      { timeSeconds: 10, latencyMs: 500 },
      { timeSeconds: 11, latencyMs: 100 },
    ],
  });
  t.same(
    reader.events().map((event) => event.name),
    ['command', 'fast-command'],
  );
  t.equal(reader.event('other'), null);
  t.equal(reader.reset(['command', 'other']), 1);
  t.equal(reader.event('command'), null);
  t.equal(reader.reset([]), 1);
  t.same(reader.events(), []);
  monitor.add('command', 7, 20_000);
  t.same(monitor.event('command')?.samples, [{ timeSeconds: 20, latencyMs: 7 }]);
});

t.test('the ring keeps the last 160 samples; kinds are bounded', async (t) => {
  const monitor = new LatencyMonitor(LatencyMonitor.create());
  for (let second = 1; second <= 200; second++) monitor.add('command', second, second * 1000);
  const event = monitor.event('command');
  t.equal(event?.samples.length, LATENCY_SAMPLES_MAX);
  t.same(event?.samples[0], { timeSeconds: 41, latencyMs: 41 });
  t.same(event?.samples[159], { timeSeconds: 200, latencyMs: 200 });
  for (let kind = 0; kind < 40; kind++) monitor.add(`event-${kind}`, 1, 1000);
  t.equal(monitor.events().length, 32);
});

t.test('figures', async (t) => {
  const monitor = new LatencyMonitor(LatencyMonitor.create());
  monitor.add('command', 100, 1000);
  monitor.add('command', 200, 2000);
  monitor.add('command', 300, 5000);
  const event = monitor.event('command');
  t.same(event && latencyFigures(event, 10_000), {
    averageMs: 200,
    minMs: 100,
    maxMs: 300,
    meanDeviationMs: 66,
    periodSeconds: 3,
  });
});

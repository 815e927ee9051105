/** What /proc/stat says of how busy processors are. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ProcessorLoad } from '../../src/network/processor-load.js';

t.test('the part of the time that was idle since the last look', async (t) => {
  const path = join(t.testdir(), 'stat');
  const write = (line: string) => writeFileSync(path, `${line}\ncpu0 1 2 3\n`);
  const load = new ProcessorLoad(path);
  write('cpu  1000 0 500 4000 100 0 10 90 7 0');
  t.equal(load.idleRatio(0), 1);
  write('cpu  1060 0 510 4020 110 0 10 90 9 0');
  t.equal(load.idleRatio(100), 1, 'not again so soon');
  t.equal(load.idleRatio(200), 0.3);
  write('cpu  1060 0 510 4120 110 0 10 90 9 0');
  t.equal(load.idleRatio(400), 1);
});

t.test('all of it where there is no such file, or one of another kind', async (t) => {
  const directory = t.testdir({ stat: 'something else\n' });
  for (const name of ['none', 'stat']) {
    const load = new ProcessorLoad(join(directory, name));
    t.equal(load.idleRatio(0), 1);
    t.equal(load.idleRatio(1000), 1);
  }
});

t.test(
  'of this machine',
  { skip: process.platform !== 'linux' && 'only Linux has /proc/stat' },
  async (t) => {
    const load = new ProcessorLoad();
    load.idleRatio(0);
    const until = Date.now() + 50;
    while (Date.now() < until);
    const ratio = load.idleRatio(1000);
    t.ok(ratio >= 0 && ratio < 1, `idle for ${ratio} of the time`);
  },
);

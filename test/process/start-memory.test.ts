/** Memory that only the start has needed. */

import { readFileSync } from 'node:fs';
import t from 'tap';
import { giveBackStartMemory, unwrittenMappings } from '../../src/process/start-memory.js';
import { type Libc, loadLibc } from '../../src/system/libc.js';

const SMAPS = `00400000-00c00000 r--p 00000000 fe:00 12 /usr/bin/node
Size:               8192 kB
Rss:                6000 kB
Anonymous:             0 kB
00c00000-02000000 r-xp 00800000 fe:00 12 /usr/bin/node
Rss:               12000 kB
Anonymous:             0 kB
02000000-02100000 r--p 01c00000 fe:00 12 /usr/bin/node
Rss:                 100 kB
Anonymous:             8 kB
02100000-02200000 rw-p 01d00000 fe:00 12 /usr/bin/node
Rss:                 100 kB
Anonymous:             0 kB
7f0000000000-7f0000100000 r-xp 00000000 00:00 0 [vdso]
Rss:                 100 kB
Anonymous:             0 kB
7f0000200000-7f0000300000 r-xp 00000000 fe:00 14 /usr/lib/libc.so.6
Rss:                 100 kB
Anonymous:             0 kB
7f0000300000-7f0000400000 r--p 00000000 00:00 0 
Rss:                 100 kB
Anonymous:             0 kB
7f0000400000-7f0000500000 r-xp 00000000 fe:00 12 /usr/bin/node
Rss:                   0 kB
Anonymous:             0 kB
`;

t.test('only what comes back as it was may go', async (t) => {
  t.same(unwrittenMappings(SMAPS), [
    { address: 0x400000, lengthBytes: 0x800000 },
    { address: 0xc00000, lengthBytes: 0x1400000 },
    { address: 0x7f0000200000, lengthBytes: 0x100000 },
  ]);
});

const libc = process.platform === 'linux' ? loadLibc() : null;
t.test('less is resident afterwards, and the code still runs', { skip: libc === null }, async (t) => {
  const residentKib = (): number =>
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))![1]);
  const before = residentKib();
  giveBackStartMemory(libc as Libc);
  t.ok(residentKib() < before - 4096);
  t.equal([3, 1, 2].sort().join(), '1,2,3');
});

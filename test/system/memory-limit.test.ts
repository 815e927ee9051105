/** What control groups of either version allow. */

import t from 'tap';
import { availableMemoryBytes, controlGroupLimitBytes } from '../../src/system/memory-limit.js';

/** A directory tree from paths with contents, with /proc/self/cgroup in it. */
function tree(groups: string, files: Readonly<Record<string, string>>): Record<string, unknown> {
  const top: Record<string, unknown> = { proc: { self: { cgroup: groups } } };
  for (const [name, content] of Object.entries(files)) {
    const parts = name.split('/');
    const last = parts.pop() as string;
    let at = top;
    for (const part of parts) {
      at[part] ??= {};
      at = at[part] as Record<string, unknown>;
    }
    at[last] = content;
  }
  return top;
}

const cases: readonly [name: string, groups: string, files: Record<string, string>, limit: number][] = [
  ['no control groups', '', {}, Number.POSITIVE_INFINITY],
  ['version 2', '0::/\n', { 'sys/fs/cgroup/memory.max': '536870912\n' }, 512 << 20],
  ['version 2 without a limit', '0::/\n', { 'sys/fs/cgroup/memory.max': 'max\n' }, Number.POSITIVE_INFINITY],
  [
    'a unit of systemd in a slice with less',
    '0::/cache.slice/damselfly.service\n',
    {
      'sys/fs/cgroup/cache.slice/memory.max': '268435456\n',
      'sys/fs/cgroup/cache.slice/damselfly.service/memory.max': '536870912\n',
    },
    256 << 20,
  ],
  [
    'a container that sees the path on the host',
    '0::/system.slice/docker-0123.scope\n',
    { 'sys/fs/cgroup/memory.max': '104857600\n' },
    100 << 20,
  ],
  [
    'version 1',
    '12:pids:/docker/01\n9:cpu,cpuacct:/docker/01\n4:memory:/docker/01\n0::/\n',
    { 'sys/fs/cgroup/memory/docker/01/memory.limit_in_bytes': '209715200\n' },
    200 << 20,
  ],
  [
    'version 1 without a limit, in a container',
    '4:memory:/docker/01\n',
    { 'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n' },
    Number.POSITIVE_INFINITY,
  ],
];

for (const [name, groups, files, limit] of cases) {
  t.test(name, async (t) => {
    const root = t.testdir(tree(groups, files) as Parameters<typeof t.testdir>[0]);
    t.equal(controlGroupLimitBytes(root), limit);
  });
}

t.test('this process', async (t) => {
  t.ok(availableMemoryBytes() > 0);
  t.ok(Number.isFinite(availableMemoryBytes()));
});

/** Warnings when the server starts. */

import t from 'tap';
import { Config } from '../../src/config/config.js';
import { warnOfMemory } from '../../src/process/start-log.js';

t.test('a control group that allows less memory than the machine has', async (t) => {
  const warnings = (text: string, limitBytes: number): string[] => {
    const config = new Config();
    config.loadText(text, 'redis.conf');
    const lines: string[] = [];
    warnOfMemory(config, (line, level) => lines.push(`${level}: ${line}`), limitBytes);
    return lines;
  };
  const limit = 512 << 20;
  t.match(warnings('', limit), [
    /^warning: WARNING The memory of this process is limited to 512mb .* maxmemory is not set\. .* Set maxmemory to 384mb or less\.$/,
  ]);
  t.match(warnings('maxmemory 1gb', limit), [/maxmemory is 1073741824 bytes\./]);
  t.same(warnings('maxmemory 100mb', limit), []);
  t.same(warnings('', Number.POSITIVE_INFINITY), []);
});

/** LOLWUT: sizes and bounds of the pictures; HELP of containers has one form. */

import t from 'tap';
import { withServers } from '../../tools/server.js';

const VERSION_LINE = /Redis ver\. \d+\.\d+\.\d+\n$/;
const NOT_AN_INTEGER = '-ERR value is not an integer or out of range\r\n';

withServers(t, 'LOLWUT', {}, async (t, server) => {
  const client = server.client();
  const picture = async (...args: (string | number)[]): Promise<string[]> => {
    const text = (await client.call('LOLWUT', ...args)) as string;
    t.match(text, VERSION_LINE, args.join(' '));
    return text.split('\n').slice(0, -3);
  };
  for (const [columns, across, down] of [
    [20, 1, 1],
    [40, 2, 3],
    [1, 1, 1],
  ]) {
    const lines = await picture('VERSION', 5, columns, across, down);
    t.equal(lines.length, Math.ceil((((2 * columns) / across) * down) / 4));
    for (const line of lines) t.match(line, new RegExp(`^[\\u2800-\\u28ff]{${columns}}$`));
    t.notOk(/^\u2800*$/.test(lines.join('')), 'something is drawn');
  }
  t.equal((await picture('VERSION', 5, 1000, 1, 200)).length, 1000, 'pictures are bounded');
  const pond = await picture('VERSION', 6, 30, 10);
  t.equal(pond.length, 10);
  for (const line of pond) t.equal(line.split('\x1b[48;5;').length, 31);
  t.ok((await picture()).length > 0);
  t.equal((await picture('VERSION', 4)).length, 0);
  t.equal(await (await server.rawClient()).text('LOLWUT', 'VERSION', '5', 'x', 'y'), NOT_AN_INTEGER);

  for (const container of ['MEMORY', 'OBJECT', 'DEBUG', 'COMMAND', 'MODULE']) {
    const lines = (await client.call(container, 'HELP')) as string[];
    t.equal(lines[0], `${container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:`);
    t.same(lines.slice(-2), ['HELP', '    Prints this help.']);
    for (const line of lines.slice(1, -2)) t.match(line, /^([A-Z][A-Z-]|\(no| {4}\S)/);
  }
});

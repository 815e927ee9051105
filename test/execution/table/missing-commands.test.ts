/** Commands that exist elsewhere: the answer is not that to a mistyped name. */

import t from 'tap';
import { createCommandTable } from '../../../src/commands/commands.js';
import { COMMAND_ROWS } from '../../../src/execution/table/command-rows.js';
import { newerCommandNames } from '../../../src/execution/table/missing-commands.js';
import { sharedServers } from '../../tools/server.js';

const table = createCommandTable();
const fullName = (rowName: string): string => rowName.toLowerCase().replace(' ', '|');

t.test('what is listed has no row', async (t) => {
  const rows = new Set(COMMAND_ROWS.map(([name]) => name));
  for (const name of newerCommandNames()) {
    t.notOk(rows.has(name), name);
    t.equal(table.byFullName(fullName(name)), null, name);
    t.ok(table.isMissing(name.toLowerCase()), name);
  }
});

t.test('each row is there or missing', async (t) => {
  for (const [name] of COMMAND_ROWS) {
    t.equal(table.isMissing(name), table.byFullName(fullName(name)) === null, name);
  }
  for (const name of ['GTE', '', 'JSON', 'JSON.', 'NOSUCH.SET', 'constructor'])
    t.notOk(table.isMissing(name), name);
});

await sharedServers(t)('over a socket', async (t, server) => {
  const client = await server.rawClient();
  for (const [command, reply] of [
    ['JSON.SET a $ 1', "-ERR unknown command 'JSON.SET': not supported yet\r\n"],
    ['vadd key', "-ERR unknown command 'vadd': not supported yet\r\n"],
    ['GTE a', "-ERR unknown command 'GTE', with args beginning with: 'a' \r\n"],
    ['CLIENT CAPA redirect', "-ERR unknown subcommand 'CAPA': not supported yet. Try CLIENT HELP.\r\n"],
    ['CLIENT NOSUCH', "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"],
  ] as const) {
    t.equal(await client.text(...command.split(' ')), reply);
  }
  t.equal(await client.text('MULTI'), '+OK\r\n');
  t.match(await client.text('JSON.GET', 'a'), /^-ERR .* not supported yet/);
  t.match(await client.text('EXEC'), /^-EXECABORT/);
});

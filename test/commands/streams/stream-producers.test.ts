/** Messages that a producer sends again: XADD with IDMP and IDMPAUTO, XCFGSET, and what of them outlives the server. */

import t from 'tap';
import type { RawClient } from '../../tools/raw-client.js';
import { sharedServers, TestServer, withServers } from '../../tools/server.js';

const onServers = sharedServers(t);

const words = (client: RawClient, command: string) => client.text(...command.split(' '));

/** The id in a reply of XADD. */
function idIn(reply: string): string {
  const [, id] = reply.split('\r\n');
  return id ?? '';
}

/** What XINFO STREAM tells of producers. */
async function info(client: RawClient, key: string): Promise<Record<string, string>> {
  const lines = (await client.text('XINFO', 'STREAM', key)).split('\r\n');
  const fields = [
    'idmp-duration',
    'idmp-maxsize',
    'pids-tracked',
    'iids-tracked',
    'iids-added',
    'iids-duplicates',
  ];
  return Object.fromEntries(fields.map((name) => [name, lines[lines.indexOf(name) + 1] ?? '']));
}

await onServers('a message that is sent again is not added again', async (t, server) => {
  const client = await server.rawClient();
  const first = idIn(await words(client, 'XADD s IDMP p 1 * f v'));
  t.match(first, /^\d+-\d+$/);
  t.equal(idIn(await words(client, 'XADD s IDMP p 1 * f other')), first);
  t.equal(idIn(await words(client, 'XADD s NOMKSTREAM IDMP p 1 MAXLEN 0 * f v')), first);
  t.not(idIn(await words(client, 'XADD s IDMP p 2 * f v')), first);
  t.not(idIn(await words(client, 'XADD s IDMP q 1 * f v')), first);
  t.equal(await words(client, 'XLEN s'), ':3\r\n');
  const own = idIn(await words(client, 'XADD s IDMPAUTO p * f v'));
  t.equal(idIn(await words(client, 'XADD s IDMPAUTO p * f v')), own);
  t.not(idIn(await words(client, 'XADD s IDMPAUTO p * fv v')), own);
  t.not(idIn(await words(client, 'XADD s IDMPAUTO q * f v')), own);
  t.equal(await words(client, 'XLEN s'), ':6\r\n');
  // An entry that was deleted was added all the same.
  await words(client, `XDEL s ${first}`);
  t.equal(idIn(await words(client, 'XADD s IDMP p 1 * f v')), first);
  t.same(await info(client, 's'), {
    'idmp-duration': ':100',
    'idmp-maxsize': ':100',
    'pids-tracked': ':2',
    'iids-tracked': ':6',
    'iids-added': ':6',
    'iids-duplicates': ':4',
  });
  t.equal(await words(client, 'COPY s copy'), ':1\r\n');
  t.equal(idIn(await words(client, 'XADD copy IDMP p 1 * f v')), first);
  t.equal(await words(client, 'XADD none NOMKSTREAM IDMP p 1 * f v'), '$-1\r\n');
  await words(client, 'XADD plain * f v');
  t.notMatch(await words(client, 'XINFO STREAM plain'), /idmp/, 'as Redis 7 has it');
});

await onServers('what XADD and XCFGSET refuse', async (t, server) => {
  const client = await server.rawClient();
  for (const [command, error] of [
    ['XADD s IDMP p 1 5-1 f v', /^-ERR IDMP and IDMPAUTO need/],
    ['XADD s IDMP p * f v', /^-ERR /],
    ['XADD s IDMP p 1 IDMPAUTO p * f v', /^-ERR syntax error/],
    ['XCFGSET s IDMP-DURATION 5', /^-ERR no such key/],
    ['XIDMPRECORD s p 1 1-1', /^-ERR no such key/],
  ] as const) {
    t.match(await words(client, command), error, command);
  }
  t.match(await client.text('XADD', 's', 'IDMP', '', '1', '*', 'f', 'v'), /^-ERR .*empty/);
  const id = idIn(await words(client, 'XADD s IDMP p 1 * f v'));
  for (const [command, error] of [
    ['XCFGSET s IDMP-DURATION 0', /^-ERR IDMP-DURATION must be between 1 and 86400/],
    ['XCFGSET s IDMP-MAXSIZE 10001', /^-ERR IDMP-MAXSIZE must be between 1 and 10000/],
    ['XCFGSET s IDMP-MAXSIZE x', /^-ERR IDMP-MAXSIZE must be/],
    ['XCFGSET s BOGUS 1', /^-ERR syntax error/],
    ['XIDMPRECORD s p 2 1-1', /^-ERR the stream has no entry/],
    [`XIDMPRECORD s p 1 ${id}`, /^\+OK/],
    [`XIDMPRECORD s q 1 ${id}`, /^\+OK/],
  ] as const) {
    t.match(await words(client, command), error, command);
  }
  const other = idIn(await words(client, 'XADD s * f v'));
  t.match(await words(client, `XIDMPRECORD s p 1 ${other}`), /^-ERR the message is another entry/);
  await words(client, 'SET string v');
  t.match(await words(client, 'XCFGSET string IDMP-DURATION 5'), /^-WRONGTYPE/);
});

await onServers('only so many ids are kept', async (t, server) => {
  const client = await server.rawClient();
  const first = idIn(await words(client, 'XADD s IDMP p 0 * f v'));
  t.equal(await words(client, 'XCFGSET s IDMP-MAXSIZE 3 IDMP-DURATION 1000'), '+OK\r\n');
  t.not(idIn(await words(client, 'XADD s IDMP p 0 * f v')), first, 'XCFGSET forgets all');
  for (const message of [1, 2, 3]) await words(client, `XADD s IDMP p ${message} * f v`);
  const { 'iids-tracked': tracked } = await info(client, 's');
  t.equal(tracked, ':3');
  const length = await words(client, 'XLEN s');
  for (const message of [1, 2, 3]) await words(client, `XADD s IDMP p ${message} * f v`);
  t.equal(await words(client, 'XLEN s'), length);
  await words(client, 'XADD s IDMP p 0 * f v');
  t.not(await words(client, 'XLEN s'), length);
});

withServers(
  t,
  'files and payloads have what is known of producers',
  { directives: { appendonly: 'yes', 'aof-use-rdb-preamble': 'no' } },
  async (t, server) => {
    const client = await server.rawClient();
    const ids: string[] = [];
    const sendAll = async (key: string) => {
      const replies: string[] = [];
      for (let message = 0; message < 20; message++) {
        const command = [
          'XADD',
          key,
          'IDMP',
          `p${message % 3}`,
          `m${message}`,
          '*',
          'field',
          'x'.repeat(3000),
        ];
        replies.push(idIn(await client.text(...command)));
      }
      return replies;
    };
    ids.push(...(await sendAll('long')));
    await words(client, 'XCFGSET short IDMP-DURATION 5');
    await words(client, 'XADD short * f v');
    await words(client, 'XCFGSET short IDMP-DURATION 5');
    for (const way of ['DEBUG RELOAD', 'DEBUG LOADAOF']) {
      t.equal(await words(client, way), '+OK\r\n', way);
      t.same(await sendAll('long'), ids, way);
      t.equal((await info(client, 'short'))['idmp-duration'], ':5', way);
    }
    t.match(await words(client, 'BGREWRITEAOF'), /^\+/);
    while (!/aof_rewrite_in_progress:0/.test(await words(client, 'INFO persistence'))) {}
    t.equal(await words(client, 'DEBUG LOADAOF'), '+OK\r\n');
    t.same(await sendAll('long'), ids, 'a rewritten log');
    const payload = await server.client().dumpBuffer('long');
    await server.client().call('RESTORE', 'restored', 0, payload);
    t.same(await sendAll('restored'), ids, 'DUMP and RESTORE');
    t.equal(await words(client, 'DEBUG VERIFY'), '+OK\r\n');
    t.equal(await words(client, 'DEL long restored short'), ':3\r\n');
    t.equal(await words(client, 'DEBUG VERIFY'), '+OK\r\n');
  },
);

t.test('messages that come while a snapshot walks over a long stream', async (t) => {
  const server = await TestServer.start({ directives: { threads: 2, 'rdb-key-save-delay': 0 } });
  t.teardown(() => server.stop());
  const client = await server.rawClient();
  const value = 'x'.repeat(4000);
  for (let entry = 0; entry < 3000; entry++) {
    await client.text('XADD', 'long', 'IDMP', 'p', `m${entry % 100}${entry}`, '*', 'field', value);
  }
  const before = await client.text('XLEN', 'long');
  await words(client, 'BGSAVE');
  let sent = 0;
  while (!/rdb_bgsave_in_progress:0/.test(await words(client, 'INFO persistence'))) {
    await client.text('XADD', 'long', 'IDMP', 'p', `late${sent++}`, '*', 'field', value);
  }
  t.ok(sent > 0);
  await words(client, 'DEBUG RELOAD NOSAVE');
  t.equal(await client.text('XLEN', 'long'), before, 'the moment of the snapshot');
  // What is not in the file can be sent again.
  for (let message = 0; message < Math.min(sent, 50); message++) {
    await client.text('XADD', 'long', 'IDMP', 'p', `late${sent - 1 - message}`, '*', 'field', value);
  }
  const length = Number(/\d+/.exec(await client.text('XLEN', 'long'))![0]);
  t.equal(length - Number(/\d+/.exec(before)![0]), Math.min(sent, 50));
  t.equal(await words(client, 'DEBUG VERIFY'), '+OK\r\n');
});

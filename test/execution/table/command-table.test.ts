/**
 * The table with all rows, implemented or not, against redis-server: COMMAND INFO of every command, and the
 * keys of random requests.
 */

import t from 'tap';
import { introspectionHandlers } from '../../../src/commands/server/command-introspection.js';
import { CommandContext } from '../../../src/execution/context.js';
import { CommandRequest } from '../../../src/execution/request.js';
import { commandDoc } from '../../../src/execution/table/command-docs.js';
import { COMMAND_ROWS } from '../../../src/execution/table/command-rows.js';
import { CommandTable, type Handler } from '../../../src/execution/table/command-table.js';
import { ReplyWriter } from '../../../src/protocol/reply-writer.js';
import { PreparedReplies } from '../../../src/state/prepared-replies.js';
import { Random } from '../../tools/random.js';
import { skipWithoutRedis, TestServer } from '../../tools/server.js';

const SEED = Number(process.env.DAMSELFLY_TEST_SEED ?? 1);
const RANDOM_REQUESTS = 20_000;
const REQUESTS_A_WRITE = 500;

const doNothing: Handler = () => {};

function fullTable(): CommandTable {
  return new CommandTable(
    Object.fromEntries(COMMAND_ROWS.map(([name]) => [name, introspectionHandlers[name] ?? doNothing])),
    doNothing,
  );
}

/** Runs COMMAND or one of its subcommands on a table and returns the reply. */
function replyTo(table: CommandTable, protocol: 2 | 3, ...request: string[]): string {
  const reply = new ReplyWriter();
  reply.protocol = protocol;
  const context: CommandContext = Object.assign(Object.create(CommandContext.prototype), {
    table,
    reply,
    services: { state: { preparedReplies: new PreparedReplies(PreparedReplies.create()) } },
    request: CommandRequest.of(request.map((arg) => Buffer.from(arg))),
  });
  const name = request.length === 1 ? 'COMMAND' : `COMMAND ${request[1].toUpperCase()}`;
  introspectionHandlers[name](context);
  return Buffer.from(reply.bytes.subarray(0, reply.length)).toString('latin1');
}

/** Takes the texts of the notes out of key specs, which are Damselfly's own. */
function withoutNotes(reply: string): string {
  return reply.replace(/(\r\nnotes)\r\n\$\d+\r\n[^\r]*/g, '$1');
}

/** Takes out the texts of COMMAND DOCS, which are Damselfly's own. */
function withoutProse(reply: string): string {
  return reply
    .replace(/(\r\nsummary|\r\ncomplexity)\r\n\$\d+\r\n[^\r]*/g, '$1')
    .replace(/(\*2\r\n\$\d\r\n[\d.]+)\r\n\$\d+\r\n[^\r]*/g, '$1');
}

function lookup(table: CommandTable, name: string) {
  const bytes = Buffer.from(`??${name}??`);
  return table.lookup(bytes, 2, bytes.length - 4);
}

t.test('every command is found in any case, and nothing else', async (t) => {
  const table = fullTable();
  for (const [index, command] of table.all().entries()) {
    if (lookup(table, command.name) !== command) t.fail(command.name);
    if (lookup(table, command.name.toUpperCase()) !== command) t.fail(command.name.toUpperCase());
    if (lookup(table, `${command.name}x`) === command) t.fail(`${command.name}x`);
    const bytes = Buffer.from('List help nosuch');
    const list = table.lookupSubcommand(command, bytes, 0, 4);
    t.equal(list, command.subcommands?.get('list') ?? null, `${index} ${command.name} list`);
    t.equal(table.lookupSubcommand(command, bytes, 10, 6), null);
  }
  // 0x00 and 0x20 differ from "@" and "`" as upper from lower case does.
  t.equal(lookup(table, 'GE\x14'), null);
  t.equal(lookup(table, ''), null);
  t.equal(lookup(table, 'g'.repeat(1000)), null);
});

t.test('ids are dense and the same in every table', async (t) => {
  const [one, other] = [fullTable(), fullTable()];
  for (let id = 0; id < one.size; id++) {
    if (one.byId(id).id !== id || one.byId(id).fullName !== other.byId(id).fullName) t.fail(String(id));
  }
  t.equal(one.size, COMMAND_ROWS.length);
});

t.test('only what has a handler is a command', async (t) => {
  const table = new CommandTable({ GET: doNothing, 'CLIENT LIST': doNothing }, doNothing);
  t.same(
    table.all().map((command) => command.name),
    ['get', 'client'],
  );
  t.equal(lookup(table, 'set'), null);
  t.equal(table.byFullName('CLIENT|LIST')?.name, 'list');
  for (const name of ['client|kill', 'client|list|x', 'get|x', 'client|', '']) {
    t.equal(table.byFullName(name), null, name);
  }
  t.throws(() => new CommandTable({ NOSUCH: doNothing }, doNothing), /NOSUCH/);
});

t.test('every command is documented', async (t) => {
  const table = fullTable();
  const names = COMMAND_ROWS.map(([name]) => name.toLowerCase().replace(' ', '|'));
  for (const name of names) if (!commandDoc(name)?.summary) t.fail(name);
  t.equal(commandDoc('nosuch'), null);
  t.same(
    commandDoc('set')?.arguments.map((argument) => argument.name),
    ['key', 'value', 'condition', 'get', 'expiration'],
  );
  t.match(replyTo(table, 3, 'COMMAND', 'DOCS'), /^%\d+\r\n/);
});

t.test('rename', async (t) => {
  const table = fullTable();
  const get = lookup(table, 'get');
  t.ok(table.rename('GET', 'Fetch'));
  t.equal(lookup(table, 'get'), null);
  t.equal(lookup(table, 'FETCH'), get);
  t.ok(table.rename('keys', ''));
  t.equal(lookup(table, 'keys'), null);
  t.notOk(table.rename('nosuch', 'x'));
  t.notOk(table.rename('set', 'fetch'), 'the new name is taken');
});

/** Commands that got an option later than in Redis 7.0, and with it another arity. */
const TAKES_MORE = new Set(['zrank', 'zrevrank']);

t.test('beside redis-server', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await TestServer.start({ kind: 'redis' });
  t.teardown(() => redis.stop('SIGKILL'));
  const client = await redis.rawClient();
  const table = fullTable();
  const names = await redis.client().command('LIST');
  // Redis lists them in an order of its own each time; the requests must be the same for the same seed.
  const known = new Set((names as string[]).sort());

  t.test('all its commands are there', async (t) => {
    t.same(
      (names as string[]).filter((name) => table.byFullName(name) === null),
      [],
    );
  });

  for (const protocol of [2, 3] as const) {
    t.test(`COMMAND INFO in RESP${protocol}`, async (t) => {
      await client.command('HELLO', protocol);
      for (const name of known) {
        // The order of a container's subcommands is random.
        if (table.byFullName(name)?.subcommands || TAKES_MORE.has(name)) continue;
        const expected = withoutNotes(await client.text('COMMAND', 'INFO', name));
        const actual = withoutNotes(replyTo(table, protocol, 'COMMAND', 'INFO', name));
        if (actual !== expected) t.equal(actual, expected, name);
      }
    });
  }
  t.teardown(() => client.close());

  for (const protocol of [2, 3] as const) {
    t.test(`COMMAND DOCS in RESP${protocol}`, async (t) => {
      await client.command('HELLO', protocol);
      for (const name of known) {
        if (table.byFullName(name)?.subcommands) continue;
        const expected = withoutProse(await client.text('COMMAND', 'DOCS', name));
        const actual = withoutProse(replyTo(table, protocol, 'COMMAND', 'DOCS', name));
        if (actual !== expected) t.equal(actual, expected, name);
      }
      for (const names of [['nosuch'], ['get|x', 'client|', ''], ['OBJECT|FREQ', 'nosuch', 'geT']]) {
        const request = ['COMMAND', 'DOCS', ...names];
        t.equal(
          withoutProse(replyTo(table, protocol, ...request)),
          withoutProse(await client.text(...request)),
          names.join(' '),
        );
      }
    });
  }

  t.test('subcommands', async (t) => {
    type Info = [string, number, string[], number, number, number, string[], string[], unknown[], Info[]];
    const containers = table.all().filter((command) => command.subcommands !== null);
    // Redis reports subcommands in no certain order, and there may be more of them here.
    const beforeSubcommands = (reply: string): string =>
      withoutProse(reply.replace(/\r\n\*\d+\r\n\*10\r\n.*|\r\nsubcommands\r\n.*/s, '')).replace(
        /^(\*2\r\n[^*]*)\*\d+/,
        '$1',
      );
    await client.command('HELLO', 2);
    for (const { name, subcommands } of containers) {
      for (const kind of ['INFO', 'DOCS']) {
        if (!known.has(name)) continue;
        const request = ['COMMAND', kind, name];
        const expected = beforeSubcommands(await client.text(...request));
        t.equal(beforeSubcommands(replyTo(table, 2, ...request)), expected, request.join(' '));
        t.ok(expected.length > 40);
      }
      const [info] = (await redis.client().command('INFO', name)) as (Info | null)[];
      const expected = info?.[9].map((subcommand) => subcommand[0]) ?? [];
      const own = [...subcommands!.values()].map((subcommand) => subcommand.fullName);
      t.same(own.filter((subcommand) => known.has(subcommand)).sort(), expected.sort(), name);
    }
  });

  t.test('COMMAND LIST with filters', async (t) => {
    await client.command('HELLO', 3);
    const categories = (await redis.client().acl('CAT')) as string[];
    t.ok(categories.length > 10);
    const filters = [
      ...categories.map((category) => ['ACLCAT', category]),
      ...['@read', 'READ', 'nosuch', ''].map((category) => ['ACLCAT', category]),
      ...['*', 'x*', 'XG*', 'client|*', '*et', '[a-c]??', '', 'get', '\\get'].map((pattern) => [
        'PATTERN',
        pattern,
      ]),
      ['MODULE', 'nosuch'],
      ['module', ''],
    ];
    const listed = (reply: string): string[] => reply.split('\r\n').filter((line) => known.has(line));
    for (const filter of filters) {
      const request = ['COMMAND', 'LIST', 'FilterBy', ...filter];
      const own = listed(replyTo(table, 3, ...request));
      t.same(own.sort(), listed(await client.text(...request)).sort(), filter.join(' '));
    }
    for (const wrong of [
      ['FILTERBY'],
      ['FILTERBY', 'ACLCAT'],
      ['FILTERBY', 'X', 'y'],
      ['X', 'ACLCAT', 'read'],
    ]) {
      const request = ['COMMAND', 'LIST', ...wrong];
      t.equal(replyTo(table, 3, ...request), await client.text(...request), wrong.join(' '));
    }
    const tooMany = ['COMMAND', 'LIST', 'FILTERBY', 'ACLCAT', 'read', 'x'];
    t.equal(replyTo(table, 3, ...tooMany), await client.text(...tooMany));
    t.equal(replyTo(table, 3, 'COMMAND', 'HELP'), await client.text('COMMAND', 'HELP'));
  });

  const isStore = (word: string): boolean => /^store(dist)?$/i.test(word);

  t.test('keys of random requests', async (t) => {
    await client.command('HELLO', 2);
    const random = new Random(SEED);
    const words = (
      'STORE storedist KEYS streams COUNT block GROUP noack GET by LIMIT auth AUTH2 set INCRBY overflow ' +
      '0 1 1 2 2 3 5 -1 2x +2 01 99999999999 a b c d e'
    ).split(' ');
    words.push('', ' 2');
    const requests: string[][] = [];
    const withKeys = [...known].filter(
      (name) => (table.byFullName(name)?.keySpecs.length ?? 0) > 0 && !TAKES_MORE.has(name),
    );
    t.ok(withKeys.length > 100);
    while (requests.length < RANDOM_REQUESTS) {
      const name = withKeys[requests.length % withKeys.length];
      const { arity } = table.byFullName(name)!;
      const request = name.split('|');
      const least = Math.abs(arity) - (random.chance(0.05) ? 1 : 0);
      const count = arity > 0 ? least : least + random.below(8);
      while (request.length < count) {
        const word = words[random.below(words.length)]!;
        // Of several destinations Redis names the first, although it uses the last.
        const isAgain = /^georadius/.test(name) && isStore(word) && request.some(isStore);
        if (!isAgain) request.push(word);
      }
      requests.push(['COMMAND', random.chance(0.5) ? 'GETKEYS' : 'GETKEYSANDFLAGS', ...request]);
    }
    let failures = 0;
    for (let start = 0; start < requests.length && failures < 10; start += REQUESTS_A_WRITE) {
      const batch = requests.slice(start, start + REQUESTS_A_WRITE).filter((request) => request.length > 3);
      const replies = await client.pipeline(batch);
      for (const [index, request] of batch.entries()) {
        const expected = replies[index].toString('latin1');
        const actual = replyTo(table, 2, ...request);
        if (actual === expected) continue;
        failures++;
        t.equal(actual, expected, `seed ${SEED}: ${JSON.stringify(request)}`);
      }
    }
  });
});

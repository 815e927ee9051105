/**
 * Random rules and random commands against redis-server: SETUSER has to reply the same, the users to be described by the
 * same rules, and DRYRUN to allow and refuse the same with the same words.
 */

import t from 'tap';
import { Random } from '../tools/random.js';
import type { RawClient } from '../tools/raw-client.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

const SEED = Number(process.env.DAMSELFLY_TEST_SEED ?? Date.now() % 1_000_000);
const USERS = Number(process.env.DAMSELFLY_TEST_USERS ?? 150);
/** Commands that each user tries. */
const COMMANDS = 60;

const CATEGORIES = (
  'keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking ' +
  'dangerous connection transaction scripting all nosuch'
).split(' ');
const PATTERNS = [
  '*',
  'a*',
  'b?',
  'key:*',
  '[ab]',
  'a',
  '',
  '**',
  '\\*',
  'x\\',
  'key:[1-3]',
  '*:1',
  'a b',
  'ключ*',
];
const KEYS = ['a', 'ab', 'b', 'b1', 'key:1', 'key:9', '*', '**', 'x', '', 'x\\', 'ключ', 'ключи', 'a\0b'];
const WORDS = [
  ...[
    '1',
    '0',
    '2',
    '3',
    '-1',
    '1x',
    '1000000',
    'GET',
    'BY',
    'STORE',
    'STOREDIST',
    'LIMIT',
    'KEYS',
    'STREAMS',
    'BLOCK',
  ],
  ...[
    'COUNT',
    'GROUP',
    'AUTH',
    'AUTH2',
    'DB',
    'REPLACE',
    'WEIGHTS',
    'WITHSCORES',
    'LEFT',
    'RIGHT',
    'MIN',
    'MAX',
    'NX',
  ],
  ...[
    'OVERFLOW',
    'SET',
    'INCRBY',
    'u8',
    'FAIL',
    'NOACK',
    'w_*',
    'm',
    '>',
    '$',
    '0-0',
    'EX',
    'PERSIST',
    'ASYNC',
  ],
];
const PASSWORDS = ['p', 'secret', '', 'пароль'];
const HASH = 'a'.repeat(64);

interface Known {
  readonly name: string;
  readonly arity: number;
}

/** The commands that both servers have, with those of containers as "container|subcommand". */
async function commonCommands(redis: TestServer, damselfly: TestServer): Promise<Known[]> {
  const [theirs, ours] = await Promise.all(
    [redis, damselfly].map(async (server) => (await server.client().call('COMMAND', 'LIST')) as string[]),
  );
  const common = theirs!.filter((name) => ours!.includes(name));
  const [theirInfos, ourInfos] = await Promise.all(
    [redis, damselfly].map(
      async (server) => (await server.client().call('COMMAND', 'INFO', ...common)) as [string, number][],
    ),
  );
  // Some take more arguments than in Redis 7.0.
  return common
    .map((name, index) => ({ name, arity: theirInfos![index]![1] }))
    .filter(({ arity }, index) => arity === ourInfos![index]![1]);
}

function randomRule(random: Random, commands: readonly Known[]): string {
  const sign = random.pick(['+', '-']);
  const { name } = random.pick(commands);
  switch (random.below(22)) {
    case 0:
    case 1:
    case 2:
    case 3:
      return `${sign}@${random.pick(CATEGORIES)}`;
    case 4:
    case 5:
    case 6:
    case 7:
      return `${sign}${random.chance(0.1) ? name.toUpperCase() : name}`;
    case 8:
      return `${sign}${random.pick(['select', 'get', 'debug', 'config', 'config|get', 'nosuch'])}|${random.pick(['0', 'get', '', 'Object', 'a|b'])}`;
    case 9:
    case 10:
    case 11:
      return `~${random.pick(PATTERNS)}`;
    case 12:
    case 13:
      return `%${random.pick(['R', 'W', 'RW', 'r', 'wR', 'RR', 'X'])}${random.pick(['~', '~', '~', ''])}${random.pick(PATTERNS)}`;
    case 14:
    case 15:
      return `&${random.pick(PATTERNS)}`;
    case 16:
      return random.pick([
        'allkeys',
        'resetkeys',
        'allchannels',
        'resetchannels',
        'allcommands',
        'NoCommands',
      ]);
    case 17:
      return random.pick([
        'on',
        'off',
        'nopass',
        'resetpass',
        'sanitize-payload',
        'skip-sanitize-payload',
        'reset',
      ]);
    case 18:
      return `${random.pick(['>', '<'])}${random.pick(PASSWORDS)}`;
    case 19:
      return random.pick([
        `#${HASH}`,
        `!${HASH}`,
        '#abc',
        '',
        '+',
        '-',
        '%',
        '%R',
        '@all',
        '(',
        ')',
        '()',
        'db',
        'x y',
      ]);
    case 20:
      return 'clearselectors';
    default:
      return `(${Array.from({ length: random.below(4) }, () => randomRule(random, commands)).join(' ')})`;
  }
}

function randomCommand(random: Random, commands: readonly Known[]): string[] {
  const { name, arity } = random.pick(commands);
  const args = name.split('|');
  const wanted = Math.abs(arity) + (arity < 0 ? random.below(6) : 0) + (random.chance(0.03) ? 1 : 0);
  while (args.length < wanted) args.push(random.chance(0.55) ? random.pick(KEYS) : random.pick(WORDS));
  return args;
}

/**
 * Rules of commands in a form that both servers have: categories in their order, commands sorted, since Redis lists them
 * in the order of a hash table; without those that Redis does not know.
 */
function normalize(text: string, unknown: ReadonlySet<string>): string {
  return text.replace(/([+-]@all)((?: [+-][^ )\n]+)*)/g, (_, all: string, rest: string) => {
    const rules = rest.split(' ').filter((rule) => rule !== '' && !unknown.has(rule.slice(1)));
    const categories = rules.filter((rule) => rule[1] === '@');
    const singles = rules.filter((rule) => rule[1] !== '@').sort();
    return [all, ...categories, ...singles].join(' ');
  });
}

t.test(`random rules and commands (seed ${SEED})`, { skip: skipWithoutRedis() }, async (t) => {
  const redis = await TestServer.start({ kind: 'redis' });
  const damselfly = await TestServer.start({ kind: 'damselfly', threads: 2 });
  t.teardown(() => Promise.all([redis.stop('SIGKILL'), damselfly.stop('SIGKILL')]));
  const commands = await commonCommands(redis, damselfly);
  t.ok(commands.length > 250, 'the servers have most commands in common');
  const theirNames = new Set((await redis.client().call('COMMAND', 'LIST')) as string[]);
  const rows = (await import('../../src/execution/table/command-rows.js')).COMMAND_ROWS;
  const unknown = new Set(
    rows.map(([name]) => name.toLowerCase().replace(' ', '|')).filter((name) => !theirNames.has(name)),
  );
  const servers: RawClient[] = [await redis.rawClient(), await damselfly.rawClient()];
  const both = async (...args: string[]): Promise<[string, string]> => {
    const [theirs, ours] = await Promise.all(servers.map((server) => server.text(...args)));
    return [theirs!, ours!];
  };
  const random = new Random(SEED);
  let pairs = 0;
  const differences: string[] = [];
  for (let user = 0; user < USERS; user++) {
    const name = `u${user}`;
    for (let round = random.between(1, 3); round > 0; round--) {
      const rules = Array.from({ length: random.between(1, 6) }, () => randomRule(random, commands));
      // A pattern without permissions ends redis-server.
      if (rules.some((rule) => /%~/.test(rule))) continue;
      const [theirs, ours] = await both('ACL', 'SETUSER', name, ...rules);
      if (theirs !== ours) return void t.equal(ours, theirs, `SETUSER ${JSON.stringify(rules)}`);
      // One wrong rule is enough to leave all: apply the good ones by themselves.
      if (theirs.startsWith('-')) for (const rule of rules) await both('ACL', 'SETUSER', name, rule);
    }
    const [theirs, ours] = await both('ACL', 'GETUSER', name);
    const shown = (reply: string): string =>
      normalize(reply.replaceAll('\r\n', '\n').replace(/\$\d+\n/g, ''), unknown);
    if (shown(theirs) !== shown(ours)) return void t.equal(shown(ours), shown(theirs), 'GETUSER');
    const tried = Array.from({ length: COMMANDS }, () => randomCommand(random, commands)).filter(
      // Redis lets anybody write to any key so.
      (command) => command[0] !== 'pfmerge' || command.length > 2,
    );
    const requests = tried.map((command) => ['ACL', 'DRYRUN', name, ...command]);
    const [theirDecisions, ourDecisions] = await Promise.all(
      servers.map((server) => server.pipeline(requests)),
    );
    pairs += tried.length;
    tried.forEach((command, index) => {
      const [their, our] = [theirDecisions![index]!.toString(), ourDecisions![index]!.toString()];
      if (their !== our) differences.push(`${JSON.stringify(command)}: ${their}, ${our} as ${theirs}`);
    });
  }
  t.same(differences.slice(0, 20), [], 'DRYRUN');
  const [theirList, ourList] = await both('ACL', 'LIST');
  const lines = (reply: string): string[] =>
    reply
      .split('\r\n')
      .filter((line) => line.startsWith('user '))
      .map((line) => normalize(line, unknown));
  t.same(lines(ourList), lines(theirList), 'LIST');
  t.pass(`${pairs} pairs`);
});

t.test('categories', { skip: skipWithoutRedis() }, async (t) => {
  const redis = await TestServer.start({ kind: 'redis' });
  const damselfly = await TestServer.start({ kind: 'damselfly', threads: 1 });
  t.teardown(() => Promise.all([redis.stop('SIGKILL'), damselfly.stop('SIGKILL')]));
  const [theirs, ours] = [redis.client(), damselfly.client()];
  const common = new Set((await commonCommands(redis, damselfly)).map(({ name }) => name));
  const categories = (await theirs.call('ACL', 'CAT')) as string[];
  t.same(await ours.call('ACL', 'CAT'), categories);
  for (const category of categories) {
    const [their, our] = await Promise.all(
      [theirs, ours].map(async (client) => (await client.call('ACL', 'CAT', category)) as string[]),
    );
    const shared = (names: readonly string[]): string[] => names.filter((name) => common.has(name)).sort();
    t.same(shared(our!), shared(their!), category);
  }
});

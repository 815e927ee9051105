import t from 'tap';
import { RuleError } from '../../src/access/rule-errors.js';
import { User } from '../../src/access/user.js';
import { Users } from '../../src/access/users.js';
import { createCommandTable } from '../../src/commands/commands.js';
import { Config } from '../../src/config/config.js';
import { ruleContext } from '../../src/execution/access-control.js';

const config = new Config();
const context = ruleContext(createCommandTable(), config);
const HASH = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881';

/** What rules make of a new user. */
const DESCRIPTIONS: readonly (readonly [rules: readonly string[], description: string])[] = [
  [[], 'off resetchannels -@all'],
  [['on', '>x'], `on #${HASH} resetchannels -@all`],
  [['on', '>x', '<x', 'nopass'], 'on nopass resetchannels -@all'],
  [['nopass', `#${HASH}`], `off #${HASH} resetchannels -@all`],
  [['~a*', '%R~b*', '%w~c', '%RW~d', '~b*'], 'off ~a* ~b* %W~c ~d resetchannels -@all'],
  [['%R~a', '%W~a'], 'off ~a resetchannels -@all'],
  [['allkeys', 'resetkeys', '~x'], 'off ~x resetchannels -@all'],
  [['&a', '&b', '&a'], 'off resetchannels &a &b -@all'],
  [['allchannels', '~*'], 'off ~* &* -@all'],
  [['+@all'], 'off resetchannels +@all'],
  [['+@all', '-get', '+get'], 'off resetchannels +@all'],
  [['+@hash', '-hget', '+get', '+client|id'], 'off resetchannels -@all +@hash +get -hget +client|id'],
  [['+config', '-config|set'], 'off resetchannels -@all +config -config|set'],
  [['+select|0', '+select|1', '+SELECT|0'], 'off resetchannels -@all +select|0 +select|1'],
  [['+select|0', '+select'], 'off resetchannels -@all +select'],
  [['+select|0', '-select'], 'off resetchannels -@all'],
  [['+xreadgroup', '+eval'], 'off resetchannels -@all +xreadgroup +eval'],
  [['db=1,0', 'db=3'], 'off resetchannels db=0,1,3 -@all'],
  [['db=1', 'alldbs'], 'off resetchannels -@all'],
  [['resetdbs'], 'off resetchannels resetdbs -@all'],
  [
    ['(+get ~a db=2)', '(allkeys)'],
    'off resetchannels -@all (~a resetchannels db=2 -@all +get) (~* resetchannels -@all)',
  ],
  [['(+get)', 'clearselectors'], 'off resetchannels -@all'],
  [['skip-sanitize-payload'], 'off skip-sanitize-payload resetchannels -@all'],
  [['on', '+@all', '~*', '(+get)', 'reset'], 'off sanitize-payload resetchannels -@all'],
  [['', 'ON'], 'on resetchannels -@all'],
];

t.test('what rules make of a user', async (t) => {
  for (const [rules, description] of DESCRIPTIONS) {
    const user = new User('u', 1, context);
    for (const rule of rules) t.equal(user.apply(rule, context), null, rule);
    const lines = (text: string): string[] => text.split(' ').sort();
    t.same(lines(user.describe()), lines(description), rules.join(' '));
    // What it is described by makes the same of another one.
    const users = new Users(context);
    t.equal(users.set('v', user.describe().split(' ')), null);
    const selectors = (one: User): unknown => one.selectors.map((selector) => selector.toSnapshot().commands);
    t.same(selectors(users.get('v')!), selectors(user));
  }
});

const MISTAKES: readonly (readonly [rules: readonly string[], error: string])[] = [
  [['+nosuch'], RuleError.Unknown],
  [['-get|x'], RuleError.Unknown],
  [['+@nosuch'], RuleError.Unknown],
  [['+config|nosuch'], RuleError.Unknown],
  [['+config|get|x'], RuleError.FirstArgumentOfSubcommand],
  [['+select|'], RuleError.Syntax],
  [['nonsense'], RuleError.Syntax],
  [['%X~a'], RuleError.Syntax],
  [['%RR~a'], RuleError.Syntax],
  [['%~a'], RuleError.Syntax],
  [['~a b'], RuleError.Syntax],
  [['&a\0'], RuleError.Syntax],
  [['(+get', 'x)'], RuleError.Syntax],
  [['allkeys', '~a'], RuleError.PatternAfterAllKeys],
  [['allchannels', '&a'], RuleError.PatternAfterAllChannels],
  [['<x'], RuleError.NoSuchPassword],
  [['#abc'], RuleError.BadHash],
  [[`#${HASH.toUpperCase()}`], RuleError.BadHash],
  [['db=16'], RuleError.DatabaseOutOfRange],
  [['db=-1'], RuleError.DatabaseOutOfRange],
  [['db='], RuleError.Syntax],
  [['db=1,x'], RuleError.Syntax],
  [['(db=99)'], RuleError.DatabaseOutOfRange],
];

t.test('mistakes', async (t) => {
  for (const [rules, error] of MISTAKES) {
    const users = new Users(context);
    t.equal(users.set('u', ['on']), null);
    const failure = users.set('u', ['~before', ...rules]) ?? '';
    t.ok(failure.endsWith(error) || failure.startsWith('Unmatched'), `${rules.join(' ')}: ${failure}`);
    t.equal(users.get('u')!.describe(), 'on resetchannels -@all', 'nothing has changed');
  }
  t.equal(
    new Users(context).set('u', ['on', '(+get', '~a']),
    "Unmatched parenthesis in acl selector starting at '(+get'.",
  );
});

t.test('users in another thread', async (t) => {
  const users = new Users(context);
  users.set('a', ['+get', '~a', '>x', '(+set %W~b &c)', '+select|0']);
  users.set('b', ['on', 'nopass', 'db=1']);
  const other = new Users(context);
  other.apply(users.serialize(), true);
  t.same(other.lines(), users.lines());
  users.takeChanges();
  t.equal(users.takeChanges(), null);
  const known = other.get('a');
  users.set('b', ['off']);
  users.delete('nobody');
  users.set('c', []);
  other.apply(users.takeChanges()!, false);
  t.same(other.lines(), users.lines());
  t.equal(other.get('a'), known, 'who has not changed is the same object');
  const id = other.get('c')!.id;
  users.delete('c');
  users.set('c', []);
  other.apply(users.takeChanges()!, false);
  t.not(other.get('c')!.id, id, 'who comes again is somebody else');
  t.equal(other.withId(id), undefined);
});

t.test('a file of users', async (t) => {
  const users = new Users(context);
  users.set('old', ['on']);
  const before = users.default.id;
  t.equal(
    users.load('user a on\nuser x +nosuch >a %X~a +other\nusr y\nuser a off\n\nuser z (+get\n', 'f.acl'),
    "f.acl:2: Error in applying operation '+nosuch': Unknown command or category name in ACL. f.acl:2: Syntax error. " +
      "f.acl:2: Error in applying operation '+other': Unknown command or category name in ACL. f.acl:3 should start with " +
      "user keyword followed by the username. WARNING: Duplicate user 'a' found on line 4. f.acl:6: Unmatched parenthesis in " +
      'selector definition.WARNING: ACL errors detected, no change to the previously active ACL rules was performed',
  );
  t.ok(users.get('old'));
  t.equal(users.load('  user a on  (+get ~x) \r\n', 'f.acl'), null);
  t.same(users.lines(), [
    'user a on resetchannels -@all (~x resetchannels -@all +get)',
    'user default on nopass ~* &* +@all',
  ]);
  t.equal(users.default.id, before, 'the default user stays the same');
});

t.test('users of a configuration', async (t) => {
  const configured = (...lines: string[][]): string | null => new Users(context).addConfigured(lines);
  t.equal(configured(['a', 'on'], ['b']), null);
  t.equal(configured(['a', 'on'], ['a']), `Error in user declaration 'a': ${RuleError.Duplicate}`);
  t.equal(configured(['a b']), 'Spaces not allowed in ACL usernames');
  t.equal(configured(['a', '+nosuch']), `Error in user declaration '+nosuch': ${RuleError.Unknown}`);
  t.notMatch(configured(['a', '#secret']), /secret/);
  t.match(configured(['a', '(+get']), /Unmatched parenthesis/);
});

t.test('passwords', async (t) => {
  const user = new User('u', 1, context);
  for (const rule of ['on', '>one', '>two']) user.apply(rule, context);
  t.ok(user.accepts('one'));
  t.ok(user.accepts('two'));
  t.notOk(user.accepts('three'));
  user.apply('off', context);
  t.notOk(user.accepts('one'));
  t.notMatch(JSON.stringify(user.toSnapshot()), /one|two/);
});

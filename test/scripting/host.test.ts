/** What the engine asks of its host, and replies of all types. */
import t from 'tap';
import { TestEngine } from './test-engine.js';

/** A reply, and how a script sees it: in its words. */
const REPLIES: readonly (readonly [reply: string, seen: string])[] = [
  ['+OK\\r\\n', 'ok=OK'],
  ['-ERR bad thing\\r\\n', 'err=ERR bad thing ignore_error_stats_update=true'],
  ['-CODE\\r\\n', 'err=ERR CODE ignore_error_stats_update=true'],
  [':-42\\r\\n', '-42'],
  ['$5\\r\\nhello\\r\\n', 'hello'],
  ['$-1\\r\\n', 'false'],
  ['*-1\\r\\n', 'false'],
  ['*3\\r\\n:1\\r\\n$1\\r\\nx\\r\\n*0\\r\\n', '1=1 2=x 3={}'],
  ['_\\r\\n', 'nil'],
  ['#t\\r\\n', 'true'],
  ['#f\\r\\n', 'false'],
  [',1.5\\r\\n', 'double=1.5'],
  [',inf\\r\\n', 'double=inf'],
  [',-inf\\r\\n', 'double=-inf'],
  [',1e-300\\r\\n', 'double=1e-300'],
  ['(12345678901234567890\\r\\n', 'big_number=12345678901234567890'],
  ['=8\\r\\ntxt:text\\r\\n', 'verbatim_string={format=txt string=text}'],
  ['%2\\r\\n+a\\r\\n:1\\r\\n$1\\r\\nb\\r\\n_\\r\\n', 'map={'],
  ['~2\\r\\n$1\\r\\na\\r\\n:7\\r\\n', 'set={7=true a=true}'],
  ['|1\\r\\n+k\\r\\n+v\\r\\n:5\\r\\n', '5'],
];

const SHOW = `local function show(v)
  if type(v) ~= 'table' then return tostring(v) end
  local s = {}
  for k, x in pairs(v) do s[#s + 1] = tostring(k) .. '=' .. (type(x) == 'table' and '{' .. show(x) .. '}' or tostring(x)) end
  table.sort(s)
  return table.concat(s, ' ')
end
`;

t.test('replies of commands', async (t) => {
  const tested = new TestEngine();
  for (const [reply, seen] of REPLIES) {
    const got = tested.eval(`${SHOW} return show(redis.pcall('RAW', '${reply}'))`);
    t.ok(got.slice(got.indexOf('\n') + 1).startsWith(seen), `${reply}: ${got}`);
  }
});

t.test('large replies', async (t) => {
  const tested = new TestEngine();
  t.equal(tested.eval("return #redis.call('ECHO', string.rep('x', 3e6))"), ':3000000\r\n');
  t.equal(tested.eval("return redis.call('ECHO', string.rep('x', 2e6))").length, 2_000_012);
  t.equal(
    tested
      .eval("local t = {} for i = 1, 7900 do t[i] = i end return redis.pcall('nosuch', unpack(t))")
      .slice(0, 5),
    '-ERR ',
  );
});

t.test('the engine says what the script sets', async (t) => {
  const tested = new TestEngine();
  tested.eval(
    "redis.setresp(3) redis.setresp(2) redis.set_repl(redis.REPL_AOF) redis.log(redis.LOG_WARNING, 'a', 1, 2.5)",
  );
  t.same(tested.protocols, [3, 2]);
  t.same(tested.replication, [1]);
  t.same(tested.logged, ['3 a 1 2.5']);
  t.equal(tested.eval("return redis.acl_check_cmd('get', 'k')"), ':1\r\n');
  t.equal(tested.eval("return redis.acl_check_cmd('forbidden')"), '$-1\r\n');
  t.match(
    tested.eval("return redis.acl_check_cmd('nosuch')"),
    /Invalid command passed to redis.acl_check_cmd/,
  );
  t.equal(tested.eval('return server.sha1hex == redis.sha1hex'), ':1\r\n');
  t.match(tested.eval('return {os.clock() >= 0, redis.REDIS_VERSION_NUM}'), /:1\r\n:458767/);
});

t.test('keys and arguments of any bytes', async (t) => {
  const tested = new TestEngine();
  const bytes = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
  t.equal(tested.eval('return KEYS[1] .. ARGV[1]', [bytes], [bytes]), `$512\r\n${bytes}${bytes}\r\n`);
  const many = Array.from({ length: 5000 }, (_, index) => String(index));
  t.equal(tested.eval('return #KEYS .. ARGV[#ARGV]', many, many), '$8\r\n50004999\r\n');
  t.equal(tested.eval('return #ARGV[1]', [], ['x'.repeat(5_000_000)]), ':5000000\r\n');
});

t.test('a script is compiled again in a new instance', async (t) => {
  const tested = new TestEngine();
  t.equal(tested.eval('return 7'), ':7\r\n');
  tested.engine.discard();
  t.equal(tested.eval('return 7'), ':7\r\n');
});

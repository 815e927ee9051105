/** Libraries of functions: loading, what is refused, calling; and the same on redis-server. */
import t from 'tap';
import { Library } from '../../src/scripting/engine.js';
import { flagNames, parseScriptHeader, ScriptFlag } from '../../src/scripting/flags.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';
import { TestEngine } from './test-engine.js';

/** Sources of libraries, and what FUNCTION LOAD says of them: a name or an error. */
const LIBRARIES: readonly string[] = [
  'return 1',
  '#!lua',
  '#!lua name=a',
  "#!lua\nredis.register_function('f', function() end)",
  '#!lua name=a b=c\nx',
  '#!py name=a\nx',
  "#!LUA name=a\nredis.register_function('f1', function() end)",
  '#!lua name=a NAME=b\nx',
  '#!lua name=a-b\nx',
  '#!lua name=\nx',
  '#!lua name="a\nx',
  '#!lua name=a\nreturn 1',
  '#!lua name=a\na b',
  "#!lua name=a\nerror('x')",
  "#!lua name=a\nredis.call('get','a')",
  '#!lua name=a\nredis.register_function()',
  '#!lua name=a\nredis.register_function(1)',
  '#!lua name=a\nredis.register_function({})',
  "#!lua name=a\nredis.register_function('a','b')",
  '#!lua name=a\nredis.register_function({},function() end)',
  "#!lua name=a\nredis.register_function('a',function() end,1)",
  "#!lua name=a\nredis.register_function{function_name='a',callback=function() end, flags={'no-writes','xx'}}",
  "#!lua name=a\nredis.register_function{function_name='a',callback=function() end, flags='x'}",
  "#!lua name=a\nredis.register_function{function_name='a',callback=function() end, flags={1}}",
  "#!lua name=a\nredis.register_function{function_name='a',callback=function() end, flags={{}}}",
  "#!lua name=a\nredis.register_function{FUNCTION_NAME='a',CallBack=function() end, flags={'no-writes','ALLOW-OOM'}}",
  "#!lua name=a\nredis.register_function{function_name='a'}",
  '#!lua name=a\nredis.register_function{callback=function() end}',
  "#!lua name=a\nredis.register_function{function_name='a',callback=1}",
  "#!lua name=a\nredis.register_function{function_name='a',foo=1}",
  "#!lua name=a\nredis.register_function{function_name='a b',callback=function() end}",
  "#!lua name=a\nredis.register_function('a',function() end) redis.register_function('a',function() end)",
  '#!lua name=a\nlocal x = math.floor(1)',
  '#!lua name=a\ny = 1',
  '#!lua name=a\nreturn redis.foo',
  '#!lua name=a\nredis.x = 1',
  "#!lua name=a\nredis.log(redis.LOG_WARNING,'hi') local v = redis.REDIS_VERSION redis.register_function('a1',function() return v end)",
  "#!lua name=a\nredis.register_function{function_name='a1',callback=function() end,description=5,[1]=2}",
  "#!lua name=a\nredis.register_function{function_name='a1',callback=function() end,description={}}",
  "#!lua name=a\nredis.register_function{function_name='a1',callback=function() end,description='what it does'}",
  '#!lua name=a\nlocal t = nil; t.x = 1',
];

const CALLED = `#!lua name=called
redis.register_function('g1', function(keys, args) return {keys, args, #keys} end)
redis.register_function('g2', function(keys, args) return redis.call('echo', args[1]) end)
redis.register_function('g3', function() error('boom') end)
redis.register_function('g4', function() return redis.call('nosuch') end)
redis.register_function('g5', function() return KEYS end)
redis.register_function('g6', function() x = 1 end)
redis.register_function('g7', function() redis.register_function('z', function() end) end)
redis.register_function('g8', function() local t = {} for k in pairs(redis) do t[#t + 1] = k end return t end)
redis.register_function('g9', function() return nosuch end)
redis.register_function('g10', function() return pcall(error, {err = 'q'}) end)
redis.register_function('g11', function() _G.x = 1 end)
redis.register_function('g12', function() rawset(_G, 'x', 1) end)
redis.register_function('g13', function() return redis.breakpoint end)
redis.register_function('g14', function() return {cjson.encode({1}), bit.band(3, 1), math.floor(1.5), ('x'):rep(3)} end)
redis.register_function('g15', function() return {err = 'MY error'} end)
redis.register_function('g16', function() local t = {} t[1] = t return #t end)
local count = 0
redis.register_function('g17', function() count = count + 1 return count end)
`;
const FUNCTIONS = Array.from({ length: 17 }, (_, index) => `g${index + 1}`);

function loadReply(tested: TestEngine, source: string): string {
  const loaded = tested.engine.loadLibrary(Buffer.from(source));
  return loaded instanceof Library ? `$${loaded.name.length}\r\n${loaded.name}\r\n` : `-ERR ${loaded}\r\n`;
}

function load(tested: TestEngine, source: string): Library {
  const loaded = tested.engine.loadLibrary(Buffer.from(source));
  if (!(loaded instanceof Library)) throw new Error(loaded);
  return loaded;
}

t.test('libraries, on redis-server and here', { skip: skipWithoutRedis() }, async (t) => {
  const server = await TestServer.start({ kind: 'redis' });
  const client = await server.rawClient();
  const tested = new TestEngine();
  for (const source of LIBRARIES) {
    t.equal(loadReply(tested, source), await client.text('FUNCTION', 'LOAD', 'REPLACE', source), source);
  }
  await client.text('FUNCTION', 'LOAD', CALLED);
  const library = load(tested, CALLED);
  for (const name of FUNCTIONS) {
    const expected = await client.text('FCALL', name, '1', 'k', 'a1', 'a2');
    t.equal(tested.fcall(library, name, ['k'], ['a1', 'a2']), expected, name);
  }
  await server.stop();
});

t.test('what a library registers', async (t) => {
  const tested = new TestEngine();
  const library = load(
    tested,
    `#!lua name=mine
    redis.register_function{function_name='f', callback=function() return 1 end, description='one', flags={'no-writes', 'allow-stale'}}
    redis.register_function('g', function() return 2 end)`,
  );
  const f = library.functions.get('f')!;
  t.equal(f.description, 'one');
  t.same(flagNames(f.flags), ['no-writes', 'allow-stale']);
  t.equal(library.functions.get('g')!.description, undefined);
  t.equal(tested.fcall(library, 'g'), ':2\r\n');
  tested.engine.discard();
  t.equal(tested.fcall(library, 'f'), ':1\r\n', 'a library is loaded again in a new instance');
  tested.engine.releaseLibrary(library);
  t.equal(tested.fcall(library, 'g'), ':2\r\n');
  t.match(tested.fcall(library, 'nosuch'), /^-ERR Function not found/);
});

t.test('a library that does not end while it is loaded', async (t) => {
  const tested = new TestEngine({ interruptAfter: 3 });
  t.match(
    tested.engine.loadLibrary(Buffer.from('#!lua name=a\nwhile true do end')),
    /^Error registering functions: ERR Script killed/,
  );
  tested.interruptAfter = Number.POSITIVE_INFINITY;
  t.equal(tested.eval('return 1'), ':1\r\n');
});

t.test('flags of scripts', async (t) => {
  const parse = (source: string) => parseScriptHeader(Buffer.from(source));
  t.same(parse('return 1'), { flags: ScriptFlag.Compatible, codeStart: 0 });
  t.same(parse('#!lua\nreturn 1'), { flags: 0, codeStart: 5 });
  t.same(parse('#!lua flags=no-writes,allow-oom\n'), {
    flags: ScriptFlag.NoWrites | ScriptFlag.AllowOom,
    codeStart: 31,
  });
  t.same(parse('#!lua flags=allow-stale flags=no-cluster,allow-cross-slot-keys\n'), {
    flags: ScriptFlag.AllowStale | ScriptFlag.NoCluster | ScriptFlag.AllowCrossSlotKeys,
    codeStart: 62,
  });
  t.equal(parse('#!lua flags=xx\n'), 'Unexpected flag in script shebang: xx');
  t.equal(parse('#!lua name=a\n'), 'Unknown lua shebang option: name=a');
  t.equal(parse('#!py\n'), 'Unexpected engine in script shebang: #!py');
  t.equal(parse('#!lua'), 'Invalid script shebang');
  t.equal(parse('#!lua "\n'), 'Invalid engine in script shebang');
});

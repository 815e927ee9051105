/** Scripts that want to hang, crash or leave their box: each ends with an error, and the engine goes on. */
import t from 'tap';
import { TestEngine } from './test-engine.js';

const KILLED = /^-ERR Script killed by user with SCRIPT KILL\.\.\./;

/** Scripts that never end, by their own. */
const ENDLESS: readonly string[] = [
  'while true do end',
  'while true do pcall(function() while true do end end) end',
  "while true do pcall(error, 'x') end",
  'while true do xpcall(function() while true do end end, function() while true do end end) end',
  'local f f = function() while true do pcall(coroutine.wrap(f)) end end f()',
  'while true do coroutine.wrap(function() for i = 1, 30000 do end end)() end',
  "return string.find(string.rep('a', 40), string.rep('a?', 40) .. string.rep('a', 40))",
  "return string.match(string.rep('a', 30000), '.-.-.-.-b')",
  "local s, u = string.rep('x', 1e6), string.rep('x', 1e6) .. 'y' while true do local a = s < u end",
  "local s, u = string.rep('x', 1e6), string.rep('x', 1e6) .. 'y' while s <= u do end",
  "while true do string.gsub(string.rep('x', 1e5), '.', '') end",
  "for a in string.gmatch(string.rep('ab', 1e6), '(a.-)') do local b = a:find('.-.-.-c') end while true do end",
  "return string.find(string.rep('a', 3e6), string.rep('a', 1e6) .. 'b', 1, true)",
  "while true do string.rep('x', 1e6) end",
  "local s = string.rep('x', 1e6) while true do local t = s .. 'y' end",
  'local t = {} for i = 1, 1e5 do t[i] = i end while true do table.sort(t) end',
  'local t = {} for i = 1, 1e5 do t[i] = i end while true do table.insert(t, 1, 1) end',
  'local t = {} for i = 1, 1e4 do t[i] = {} end while true do collectgarbage() end',
  "local t = {} for i = 1, 1e5 do t[i] = 'abc' end while true do table.concat(t) end",
  "while true do redis.call('ECHO', 'x') end",
  "while true do redis.pcall('nosuch') end",
  "return load(function() return 'x' end)",
  'table.foreach({1}, function() while true do end end)',
  "local s = string.rep('a', 1000) while true do s:gsub('a', function(c) return string.rep(c, 100) end) end",
  "local s = string.rep('x', 1e6) while true do redis.sha1hex(s) end",
  'local t = {} for i = 1, 1e5 do t[i] = i end for i = 1, 1e5 do t[i] = nil end while true do next(t) end',
  'local t = {} for i = 1, 7000 do t[i] = i end while true do unpack(t) end',
  "local t = {'x'} for i = 1, 60 do t = {t, t} end return t",
  "local t = {'x'} for i = 1, 60 do t = {t, t} end return cjson.encode(t)",
  'local t = {} for i = 1, 15 do local u = {} for j = 1, 9 do u[j] = t end t = u end return cmsgpack.pack(t)',
];

t.test('what does not end is ended', async (t) => {
  const tested = new TestEngine({ interruptAfter: 4 });
  for (const script of ENDLESS) {
    t.match(tested.eval(script), KILLED, script);
    t.equal(tested.eval('return {1, #KEYS}'), '*2\r\n:1\r\n:0\r\n', 'the next script runs');
  }
});

/** Scripts that end with an error, and which. */
const FAILING: readonly (readonly [script: string, error: RegExp])[] = [
  ["return string.rep('x', 1e9)", /not enough memory/],
  ["return string.rep('xy', 2^30)", /not enough memory/],
  ["local s = 'x' while true do s = s .. s end", /not enough memory/],
  ['local t = {} while true do t = {t} end', /not enough memory/],
  ["local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(5000 + i) end", /not enough memory/],
  ["local t = {} local s = ('x'):rep(1e6) for i = 1, 1000 do t[i] = s end return t", /not enough memory/],
  [
    "local t = {} while true do pcall(function() while true do t[#t + 1] = ('x'):rep(1e6) .. #t end end) if #t > 20 then error(t) end end",
    /not enough memory|execution failure|unknown/,
  ],
  ["return string.rep('x', 100):rep(100):rep(100):rep(100):rep(100)", /not enough memory/],
  ['local function f() return f() + 1 end return f()', /stack overflow/],
  [
    'local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x',
    /C stack overflow/,
  ],
  ["local function f(x) return (x:gsub('.', f)) end return f('a')", /C stack overflow/],
  ["local function f() return loadstring('return ...')(f()) end return f()", /stack overflow/],
  ['local function f() return coroutine.wrap(f)() end return f()', /C stack overflow/],
  [
    'return tostring(setmetatable({}, {__tostring = function(s) return tostring(s) end}))',
    /C stack overflow/,
  ],
  ["return assert(loadstring('return ' .. string.rep('(', 100000)))", /chunk has too many syntax levels/],
  ["return assert(loadstring('return ' .. string.rep('{', 100000)))", /chunk has too many syntax levels/],
  ["return assert(loadstring(string.rep('do ', 100000)))", /chunk has too many syntax levels/],
  [
    "cjson.decode_max_depth(1e9) return cjson.decode(string.rep('[', 1e6))",
    /too many nested data structures/,
  ],
  [
    'cjson.encode_max_depth(1e9) local t = {} for i = 1, 1e5 do t = {t} end return cjson.encode(t)',
    /excessive nesting/,
  ],
  ["return cmsgpack.unpack(string.rep('\\145', 1e6))", /stack overflow/],
  ["return cmsgpack.unpack('\\221\\255\\255\\255\\255')", /Missing bytes/],
  ["return struct.pack('c2147483647', 'x')", /string too short/],
  ["return string.find('x', string.rep('(', 40))", /too many captures|invalid|pattern/],
  ["return string.find(string.rep('a', 5000), string.rep('a?', 5000))", /pattern too complex/],
  ["return assert(loadstring('\\27Lua'))", /unexpected symbol/],
  [
    'return assert(loadstring(string.dump(function() return 1 end)))',
    /unexpected symbol|malformed|unfinished|near/,
  ],
  [
    'local s = string.dump(function() end) return assert(load(function() local r = s s = nil return r end))',
    /near/,
  ],
  ["getmetatable('').__index = function() return 1 end", /Attempt to modify a readonly table/],
  ['rawset(string, "x", 1)', /Attempt to modify a readonly table/],
  ['setmetatable(_G, nil)', /Attempt to modify a readonly table/],
  ['table.insert(math, 1)', /Attempt to modify a readonly table/],
  ['cjson.decode = nil', /Attempt to modify a readonly table/],
  ['print("x")', /nonexistent global variable 'print'/],
  ['require("os")', /nonexistent global variable 'require'/],
  ['os.execute("true")', /attempt to call field 'execute'/],
  ['newproxy(true)', /nonexistent global variable 'newproxy'/],
  ['setfenv(1, {})', /nonexistent global variable 'setfenv'/],
  ['error({})', /execution failure/],
  ['error(setmetatable({}, {__newindex = function() error("again") end}))', /^-/],
];

t.test('what asks for too much, or reaches too far, fails', async (t) => {
  const tested = new TestEngine({ memoryBytesMax: 32 << 20 });
  for (const [script, error] of FAILING) {
    const reply = tested.eval(script);
    t.match(reply, /^-/, script);
    t.match(reply, error, script);
    t.equal(tested.eval('return {1, #KEYS}'), '*2\r\n:1\r\n:0\r\n', 'the next script runs');
    t.ok(tested.engine.memoryBytes <= 32 << 20, 'memory is bounded');
  }
});

t.test('nothing of a script is left for the next', async (t) => {
  const tested = new TestEngine();
  tested.eval(
    'cjson.encode_number_precision(2) cjson.encode_sparse_array(true) cjson.encode_invalid_numbers(true)',
  );
  t.equal(tested.eval('return cjson.encode(3.14159)'), '$7\r\n3.14159\r\n');
  t.match(tested.eval('return cjson.encode(0/0)'), /must not be NaN/);
  const first = tested.eval('return tostring(math.random())');
  tested.eval('math.randomseed(1)');
  const second = tested.eval('return tostring(math.random())');
  const seeded = tested.eval('math.randomseed(1) return tostring(math.random())');
  t.equal(
    tested.eval('math.randomseed(1) return tostring(math.random())'),
    seeded,
    'a seed gives the same numbers',
  );
  t.not(first, second);
  t.not(second, seeded, 'a seed is gone with its script');
  tested.eval("collectgarbage('stop')");
  tested.eval("local t = {} for i = 1, 1e5 do t[i % 10] = ('x'):rep(1000) .. i end");
  t.ok(tested.engine.memoryBytes < 64 << 20, 'garbage is collected again');
  tested.eval('redis.setresp(3)');
  t.equal(tested.eval("return redis.call('RAW', '#t\\r\\n')"), ':1\r\n');
  tested.eval(
    'local c = coroutine.create(function() while true do coroutine.yield() end end) coroutine.resume(c)',
  );
  t.equal(tested.eval('return tostring(coroutine.running())'), '$3\r\nnil\r\n');
});

t.test('a hungry script leaves no memory behind', async (t) => {
  const tested = new TestEngine();
  tested.eval("local t = {} for i = 1, 40 do t[i] = ('x'):rep(1e6) .. i end");
  t.ok(tested.engine.memoryBytes > 32 << 20);
  tested.engine.trim();
  t.equal(tested.eval('return 1'), ':1\r\n');
  t.ok(tested.engine.memoryBytes <= 16 << 20);
});

t.test('what the host throws comes out', async (t) => {
  const tested = new TestEngine();
  t.throws(() => tested.eval("return pcall(redis.call, 'FAIL')"), { message: 'the host has failed' });
  t.equal(tested.eval('return 1'), ':1\r\n');
});

t.test('the allocator keeps what it holds apart', async (t) => {
  const tested = new TestEngine();
  const script = `math.randomseed(tonumber(ARGV[1]))
    local held = {}
    for round = 1, 5000 do
      local slot = math.random(300)
      local text = held[slot]
      if text then
        local letter, length = text:sub(1, 1), #text
        if text ~= letter:rep(length) then error('a string has changed') end
      end
      local kind = math.random(10)
      local length = kind < 6 and math.random(250) or kind < 10 and math.random(5000) or math.random(100000)
      held[slot] = string.char(96 + math.random(26)):rep(length)
    end
    return 'ok'`;
  for (const seed of ['1', '2']) t.equal(tested.eval(script, [], [seed]), '$2\r\nok\r\n');
});

t.test('what a script may use does not depend on how many others there are', async (t) => {
  const tested = new TestEngine({ memoryBytesMax: 16 << 20 });
  const constants = '1,'.repeat(4000);
  let replied = 0;
  for (let index = 0; index < 400; index++) {
    if (tested.eval(`local list = {${constants}} return ${index}`) === `:${index}\r\n`) replied++;
  }
  t.equal(replied, 400);
  t.equal(tested.eval("return #string.rep('x', 1e6)"), ':1000000\r\n');
});

/** Scripts that the benchmarks run. */

const JSON_TEXT = JSON.stringify({
  id: 12345,
  name: 'a job with a name',
  tags: ['a', 'b', 'c', 'd'],
  nested: { x: 1, y: 2.5, z: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] },
  items: Array.from({ length: 36 }, (_, id) => ({
    id,
    title: `item number ${id}`,
    price: id * 1.25,
    ok: id % 2 === 0,
  })),
});
const NUMBERS =
  'local t, x = {}, 42 for i = 1, 10000 do x = (x * 1103515245 + 12345) % 2147483648 t[i] = x end';

/** Scripts and how often each runs in a batch of some tens of milliseconds. */
export const SCRIPTS: Readonly<Record<string, readonly [script: string, calls: number]>> = {
  'return 1': ['return 1', 40_000],
  GET: ["return redis.call('GET', KEYS[1])", 40_000],
  'rate limiter': [
    `local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
     if n > tonumber(ARGV[2]) then return 0 end return 1`,
    20_000,
  ],
  '1000 GET': ["local v for i = 1, 1000 do v = redis.call('GET', KEYS[1]) end return 1", 100],
  'cjson, 2 KB': ['return #cjson.encode(cjson.decode(ARGV[3]))', 400],
  'cmsgpack, 2 KB': [
    'local t = cjson.decode(ARGV[3]) for i = 1, 20 do t = cmsgpack.unpack(cmsgpack.pack(t)) end return 1',
    40,
  ],
  'fib(25)': [
    'local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end return fib(25)',
    6,
  ],
  'building strings': [
    "local t = {} for i = 1, 10000 do t[#t + 1] = 'item' .. i end return #table.concat(t, ',')",
    10,
  ],
  'sorting 10,000': [`${NUMBERS} table.sort(t) return 1`, 8],
  'sorting by a function': [`${NUMBERS} table.sort(t, function(a, b) return a > b end) return 1`, 4],
  gsub: [
    "local s = ('hello world '):rep(100) for i = 1, 10 do s = s:gsub('(%w+) (%w+)', '%2 %1') end return 1",
    100,
  ],
  'string.format': [
    "local t = {} for i = 1, 1000 do t[i] = string.format('%d:%s:%.2f', i, 'abc', i / 3) end return 1",
    50,
  ],
  '1000 errors': ["for i = 1, 1000 do pcall(error, 'x') end return 1", 20],
};

/** Their key, and their arguments behind it. */
export const SCRIPT_ARGUMENTS = ['key', '60', '100', JSON_TEXT];

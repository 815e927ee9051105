/** Which scripts are known to use no other keys than those that their callers declare. */

import t from 'tap';
import { createCommandTable } from '../../src/commands/commands.js';
import { usesOnlyDeclaredKeys } from '../../src/execution/scripts/declared-keys.js';

const table = createCommandTable();

const DECLARED = [
  'return 1',
  "return redis.call('GET', KEYS[1])",
  "return redis.call('SET', KEYS[1], ARGV[1], 'PX', 100)",
  'local key = KEYS[1] return redis.pcall("INCR", key)',
  "local a, b = KEYS[1], KEYS[2]\nredis.call('SET', a, 1)\nredis.call('SET', b, 2)",
  "local call = redis.call\nlocal n = call('INCR', KEYS[1])\nif n == 1 then call('EXPIRE', KEYS[1], ARGV[1]) end return n",
  "for i = 1, #KEYS do redis.call('DEL', KEYS[i]) end",
  "for _, key in ipairs(KEYS) do redis.call('DEL', key) end",
  "return redis.call('DEL', unpack(KEYS))",
  "return redis.call('MGET', KEYS[1], KEYS[2])",
  "return redis.call('HSET', KEYS[1], 'a' .. ARGV[1], tostring(1 + 2))",
  "redis.call('RENAME', KEYS[1], KEYS[2]) return redis.call('TIME')",
  "return redis.call('ZUNIONSTORE', KEYS[1], 2, KEYS[2], KEYS[3])",
  "return redis.call('SORT', KEYS[1], 'ALPHA')",
  "-- KEYS[1] .. 'x'\nreturn server.call('get', KEYS[1]) --[[ redis.call('GET', ARGV[1]) ]]",
  "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end",
  "redis.log(redis.LOG_NOTICE, 'x') return redis.sha1hex(KEYS[1])",
];

const OTHERS = [
  "return redis.call('GET', ARGV[1])",
  "return redis.call('GET', 'fixed')",
  "return redis.call('GET', KEYS[1] .. ':x')",
  "return redis.call('GET', KEYS[1]:rep(2))",
  'return redis.call(ARGV[1], KEYS[1])',
  "local key = KEYS[1] .. 'x' return redis.call('GET', key)",
  "local key = KEYS[1] key = 'other' return redis.call('GET', key)",
  "local key = KEYS[1]\nlocal function f(key) return redis.call('GET', key) end return f('x')",
  "local key, other = KEYS[1] for key in pairs({}) do redis.call('GET', key) end",
  "KEYS[1] = 'x' return redis.call('GET', KEYS[1])",
  "KEYS[1], KEYS[2] = 'x', 'y' return redis.call('GET', KEYS[1])",
  "table.insert(KEYS, 'x') return redis.call('GET', KEYS[1])",
  "local k = KEYS k[1] = 'x' return redis.call('GET', KEYS[1])",
  "return redis.call('DBSIZE')",
  "return redis.call('KEYS', '*')",
  "return redis.call('FLUSHALL')",
  "return redis.call('MGET', unpack(ARGV))",
  "return redis.call('MGET', KEYS[1], ARGV[1])",
  "return redis.call('SORT', KEYS[1], 'BY', 'w_*')",
  "return redis.call('SORT', KEYS[1], 'STORE', ARGV[1])",
  "return redis.call('SORT', KEYS[1], ARGV[1], 'x')",
  'local r = redis return r.call("GET", "x")',
  "return redis['call']('GET', 'x')",
  "return pcall(redis.call, 'GET', 'x')",
  "local f = redis.call; f = nil return f('GET', KEYS[1])",
  "return _G.redis.call('GET', 'x')",
  "return loadstring(\"return redis.call('GET', 'x')\")()",
  "local unpack = function() return 'x' end return redis.call('DEL', unpack(KEYS))",
  "return redis.call(unpack({'GET', 'x'}))",
  "return redis.call('GET', (function() return KEYS[1] end)())",
];

t.test('scripts that use declared keys only', async (t) => {
  for (const source of DECLARED) t.ok(usesOnlyDeclaredKeys(source, table), source);
});

t.test('scripts that may use others', async (t) => {
  for (const source of OTHERS) t.notOk(usesOnlyDeclaredKeys(source, table), source);
});

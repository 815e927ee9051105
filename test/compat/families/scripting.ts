/** Scripts and functions that run commands of other families, on keys that are declared or not. */

import { createHash } from 'node:crypto';
import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

/** One command, which ends the script if it fails. */
const CALL = 'return redis.call(unpack(ARGV))';
/** The same in RESP3, caught. */
const CALL_3 = 'redis.setresp(3) return redis.pcall(unpack(ARGV))';
/** Several commands, with a comma between them. */
const SEVERAL = `
  local replies, words = {}, {}
  for index = 1, #ARGV + 1 do
    if index > #ARGV or ARGV[index] == ',' then
      replies[#replies + 1] = redis.pcall(unpack(words))
      words = {}
    else
      words[#words + 1] = ARGV[index]
    end
  end
  return replies`;
/** Fails in the middle, after it has written. */
const HALF = "redis.call(unpack(ARGV)) redis.call('INCR', KEYS[1]) return redis.call('LLEN', KEYS[1])";
const TYPED = 'local reply = redis.pcall(unpack(ARGV)) return {type(reply), reply == false, reply}';
const SOURCES = [
  CALL,
  CALL_3,
  SEVERAL,
  TYPED,
  'return {KEYS, ARGV}',
  'return nil',
  "return {1, {ok = 'x'}, 2.7, true}",
];

const LIBRARY = `#!lua name=mine
redis.register_function('run', function(keys, args) return redis.call(unpack(args)) end)
redis.register_function{
  function_name = 'look',
  callback = function(keys, args) return redis.pcall(unpack(args)) end,
  flags = {'no-writes'},
}`;

const sha = (source: string): string => createHash('sha1').update(source).digest('hex');

function inner(v: Vocabulary): Word[] {
  return v.pick<() => Word[]>([
    () => ['GET', v.key()],
    () => ['SET', v.key(), v.value()],
    () => ['INCR', v.key()],
    () => ['INCRBY', v.key(), v.integerOrNot()],
    () => ['APPEND', v.key(), v.value()],
    () => ['STRLEN', v.key()],
    () => ['MSET', v.key(), v.value(), v.key(), v.value()],
    () => ['MGET', ...v.keys(3)],
    () => ['DEL', ...v.keys(3)],
    () => ['EXISTS', ...v.keys(3)],
    () => ['TYPE', v.key()],
    () => ['RENAME', v.key(), v.key()],
    () => ['EXPIRE', v.key(), '1000'],
    () => ['PERSIST', v.key()],
    () => ['RPUSH', v.key(), v.value(), v.value()],
    () => ['LPOP', v.key()],
    () => ['LRANGE', v.key(), '0', '-1'],
    () => ['HSET', v.key(), 'field', v.value()],
    () => ['HGETALL', v.key()],
    () => ['SADD', v.key(), v.value()],
    () => ['SISMEMBER', v.key(), v.value()],
    () => ['ZADD', v.key(), '1', 'one', '2.5', 'two'],
    () => ['ZRANGE', v.key(), '0', '-1', 'WITHSCORES'],
    () => ['ZSCORE', v.key(), 'two'],
    () => ['DBSIZE'],
    () => ['SELECT', v.database()],
    () => ['PING'],
    () => ['ECHO', v.value()],
    () => ['GET'],
    () => ['NOSUCHCOMMAND', v.value()],
    () => ['SUBSCRIBE', 'channel'],
    () => ['MULTI'],
    () => ['CONFIG', 'GET', 'port'],
  ])();
}

/** A number of keys, and as many, some of which the commands may use. */
function keys(v: Vocabulary): Word[] {
  const declared = v.below(3) === 0 ? [] : v.keys(3);
  return [String(declared.length), ...declared];
}

export const scripting: Family = {
  name: 'scripting',
  commands: [
    [6, (v) => [v.pick(['EVAL', 'EVAL', 'EVAL_RO']), CALL, ...keys(v), ...inner(v)]],
    [2, (v) => ['EVAL', CALL_3, ...keys(v), ...inner(v)]],
    [4, (v) => ['EVAL', SEVERAL, ...keys(v), ...inner(v), ',', ...inner(v), ',', ...inner(v)]],
    [2, (v) => ['EVAL', TYPED, ...keys(v), ...inner(v)]],
    [2, (v) => ['EVAL', HALF, '1', v.key(), ...inner(v)]],
    [1, (v) => ['EVAL', v.pick(SOURCES), ...keys(v), v.value(), v.value()]],
    [1, (v) => ['EVAL', `#!lua flags=no-writes\n${CALL}`, ...keys(v), ...inner(v)]],
    [0.5, (v) => ['EVAL', CALL, v.integerOrNot(), v.key()]],
    [0.5, (v) => ['EVAL', v.pick(['return +', '#!lua x=1\nreturn 1', 'error("x")', 'return nosuch']), '0']],
    [3, (v) => [v.pick(['EVALSHA', 'EVALSHA_RO']), sha(v.pick(SOURCES)), ...keys(v), ...inner(v)]],
    [1, (v) => ['SCRIPT', 'LOAD', v.pick(SOURCES)]],
    [1, (v) => ['SCRIPT', 'EXISTS', sha(v.pick(SOURCES)), sha(v.pick(SOURCES))]],
    [0.2, (v) => ['SCRIPT', 'FLUSH', ...v.pick([[], ['SYNC'], ['ASYNC'], ['WHAT']])]],
    [1, (v) => ['FUNCTION', 'LOAD', ...v.pick([[], ['REPLACE']]), LIBRARY]],
    [0.3, (v) => ['FUNCTION', v.pick(['DELETE', 'DELETE', 'FLUSH']), 'mine'].slice(0, v.pick([2, 3]))],
    [3, (v) => [v.pick(['FCALL', 'FCALL_RO']), v.pick(['run', 'look', 'none']), ...keys(v), ...inner(v)]],
  ],
};

/** RESTORE of what redis-server dumped, of all types. What DUMP gives is each server's own and not compared. */

import { Buffer } from 'node:buffer';
import type { Family } from '../family.js';
import type { Vocabulary, Word } from '../vocabulary.js';

const DUMPS: readonly Word[] = [
  // A text, an integer, a text that is compressed.
  'AAtIZWxsbyBXb3JsZAoAxGgU/J7S2tA=',
  'AME5MAoAnZTqJ5P8CLk=',
  'AMMKQHgCYWJh4GoBAWFiCgCyiHCMUwcW0g==',
  // Lists, the second one compressed.
  'EgECDw8AAAADAIFhAoFiAgMB/woA3KHmfVAFUEg=',
  'EgECwxlBbw5vAQAAKACHZWxlbWVudAjg/wjhTQ0BCP8KADifqKzAChM3',
  // Sets, of integers and of texts.
  'CxQEAAAAAwAAAAEAAAACAAAAcBEBAAoAhdXBBlsd0FU=',
  'AgMBYgFhAWMKAJnMgN1ZgtJV',
  // A sorted set and a hash, small and large.
  'ERwcAAAABgCBYQIBAYFiAoMyLjUEgWMCg2luZgT/CgBrHd7c6OLDmQ==',
  'BQMBYwAAAAAAAPB/AWIAAAAAAAAEQAFhAAAAAAAA8D8KANBdI68+GA+m',
  'EBISAAAABACBZgKBdgKBbgIBAf8KAPzkCPF5IuAW',
  'BAIBbsABAWYBdgoALaBYjjsnDSo=',
].map((text) => Buffer.from(text, 'base64'));

/** Mostly a dump, now and then one that is damaged. */
function dump(v: Vocabulary): Word {
  const bytes = Buffer.from(v.pick(DUMPS) as Buffer);
  const dice = v.below(20);
  if (dice === 0) return v.value();
  if (dice === 1) return bytes.subarray(0, v.below(bytes.length));
  if (dice === 2) bytes[v.below(bytes.length)]! ^= 1 << v.below(8);
  return bytes;
}

function key(v: Vocabulary): Word {
  return v.pick(['a', 'b', 'c', '{tag}1']);
}

export const dumps: Family = {
  name: 'dumps',
  commands: [
    [
      12,
      (v) => [
        v.chance(0.9) ? 'RESTORE' : 'RESTORE-ASKING',
        key(v),
        v.chance(0.6) ? '0' : v.milliseconds(),
        dump(v),
        ...v.options(2, [
          () => ['REPLACE'],
          () => ['REPLACE'],
          () => ['REPLACE'],
          () => ['IDLETIME', v.integerOrNot()],
          () => ['FREQ', v.integerOrNot()],
          () => [v.pick(['BOGUS', 'FREQ', 'IDLETIME'])],
        ]),
      ],
    ],
    [3, (v) => ['RESTORE', key(v), v.chance(0.3) ? '0' : v.unixMilliseconds(), dump(v), 'ABSTTL', 'REPLACE']],
    [1, (v) => ['DUMP', `nothing${String(v.below(3))}`]],
    [4, (v) => ['DEL', key(v), key(v)]],
    [4, (v) => ['TYPE', key(v)]],
    [2, (v) => ['PTTL', key(v)]],
    [2, (v) => ['DEBUG', 'DIGEST-VALUE', key(v)]],
    [1, (v) => ['GET', key(v)]],
    [1, (v) => ['LRANGE', key(v), '0', '-1']],
    [1, (v) => ['SMEMBERS', key(v)]],
    [1, (v) => ['ZRANGE', key(v), '0', '-1', 'WITHSCORES']],
    [1, (v) => ['HGETALL', key(v)]],
    [1, (v) => ['RPUSH', key(v), v.value()]],
    [1, (v) => ['SADD', key(v), v.value()]],
    [1, (v) => ['ZADD', key(v), '7', v.value()]],
    [1, (v) => ['HSET', key(v), v.value(), v.value()]],
  ],
};

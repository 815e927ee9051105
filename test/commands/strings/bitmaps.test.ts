/** What random scripts (test/compat) do not reach: long values, many operands, settings, watched keys. */

import t from 'tap';
import { Random } from '../../tools/random.js';
import { sharedServers, withServers } from '../../tools/server.js';

const onServers = sharedServers(t);

const OFFSET_ERROR = '-ERR bit offset is not an integer or out of range\r\n';

withServers(t, 'bits far out', { directives: { 'proto-max-bulk-len': '64mb' } }, async (t, server) => {
  const client = await server.rawClient();
  const expect = async (reply: string, ...request: string[]): Promise<void> => {
    t.equal(await client.text(...request), reply, request.join(' '));
  };
  await expect(OFFSET_ERROR, 'SETBIT', 'k', '536870912', '1');
  await expect(':0\r\n', 'EXISTS', 'k');
  await expect(':0\r\n', 'SETBIT', 'k', '536870911', '1');
  await expect(':1\r\n', 'SETBIT', 'k', '536870911', '1');
  await expect(':67108864\r\n', 'STRLEN', 'k');
  await expect(':1\r\n', 'BITCOUNT', 'k');
  await expect(':536870911\r\n', 'BITPOS', 'k', '1');
  await expect(':-1\r\n', 'BITPOS', 'k', '1', '0', '536870910', 'BIT');
  await expect('*1\r\n:1\r\n', 'BITFIELD', 'k', 'GET', 'u1', '536870911');
  await expect(':67108864\r\n', 'BITOP', 'NOT', 'n', 'k');
  await expect(':536870911\r\n', 'BITCOUNT', 'n');
  await expect(':536870911\r\n', 'BITPOS', 'n', '0');
  await expect(':67108864\r\n', 'BITOP', 'OR', 'n', 'n', 'k');
  await expect(':536870912\r\n', 'BITPOS', 'n', '0');
  await expect(':-1\r\n', 'BITPOS', 'n', '0', '0', '-1');
  await expect(OFFSET_ERROR, 'BITFIELD', 'k', 'SET', 'u8', '#67108864', '1');
  await expect('*1\r\n:128\r\n', 'BITFIELD', 'k', 'GET', 'u8', '536870911');
});

onServers('encoding and expiry of what bitmap commands write', async (t, server) => {
  const client = await server.rawClient();
  const expect = async (reply: string, ...request: string[]): Promise<void> => {
    t.equal(await client.text(...request), reply, request.join(' '));
  };
  await expect('+OK\r\n', 'SET', 'k', '12', 'EX', '1000');
  await expect(':0\r\n', 'SETBIT', 'k', '0', '0');
  await expect('$3\r\nraw\r\n', 'OBJECT', 'ENCODING', 'k');
  await expect(':1000\r\n', 'TTL', 'k');
  await expect('$2\r\n12\r\n', 'GET', 'k');
  await expect('*1\r\n:18\r\n', 'BITFIELD', 'new', 'INCRBY', 'u8', '0', '18');
  await expect('$3\r\nraw\r\n', 'OBJECT', 'ENCODING', 'new');
  await expect(':2\r\n', 'BITOP', 'AND', 'k', 'k');
  await expect(':-1\r\n', 'TTL', 'k');
  await expect('$3\r\nraw\r\n', 'OBJECT', 'ENCODING', 'k');
  await expect(':0\r\n', 'BITOP', 'OR', 'k', 'missing');
  await expect(':0\r\n', 'EXISTS', 'k');
});

onServers('only a change touches a watched key', async (t, server) => {
  const client = await server.rawClient();
  const aborts = async (...request: string[]): Promise<boolean> => {
    const [, , , , reply] = await client.pipeline([['WATCH', 'k'], request, ['MULTI'], ['PING'], ['EXEC']]);
    return reply!.toString() === '*-1\r\n';
  };
  t.ok(await aborts('SETBIT', 'k', '7', '1'));
  t.notOk(await aborts('SETBIT', 'k', '7', '1'));
  t.notOk(await aborts('GETBIT', 'k', '7'));
  t.ok(await aborts('SETBIT', 'k', '7', '0'));
  t.ok(await aborts('SETBIT', 'k', '100', '0'), 'longer by zeros');
  t.notOk(await aborts('BITFIELD', 'k', 'SET', 'u4', '0', '0'));
  t.notOk(await aborts('BITFIELD', 'k', 'OVERFLOW', 'FAIL', 'INCRBY', 'u4', '0', '16'));
  t.ok(await aborts('BITFIELD', 'k', 'INCRBY', 'u4', '0', '1'));
});

onServers('BITOP over many long operands of all shards', async (t, server) => {
  const seed = Date.now() % 1_000_000;
  const random = new Random(seed);
  const client = await server.rawClient();
  const values = new Map<string, Buffer>();
  for (let index = 0; index < 40; index++) {
    const value = Buffer.alloc(random.chance(0.1) ? 0 : random.below(40_000));
    for (let at = 0; at < value.length; at++) value[at] = random.uint32();
    values.set(`key${index}`, value);
    await client.command('SET', `key${index}`, value);
  }
  const keys = [...values.keys(), 'missing'];
  for (let round = 0; round < 60; round++) {
    const target = random.pick(keys);
    const operation = random.pick(['AND', 'OR', 'XOR']);
    const operands = Array.from({ length: random.between(1, 20) }, () => random.pick(keys));
    // More often than by chance the target is an operand too, also twice.
    for (let again = random.below(3); again > 0; again--) operands.push(target);
    const sources = operands.map((key) => values.get(key) ?? Buffer.alloc(0));
    const result = Buffer.alloc(Math.max(...sources.map((source) => source.length)));
    for (let at = 0; at < result.length; at++) {
      let byte = sources[0]![at] ?? 0;
      for (const source of sources.slice(1)) {
        const other = source[at] ?? 0;
        byte = operation === 'AND' ? byte & other : operation === 'OR' ? byte | other : byte ^ other;
      }
      result[at] = byte;
    }
    if (result.length === 0) values.delete(target);
    else values.set(target, result);
    const reply = await client.text('BITOP', operation, target, ...operands);
    const stored = await client.command('GET', target);
    const expected = values.has(target)
      ? Buffer.concat([Buffer.from(`$${result.length}\r\n`), result, Buffer.from('\r\n')])
      : Buffer.from('$-1\r\n');
    if (reply !== `:${result.length}\r\n` || !stored.equals(expected)) {
      t.fail(`seed ${seed}: BITOP ${operation} ${target} ${operands.join(' ')}`);
      return;
    }
  }
  t.pass(`seed ${seed}`);
});

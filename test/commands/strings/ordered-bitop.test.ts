import t from 'tap';
import { Random } from '../../tools/random.js';
import { sharedServers } from '../../tools/server.js';

const onServers = sharedServers(t);

/** What an operation makes of the operands' bits at one place. */
const OPERATIONS: Readonly<Record<string, (bits: number[]) => number>> = {
  DIFF: ([first, ...others]) => first! & ~others.reduce((left, right) => left | right, 0),
  DIFF1: ([first, ...others]) => ~first! & others.reduce((left, right) => left | right, 0),
  ANDOR: ([first, ...others]) => first! & others.reduce((left, right) => left | right, 0),
  ONE: (bits) => {
    let one = 0;
    for (let bit = 0; bit < 8; bit++) {
      if (bits.filter((byte) => ((byte >> bit) & 1) === 1).length === 1) one |= 1 << bit;
    }
    return one;
  },
};

function expected(operation: string, operands: readonly Buffer[]): Buffer {
  const length = Math.max(...operands.map((operand) => operand.length));
  const bytes = Array.from({ length }, (_, at) =>
    OPERATIONS[operation]!(operands.map((operand) => operand[at] ?? 0)),
  );
  return Buffer.from(bytes.map((byte) => byte & 255));
}

onServers('random operands, the target among them or not', async (t, server) => {
  const client = server.client();
  const random = new Random(20);
  const lengths = [0, 1, 3, 7, 8, 9, 100, 16_383, 16_384, 16_385, 20_000];
  for (let round = 0; round < 40; round++) {
    const count = 2 + random.below(4);
    const operands = Array.from({ length: count }, () =>
      Buffer.from(Array.from({ length: lengths[random.below(lengths.length)]! }, () => random.below(256))),
    );
    const keys = operands.map((_, index) => `{${round % 2}}operand:${index}`);
    for (let index = 0; index < count; index++) {
      if (operands[index]!.length === 0) await client.del(keys[index]!);
      else await client.set(keys[index]!, operands[index]!);
    }
    const names = Object.keys(OPERATIONS);
    const operation = names[random.below(names.length)]!;
    const target = random.below(3) === 0 ? keys[random.below(count)]! : 'target';
    const result = expected(operation, operands);
    t.equal(await client.call('BITOP', operation.toLowerCase(), target, ...keys), result.length);
    const stored = await client.getBuffer(target);
    const isRight = result.length === 0 ? stored === null : stored?.equals(result);
    t.ok(isRight, `round ${round}: ${operation} of ${operands.map(({ length }) => length)} to ${target}`);
  }
});

onServers('errors and what is there before', async (t, server) => {
  const client = await server.rawClient();
  for (const operation of ['DIFF', 'DIFF1', 'ANDOR']) {
    t.equal(
      await client.text('BITOP', operation, 'target', 'a'),
      `-ERR BITOP ${operation} must be called with at least two source keys.\r\n`,
    );
  }
  await client.command('SET', 'a', '\u0003');
  t.equal(await client.text('BITOP', 'ONE', 'target', 'a'), ':1\r\n');
  t.equal(await client.text('GET', 'target'), '$1\r\n\u0003\r\n');
  await client.command('EXPIRE', 'target', '100');
  await client.command('SET', 'b', '\u0001');
  t.equal(await client.text('BITOP', 'DIFF', 'target', 'a', 'b'), ':1\r\n');
  t.equal(await client.text('TTL', 'target'), ':-1\r\n');
  t.equal(await client.text('BITOP', 'DIFF', 'target', 'nosuch', 'nosuch'), ':0\r\n');
  t.equal(await client.text('EXISTS', 'target'), ':0\r\n');
  await client.command('RPUSH', 'list', 'x');
  t.match(await client.text('BITOP', 'ONE', 'target', 'a', 'list'), /^-WRONGTYPE/);
  t.equal(await client.text('BITOP', 'ONE', 'list', 'a', 'b'), ':1\r\n', 'the target may be of any type');
  t.equal(await client.text('GET', 'list'), '$1\r\n\u0002\r\n');
  t.equal(await client.text('BITOP', 'NONE', 'target', 'a'), '-ERR syntax error\r\n');
});

import t from 'tap';
import { ReplyWriter } from '../../src/protocol/reply-writer.js';
import { Random } from '../tools/random.js';

function written(protocol: 2 | 3, write: (reply: ReplyWriter) => void): string {
  const reply = new ReplyWriter(16);
  reply.protocol = protocol;
  write(reply);
  return Buffer.from(reply.bytes.subarray(0, reply.length)).toString('latin1');
}

t.test('each kind of reply in both protocols', async (t) => {
  const cases: [(reply: ReplyWriter) => void, string, string][] = [
    [(r) => r.ok(), '+OK\r\n', '+OK\r\n'],
    [(r) => r.simple('QUEUED'), '+QUEUED\r\n', '+QUEUED\r\n'],
    [(r) => r.error('ERR a\r\nb\xff'), '-ERR a  b\xff\r\n', '-ERR a  b\xff\r\n'],
    [(r) => r.integer(0), ':0\r\n', ':0\r\n'],
    [(r) => r.integer(-12), ':-12\r\n', ':-12\r\n'],
    [(r) => r.integer(Number.MAX_SAFE_INTEGER), ':9007199254740991\r\n', ':9007199254740991\r\n'],
    [(r) => r.integerBig(-(2n ** 63n)), ':-9223372036854775808\r\n', ':-9223372036854775808\r\n'],
    [(r) => r.bulkString(''), '$0\r\n\r\n', '$0\r\n\r\n'],
    [(r) => r.bulkString('é'), '$2\r\n\xc3\xa9\r\n', '$2\r\n\xc3\xa9\r\n'],
    [(r) => r.bulkBuffer(Buffer.from([0, 13, 10])), '$3\r\n\0\r\n\r\n', '$3\r\n\0\r\n\r\n'],
    [(r) => r.bulkInteger(-100), '$4\r\n-100\r\n', '$4\r\n-100\r\n'],
    [(r) => r.nullBulk(), '$-1\r\n', '_\r\n'],
    [(r) => r.nullArray(), '*-1\r\n', '_\r\n'],
    [(r) => r.array(12), '*12\r\n', '*12\r\n'],
    [(r) => r.map(3), '*6\r\n', '%3\r\n'],
    [(r) => r.set(3), '*3\r\n', '~3\r\n'],
    [(r) => r.push(2), '*2\r\n', '>2\r\n'],
    [(r) => r.double(0.1), '$19\r\n0.10000000000000001\r\n', ',0.10000000000000001\r\n'],
    [(r) => r.double(3), '$1\r\n3\r\n', ',3\r\n'],
    [(r) => r.double(-Infinity), '$4\r\n-inf\r\n', ',-inf\r\n'],
    [(r) => r.boolean(true), ':1\r\n', '#t\r\n'],
    [(r) => r.boolean(false), ':0\r\n', '#f\r\n'],
    [(r) => r.bigNumber('12345'), '$5\r\n12345\r\n', '(12345\r\n'],
    [(r) => r.verbatim('text', 'txt'), '$4\r\ntext\r\n', '=8\r\ntxt:text\r\n'],
    [(r) => r.raw(Buffer.from('abcdef'), 2, 3), 'cde', 'cde'],
  ];
  for (const [write, resp2, resp3] of cases) {
    t.equal(written(2, write), resp2, `RESP2 ${JSON.stringify(resp2)}`);
    t.equal(written(3, write), resp3, `RESP3 ${JSON.stringify(resp3)}`);
  }
});

t.test('integers of every size', async (t) => {
  const values = Array.from({ length: 12_000 }, (_, index) => index - 1000);
  for (let power = 1e4; power <= 1e15; power *= 10) values.push(power - 1, power, -power);
  const wrong = values.filter((value) => written(2, (r) => r.integer(value)) !== `:${value}\r\n`);
  t.same(wrong, []);
});

t.test('counts errors and keeps the last code', async (t) => {
  const reply = new ReplyWriter();
  reply.error('WRONGTYPE Operation');
  reply.error('OOM');
  t.equal(reply.errors, 2);
  t.equal(reply.lastError, 'OOM');
});

t.test('values of every length are copied from where they lie', async (t) => {
  const source = new Uint8Array(new SharedArrayBuffer(2048));
  for (let at = 0; at < source.length; at++) source[at] = (at * 31) & 255;
  const view = new DataView(source.buffer);
  for (let length = 0; length < 600; length++) {
    const offset = length % 17;
    const text = written(2, (r) => r.bulkCopy(source, view, offset, length));
    const value = Buffer.from(source.slice(offset, offset + length)).toString('latin1');
    if (text !== `$${length}\r\n${value}\r\n`) t.fail(`length ${length}`);
  }
  t.pass('all equal');
});

t.test('a buffer that grows keeps what it holds and changes its generation', async (t) => {
  const seed = Date.now() | 0;
  const random = new Random(seed);
  const reply = new ReplyWriter(16);
  let expected = '';
  let bytes = reply.bytes;
  let generation = reply.generation;
  for (let round = 0; round < 3000; round++) {
    const text = 'v'.repeat(random.below(random.pick([5, 50, 500])));
    const integer = random.below(2 ** 31);
    switch (random.below(5)) {
      case 0:
        reply.bulkString(text);
        expected += `$${text.length}\r\n${text}\r\n`;
        break;
      case 1:
        reply.integer(integer);
        expected += `:${integer}\r\n`;
        break;
      case 2: {
        const position = reply.reserveAggregate();
        reply.bulkString(text);
        reply.integer(integer);
        reply.patchAggregate(position, 'array', 2);
        expected += `*2\r\n$${text.length}\r\n${text}\r\n:${integer}\r\n`;
        break;
      }
      case 3: {
        const position = reply.length;
        reply.simple(text);
        reply.insert(position, '*1\r\n');
        expected += `*1\r\n+${text}\r\n`;
        break;
      }
      default:
        reply.ok();
        expected += '+OK\r\n';
    }
    if ((reply.bytes !== bytes) !== (reply.generation !== generation))
      t.fail('generation tells of a new buffer');
    bytes = reply.bytes;
    generation = reply.generation;
  }
  const actual = Buffer.from(reply.bytes.subarray(0, reply.length)).toString('latin1');
  t.ok(actual === expected, `same bytes (seed ${seed})`);
  reply.reset();
  t.equal(reply.length, 0);
});

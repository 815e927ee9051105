import { createRequire } from 'node:module';
import net from 'node:net';
import t from 'tap';
import {
  MAX_BATCH_COMMANDS,
  ParseState,
  ParseStatus,
  RequestParser,
} from '../../src/protocol/request-parser.js';
import { Random } from '../tools/random.js';
import { encodeCommand } from '../tools/raw-client.js';
import { skipWithoutRedis, TestServer } from '../tools/server.js';

type ReplyParserOptions = {
  returnReply(reply: unknown): void;
  returnError(error: Error): void;
  returnBuffers: boolean;
};
const ReplyParser = createRequire(import.meta.url)('redis-parser') as new (
  options: ReplyParserOptions,
) => { execute(bytes: Buffer): void };

/** Feeds a parser as a connection does: what is not consumed moves elsewhere and gets longer. */
class Feeder {
  readonly parser = new RequestParser();
  readonly commands: string[][] = [];
  error: string | null = null;
  /** Bytes not consumed yet. */
  pending = Buffer.alloc(0);
  private state: ParseState | null = null;

  feed(piece: Uint8Array): void {
    if (this.error !== null) return;
    // Ahead of them lie bytes that must not matter.
    const margin = 3 + (piece.length & 7);
    const bytes = Buffer.concat([Buffer.alloc(margin, 0x2a), this.pending, piece]);
    let position = margin;
    while (position < bytes.length) {
      position = this.parser.parse(bytes, position, bytes.length, this.state);
      for (let index = 0; index < this.parser.commandCount; index++) this.take(bytes, index);
      if (this.parser.status === ParseStatus.ProtocolError) {
        this.error = this.parser.errorText;
        return;
      }
      if (this.parser.status === ParseStatus.NeedMore) {
        this.state ??= new ParseState();
        break;
      }
    }
    this.pending = Buffer.from(bytes.subarray(position));
  }

  private take(bytes: Buffer, index: number): void {
    const { args, commandArgStart, commandArgCount } = this.parser;
    const command: string[] = [];
    for (let arg = 0; arg < commandArgCount[index]; arg++) {
      const offset = args[2 * (commandArgStart[index] + arg)];
      const lengthBytes = args[2 * (commandArgStart[index] + arg) + 1];
      command.push(bytes.toString('latin1', offset, offset + lengthBytes));
    }
    this.commands.push(command);
  }
}

function parseText(text: string, authenticated = true): Feeder {
  const feeder = new Feeder();
  feeder.parser.authenticated = authenticated;
  feeder.feed(Buffer.from(text, 'latin1'));
  return feeder;
}

function randomCommand(random: Random): Buffer[] {
  const count = random.chance(0.02) ? random.between(10, 400) : random.between(1, 12);
  return Array.from({ length: count }, () => {
    const lengthBytes = random.chance(0.01)
      ? random.below(40_000)
      : random.below(random.pick([3, 12, 12, 12, 1200]));
    return Buffer.from(
      Array.from({ length: Math.min(lengthBytes, 50) }, () => random.below(256)).concat(
        new Array(Math.max(0, lengthBytes - 50)).fill(13),
      ),
    );
  });
}

t.test('commands cut anywhere', async (t) => {
  const seed = Date.now() | 0;
  const random = new Random(seed);
  for (let round = 0; round < 120; round++) {
    const commands = Array.from({ length: random.between(1, 60) }, () =>
      random.chance(0.05) ? [Buffer.from('ping')] : randomCommand(random),
    );
    const stream = Buffer.concat(
      commands.map((command) =>
        command.length === 1 && command[0].toString() === 'ping'
          ? Buffer.from('\r\n  ping\r\n')
          : encodeCommand(command),
      ),
    );
    const feeder = new Feeder();
    let at = 0;
    const stepMax = random.pick([7, 300, 20_000, 1_000_000]);
    const stream2 = stepMax === 7 ? stream.subarray(0, 20_000) : stream;
    while (at < stream2.length) {
      const end = Math.min(stream2.length, at + random.between(1, stepMax));
      feeder.feed(stream2.subarray(at, end));
      at = end;
    }
    const expected = commands.map((command) => command.map((arg) => arg.toString('latin1')));
    if (stream2.length < stream.length) expected.length = feeder.commands.length;
    else if (feeder.pending.length !== 0) t.fail(`bytes left over (seed ${seed})`);
    if (feeder.error !== null || JSON.stringify(feeder.commands) !== JSON.stringify(expected)) {
      t.fail(`other commands, round ${round} (seed ${seed}): ${feeder.error}`);
      return;
    }
  }
  t.pass('same commands');
});

t.test('the same arguments as redis-parser reads', async (t) => {
  const seed = Date.now() | 0;
  const random = new Random(seed);
  const expected: string[][] = [];
  const oracle = new ReplyParser({
    returnReply: (reply) => expected.push((reply as Buffer[]).map((arg) => arg.toString('latin1'))),
    returnError: (error) => t.fail(String(error)),
    returnBuffers: true,
  });
  const feeder = new Feeder();
  for (let round = 0; round < 1000; round++) {
    const bytes = encodeCommand(randomCommand(random));
    const cut = random.below(bytes.length);
    for (const piece of [bytes.subarray(0, cut), bytes.subarray(cut)]) {
      if (piece.length === 0) continue;
      oracle.execute(Buffer.from(piece));
      feeder.feed(piece);
    }
  }
  t.equal(feeder.error, null);
  t.ok(JSON.stringify(feeder.commands) === JSON.stringify(expected), `seed ${seed}`);
});

t.test('a command of very many arguments in pieces is parsed once', async (t) => {
  const count = 50_000;
  const bytes = encodeCommand(Array.from({ length: count }, (_, index) => index));
  const parser = new RequestParser();
  const state = new ParseState();
  let scanned = 0;
  const counting = new Proxy(bytes, {
    get(target, key) {
      scanned++;
      return Reflect.get(target, key, target);
    },
  });
  for (let end = 4096; ; end += 4096) {
    parser.parse(counting, 0, Math.min(end, bytes.length), state);
    if (end >= bytes.length) break;
    if (parser.status !== ParseStatus.NeedMore) t.fail('a part is no whole command');
  }
  t.equal(parser.commandCount, 1);
  t.equal(parser.commandArgCount[0], count);
  t.equal(parser.args[2 * (count - 1)], bytes.length - 2 - 5);
  t.ok(scanned < 3 * bytes.length, `${scanned} bytes looked at for ${bytes.length}`);
});

t.test('batches', async (t) => {
  const ping = '*1\r\n$4\r\nPING\r\n';
  const bytes = Buffer.from(ping.repeat(MAX_BATCH_COMMANDS + 5) + ping.slice(0, 7));
  const parser = new RequestParser();
  const next = parser.parse(bytes, 0, bytes.length, null);
  t.equal(parser.commandCount, MAX_BATCH_COMMANDS);
  t.equal(parser.status, ParseStatus.Complete);
  t.equal(next, ping.length * MAX_BATCH_COMMANDS);
  t.equal(parser.commandEnd[MAX_BATCH_COMMANDS - 1], next);
  const last = parser.parse(bytes, next, bytes.length, null);
  t.equal(parser.commandCount, 5);
  t.equal(parser.status, ParseStatus.NeedMore);
  t.equal(last, ping.length * (MAX_BATCH_COMMANDS + 5));
});

t.test('says how many bytes are missing', async (t) => {
  const parser = new RequestParser();
  const bytes = Buffer.from('*2\r\n$4\r\nECHO\r\n$100000\r\nabc');
  t.equal(parser.parse(bytes, 0, bytes.length, null), 0);
  t.equal(parser.status, ParseStatus.NeedMore);
  t.equal(parser.bytesNeeded, 100_000 + 2 - 3);
});

t.test('inline commands', async (t) => {
  for (const [text, expected] of [
    ['PING\r\n', [['PING']]],
    ['PING\n', [['PING']]],
    ['\r\n\nPING\r\n', [['PING']]],
    [' \t SET  a   b \r\n', [['SET', 'a', 'b']]],
    ['SET "a b" \'c d\'\r\n', [['SET', 'a b', 'c d']]],
    ['E ""\r\n', [['E', '']]],
    ['E "\\xff\\x0g\\n\\r\\t\\b\\a\\q\\""\r\n', [['E', '\xffx0g\n\r\t\b\x07q"']]],
    ["E 'it\\'s \\n'\r\n", [['E', "it's \\n"]]],
    ['E a"b c"d\r\n', null],
    ['E a"b c"\r\n', [['E', 'ab c']]],
    ['E "a"\v\r\n', [['E', 'a']]],
    ['E a\vb\fc\r\n', [['E', 'a\vb\fc']]],
    ['E \\x41\r\n', [['E', '\\x41']]],
    ['E "a\r\n', null],
    ["E 'a\r\n", null],
    ["E 'a\\\r\n", null],
    ['E "a\\\r\n', null],
  ] as const) {
    const feeder = parseText(text);
    if (expected === null)
      t.equal(feeder.error, 'Protocol error: unbalanced quotes in request', JSON.stringify(text));
    else t.same(feeder.commands, expected, JSON.stringify(text));
  }
});

t.test('protocol errors', async (t) => {
  const long = '1'.repeat(65_537);
  for (const [text, error] of [
    [long, 'too big inline request'],
    [`*${long}`, 'too big mbulk count string'],
    [`*1\r\n$${long}`, 'too big bulk count string'],
    [`*1\r\n${long}`, 'too big bulk count string'],
    ['*x\r\n', 'invalid multibulk length'],
    ['*\r\n', 'invalid multibulk length'],
    ['*01\r\n', 'invalid multibulk length'],
    ['*2147483648\r\n', 'invalid multibulk length'],
    ['*1\r\nx\r\n', "expected '$', got 'x'"],
    ['*1\r\n$x\r\n', 'invalid bulk length'],
    ['*1\r\n$-1\r\n', 'invalid bulk length'],
    ['*1\r\n$00\r\n', 'invalid bulk length'],
    ['*1\r\n$01\r\na\r\n', 'invalid bulk length'],
    ['*1\r\n$536870913\r\n', 'invalid bulk length'],
  ] as const) {
    const feeder = parseText(`*1\r\n$4\r\nPING\r\n${text}`);
    t.equal(feeder.error, `Protocol error: ${error}`, JSON.stringify(text.slice(0, 40)));
    t.same(feeder.commands, [['PING']], 'the commands before are delivered');
  }
  t.equal(parseText('*11\r\n', false).error, 'Protocol error: unauthenticated multibulk length');
  t.equal(parseText('*1\r\n$16385\r\n', false).error, 'Protocol error: unauthenticated bulk length');
  t.equal(parseText('*10\r\n$16384\r\n', false).error, null);
});

/** Everything that a server answers to bytes, until it closes. */
function exchange(port: number, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = net.connect(port, '127.0.0.1', () => socket.end(bytes));
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('error', reject);
    socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
  });
}

t.test('hostile bytes are understood as redis-server does', { skip: skipWithoutRedis() }, async (t) => {
  const seed = Date.now() | 0;
  const random = new Random(seed);
  const pieces = [
    '*1\r\n$4\r\nPING\r\n',
    '*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\n',
    '*2\r\n$4\r\nECHO\r\n$0\r\n\r\n',
    'PING\r\n',
    'ECHO "a\\x41\\n"\r\n',
    "ECHO 'a\\''\n",
    '*',
    '$',
    '\r\n',
    '\n',
    '\r',
    '-',
    '+',
    '0',
    '1',
    '2',
    '10',
    ' ',
    '\t',
    '\v',
    '\f',
    '\0',
    '"',
    "'",
    '\\',
    '\\x',
    'ECHO',
    'x',
    '\xff',
    '*0\r\n',
    '*-1\r\n',
    '*-0\r\n',
    '$-1\r\n',
    '*2147483648\r\n',
    '*1\r\n',
    '$4\r\nPING\r\n',
    '*11\r\n',
    '$16385\r\n',
    '$536870913\r\n',
    '*9223372036854775808\r\n',
    '*-9223372036854775809999\r\n',
  ];
  for (const password of ['', 'secret']) {
    const redis = await TestServer.start({
      kind: 'redis',
      directives: password === '' ? {} : { requirepass: password },
    });
    t.teardown(() => redis.stop());
    const check = async (): Promise<void> => {
      const text = Array.from({ length: random.between(1, 8) }, () => random.pick(pieces)).join('');
      const feeder = parseText(text, password === '');
      const canonical = Buffer.concat(
        feeder.commands.map((command) => encodeCommand(command.map((arg) => Buffer.from(arg, 'latin1')))),
      );
      const [actual, same] = await Promise.all([
        exchange(redis.port, Buffer.from(text, 'latin1')),
        exchange(redis.port, canonical),
      ]);
      const error = feeder.error === null ? '' : `-ERR ${feeder.error.replace(/[\r\n]/g, ' ')}\r\n`;
      if (same + error !== actual) t.equal(same + error, actual, `${JSON.stringify(text)} (seed ${seed})`);
    };
    for (let round = 0; round < 100; round++) await Promise.all(Array.from({ length: 20 }, check));
  }
  t.pass('2 x 2000 streams');
});

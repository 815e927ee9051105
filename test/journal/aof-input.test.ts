import t from 'tap';
import { AofEnd, AofError, AofInput } from '../../src/journal/aof-input.js';
import type { ByteSource } from '../../src/system/files.js';
import { Random } from '../tools/random.js';

function sourceOf(bytes: Uint8Array): ByteSource {
  return {
    lengthBytes: bytes.length,
    read: (target, offset, lengthBytes, position) => {
      const part = bytes.subarray(position, position + lengthBytes);
      target.set(part, offset);
      return part.length;
    },
  };
}

function command(...args: string[]): string {
  return `*${args.length}\r\n${args.map((arg) => `$${arg.length}\r\n${arg}\r\n`).join('')}`;
}

interface Read {
  /** Arguments joined with spaces. */
  readonly commands: string[];
  readonly offsets: number[];
  readonly end: AofEnd;
  readonly offset: number;
  readonly failure: string;
  readonly firstTimestamp: number;
  readonly lastTimestamp: number;
}

/** Reads everything, through a small buffer. */
function readAll(text: string | Uint8Array, untilSeconds = Infinity, bufferBytes = 48): Read {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
  const input = new AofInput(sourceOf(bytes), 0, untilSeconds, bufferBytes);
  const commands: string[] = [];
  const offsets: number[] = [];
  let failure = '';
  try {
    while (input.next()) {
      const { args, commandArgStart, commandArgCount } = input.parser;
      for (let index = 0; index < input.commandCount; index++) {
        const words: string[] = [];
        for (let arg = 0; arg < commandArgCount[index]!; arg++) {
          const pair = 2 * (commandArgStart[index]! + arg);
          const offset = args[pair]!;
          words.push(Buffer.from(input.bytes.slice(offset, offset + args[pair + 1]!)).toString('latin1'));
        }
        commands.push(words.join(' '));
        offsets.push(input.commandOffset(index));
      }
    }
  } catch (error) {
    if (!(error instanceof AofError)) throw error;
    failure = error.message;
  }
  const { end, offset, firstTimestamp, lastTimestamp } = input;
  return { commands, offsets, end, offset, failure, firstTimestamp, lastTimestamp };
}

t.test('commands and annotations', async (t) => {
  const text =
    '#TS:100\r\n' +
    command('SELECT', '0') +
    command('SET', 'k', '') +
    '#TS:101\r\n#other\n' +
    command('DEL', 'k');
  t.match(readAll(text), {
    commands: ['SELECT 0', 'SET k ', 'DEL k'],
    offsets: [9, 32, 74],
    end: AofEnd.Complete,
    offset: text.length,
    firstTimestamp: 100,
    lastTimestamp: 101,
  });
  t.match(readAll(''), { commands: [], end: AofEnd.Complete, offset: 0, firstTimestamp: -1 });
});

t.test('up to a time', async (t) => {
  const parts = [
    '#TS:100\r\n',
    command('SET', 'a', '1'),
    '#TS:102\r\n',
    command('MULTI'),
    command('SET', 'b', '1'),
    '#TS:103\r\n',
    command('SET', 'c', '1'),
    command('EXEC'),
  ];
  const at = (count: number) => parts.slice(0, count).join('').length;
  const text = parts.join('');
  const until = (seconds: number) => readAll(text, seconds);
  t.match(until(99), { commands: [], end: AofEnd.TooNew, offset: 0, firstTimestamp: -1 });
  t.match(until(100), { commands: ['SET a 1'], end: AofEnd.TooNew, offset: at(2), lastTimestamp: 100 });
  t.match(until(101), { commands: ['SET a 1'], end: AofEnd.TooNew, offset: at(2) });
  t.match(
    until(102),
    { commands: ['SET a 1'], end: AofEnd.TooNew, offset: at(3) },
    'a transaction that ends later has not happened',
  );
  t.match(until(103), { end: AofEnd.Complete, offset: text.length, lastTimestamp: 103 });
  t.equal(until(103).commands.length, 5);
});

t.test('what is no log is refused, with the offset', async (t) => {
  const good = command('SET', 'k', 'value');
  for (const [bad, message] of [
    ['SET k v\r\n', /^neither a command nor an annotation at offset 31$/],
    ['\r\n', /at offset 31/],
    ['\0\0\0\0', /at offset 31/],
    ['$3\r\nSET\r\n', /at offset 31/],
    ['*0\r\n', /at offset 31/],
    ['*-1\r\n', /at offset 31/],
    ['*x\r\n', /at offset 31/],
    ['*1\r\n$-1\r\n', /at offset 31/],
    ['*1\r\n:1\r\n', /at offset 31/],
    ['*1\0', /at offset 31/],
    ['*1\r\n$3\0\r\nGET\r\n', /at offset 31/],
    ['*1\r\n$3\r\nGETxx*1\r\n', /does not end with a line at offset 42/],
    ['*1\r\n$3\r\nGETx', /at offset 31/],
    [`#${'x'.repeat(2000)}`, /too long at offset 31/],
  ] as const) {
    const { commands, failure } = readAll(good + bad);
    t.match(failure, message, JSON.stringify(bad.slice(0, 30)));
    t.ok('SET k value'.startsWith(commands.join()), 'nothing else is read');
  }
});

t.test('a length beyond the end takes no memory', async (t) => {
  const text = `${command('SET', 'k', 'v')}*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2000000000\r\nabc`;
  const input = new AofInput(sourceOf(Buffer.from(text)), 0, Infinity, 48);
  while (input.next());
  t.equal(input.end, AofEnd.Cut);
  t.equal(input.offset, command('SET', 'k', 'v').length);
  t.ok(input.bytes.length < 1000);
});

t.test('long values and transactions', async (t) => {
  const long = 'x'.repeat(100_000);
  const inside = Array.from({ length: 300 }, (_, index) => command('SET', `k${index}`, 'v'));
  const text = [
    command('SET', 'long', long),
    command('MULTI'),
    ...inside,
    command('EXEC'),
    command('multi'),
    command('SET', 'x', long),
    command('exec'),
    command('SET', 'y', '1'),
  ].join('');
  const read = readAll(text);
  t.equal(read.end, AofEnd.Complete);
  t.equal(read.commands.length, 1 + 302 + 3 + 1);
  t.equal(read.commands[0]!.length, 'SET long '.length + long.length);
  const cut = readAll(text.slice(0, text.length - command('SET', 'y', '1').length - 1));
  t.equal(cut.end, AofEnd.Cut);
  t.equal(cut.commands.length, 1 + 302, 'nothing of the last transaction');
});

interface Log {
  readonly text: string;
  /** Every command and its place; transactions with the place where they begin. */
  readonly commands: { text: string; start: number; end: number; unit: number; unitEnd: number }[];
}

function randomLog(random: Random): Log {
  const commands: Log['commands'] = [];
  let text = '';
  const add = (args: string[]) => {
    const start = text.length;
    text += command(...args);
    commands.push({ text: args.join(' '), start, end: text.length, unit: start, unitEnd: text.length });
  };
  const any = () => {
    const value = Array.from({ length: random.below(random.chance(0.1) ? 150 : 6) }, () =>
      random.chance(0.5) ? random.pick([...'*$#\r\n0123']) : String.fromCharCode(random.below(256)),
    ).join('');
    add(random.chance(0.5) ? ['SET', `k${random.below(20)}`, value] : ['DEL', value]);
  };
  for (let unit = 0; unit < 12; unit++) {
    if (random.chance(0.3)) text += `#TS:${1000 + unit}\r\n`;
    if (random.chance(0.3)) {
      const first = commands.length;
      add(['MULTI']);
      for (let left = random.below(8); left > 0; left--) {
        if (random.chance(0.1)) text += `#TS:${1000 + unit}\r\n`;
        any();
      }
      add(['EXEC']);
      for (const inside of commands.slice(first)) {
        inside.unit = commands[first]!.start;
        inside.unitEnd = text.length;
      }
    } else any();
  }
  return { text, commands };
}

/**
 * What a file says, read in the plainest way; null if it is none, or cut. Transactions are not looked at. As for
 * requests, the byte after a number's CR is not.
 */
function plainRead(text: string): string[] | null {
  const commands: string[] = [];
  let at = 0;
  const header = (type: string): number => {
    const lineEnd = text.indexOf('\r', at);
    const line = text.slice(at, Math.max(lineEnd, at));
    if (line[0] !== type || !/^.\d{1,10}$/.test(line)) return -1;
    at = lineEnd + 2;
    return Number(line.slice(1));
  };
  while (at < text.length) {
    if (text[at] === '#') {
      at = text.indexOf('\n', at) + 1;
      if (at === 0) return null;
      continue;
    }
    const argCount = header('*');
    if (argCount < 1) return null;
    const args: string[] = [];
    while (args.length < argCount) {
      const lengthBytes = header('$');
      if (lengthBytes < 0 || text.slice(at + lengthBytes, at + lengthBytes + 2) !== '\r\n') return null;
      args.push(text.slice(at, at + lengthBytes));
      at += lengthBytes + 2;
    }
    commands.push(args.join(' '));
  }
  return commands;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

t.test('cut at any byte, a file gives its whole commands and transactions', async (t) => {
  const seed = Date.now() | 0;
  const random = new Random(seed);
  for (let round = 0; round < 20; round++) {
    const { text, commands } = randomLog(random);
    for (let length = 0; length <= text.length; length++) {
      const { commands: found, end, offset, failure } = readAll(text.slice(0, length));
      const expected = commands.filter(({ unitEnd }) => unitEnd <= length);
      const place = `seed ${seed}, round ${round}, length ${length}`;
      if (failure !== '') t.fail(`${place}: ${failure}`);
      if (found.join() !== expected.map((each) => each.text).join()) t.fail(`${place}: other commands`);
      if (offset > length || offset < (expected.at(-1)?.unitEnd ?? 0)) t.fail(`${place}: offset ${offset}`);
      if ((end === AofEnd.Complete) !== (offset === length)) t.fail(`${place}: end ${end}`);
      const again = readAll(text.slice(0, offset));
      if (again.end !== AofEnd.Complete || again.commands.length !== found.length) t.fail(`${place}: again`);
    }
  }
  t.ok(random, `seed ${seed}`);
});

t.test('damaged at any byte, it is refused, or only the command with the damage suffers', async (t) => {
  const seed = Date.now() | 0;
  const random = new Random(seed);
  let refused = 0;
  for (let round = 0; round < 20; round++) {
    const { text, commands } = randomLog(random);
    for (let at = 0; at < text.length; at++) {
      const bytes = Buffer.from(text, 'latin1');
      bytes[at] = random.chance(0.5) ? bytes[at]! ^ (1 << random.below(8)) : random.below(256);
      const { commands: found, end, offset, failure } = readAll(bytes);
      const place = `seed ${seed}, round ${round}, byte ${at}`;
      const before = commands.filter((each) => each.unitEnd <= at).map((each) => each.text);
      const good = Math.min(before.length, failure === '' ? Infinity : found.length);
      if (found.slice(0, good).join() !== before.slice(0, good).join()) t.fail(`${place}: what comes before`);
      const said = plainRead(bytes.toString('latin1'));
      if (failure !== '') {
        refused++;
        if (said !== null) t.fail(`${place}: refused, but whole: ${failure}`);
        continue;
      }
      if (end === AofEnd.Cut) {
        if (offset > at) t.fail(`${place}: cut at ${offset}, behind the damage`);
        continue;
      }
      if (found.join() !== said?.join()) t.fail(`${place}: not what the file says`);
      // An argument whose length is another one now may happen to end where a later one ends: nothing can tell.
      if (isDigit(text.charCodeAt(at)) && isDigit(bytes[at]!)) continue;
      const isSame = ({ text: expected, start, end: last }: Log['commands'][0], index: number): boolean =>
        found[index] === expected || (start <= at && at < last && found[index]!.length === expected.length);
      if (found.length !== commands.length || !commands.every(isSame)) t.fail(`${place}: wrong commands`);
    }
  }
  t.ok(refused > 100, `seed ${seed}: ${refused} were refused`);
});

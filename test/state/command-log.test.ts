import t from 'tap';
import { COMMAND_LOG_ENTRIES_MAX, CommandLog, type LoggedRequest } from '../../src/state/command-log.js';

function request(...args: string[]): LoggedRequest {
  const bytes = Buffer.from(`xx${args.join('')}`);
  const pairs = [0, 2];
  let at = 2;
  for (const argument of args) {
    pairs.push(at, Buffer.byteLength(argument));
    at += Buffer.byteLength(argument);
  }
  return { bytes, pairs: new Int32Array(pairs), start: 1, count: args.length };
}

const text = (args: Uint8Array[]): string[] => args.map((argument) => Buffer.from(argument).toString());

t.test('entries come newest first and are bounded', async (t) => {
  const handle = CommandLog.create();
  const log = new CommandLog(handle);
  for (let index = 0; index < 5; index++) {
    log.add(request('set', `key${index}`, ''), 5_000_900, 1234.5, '127.0.0.1:1', 'me', 3);
  }
  const reader = new CommandLog(handle);
  t.equal(reader.length, 3);
  const entries = reader.get(-1);
  t.same(
    entries.map((entry) => entry.id),
    [4, 3, 2],
  );
  t.same(text(entries[0].args), ['set', 'key4', '']);
  t.same(
    { ...entries[0], args: [] },
    { id: 4, timeSeconds: 5000, value: 1234, args: [], address: '127.0.0.1:1', name: 'me' },
  );
  t.equal(reader.get(2).length, 2);
  t.same(reader.get(0), []);
  reader.reset();
  t.equal(log.length, 0);
  log.add(request('get', 'a'), 0, 1, '', '', 3);
  t.equal(log.get(-1)[0].id, 5);
  log.add(request('get', 'a'), 0, 1, '', '', 0);
  t.equal(log.length, 0);
});

t.test('long requests are cut', async (t) => {
  const log = new CommandLog(CommandLog.create());
  log.add(request('set', 'k', 'v'.repeat(128), 'w'.repeat(129), 'x'.repeat(1000)), 0, 1, '', '', 10);
  t.same(text(log.get(1)[0].args), [
    'set',
    'k',
    'v'.repeat(128),
    `${'w'.repeat(128)}... (1 more bytes)`,
    `${'x'.repeat(128)}... (872 more bytes)`,
  ]);
  const many = Array.from({ length: 33 }, (_, index) => `argument${index}`.padEnd(300, '.'));
  log.add(request(...many.slice(0, 32)), 0, 1, '', '', 10);
  t.equal(log.get(1)[0].args.length, 32);
  log.add(request(...many), 0, 1, 'a'.repeat(200), 'n'.repeat(300), 10);
  const [newest, before] = log.get(2);
  t.equal(newest.args.length, 32);
  t.equal(text(newest.args)[31], '... (2 more arguments)');
  t.equal(text(newest.args)[30], `${many[30].slice(0, 128)}... (172 more bytes)`);
  t.equal(newest.address.length, 112);
  t.equal(newest.name.length, 256);
  t.equal(text(before.args)[31], `${many[31].slice(0, 128)}... (172 more bytes)`);
});

t.test('the ring goes around', async (t) => {
  const log = new CommandLog(CommandLog.create());
  for (let index = 0; index < COMMAND_LOG_ENTRIES_MAX + 5; index++) {
    log.add(request(`c${index}`), 0, 1, '', '', 1_000_000);
  }
  t.equal(log.length, COMMAND_LOG_ENTRIES_MAX);
  const entries = log.get(-1);
  t.ok(entries.every((entry, index) => entry.id === COMMAND_LOG_ENTRIES_MAX + 4 - index));
  t.ok(entries.every((entry) => text(entry.args)[0] === `c${entry.id}`));
});

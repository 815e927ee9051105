/** Numbers to text and back, where the engine computes them itself instead of asking the C library. */
import t from 'tap';
import { Random } from '../tools/random.js';
import { TestEngine } from './test-engine.js';

/** What C's `%.<precision>g` gives, by JavaScript's digits. */
function general(value: number, precision: number): string {
  const [mantissa, exponent] = value.toExponential(precision - 1).split('e');
  const power = Number(exponent);
  const trim = (text: string) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);
  if (power >= -4 && power < precision) return trim(value.toFixed(Math.max(0, precision - 1 - power)));
  const size = String(Math.abs(power)).padStart(2, '0');
  return `${trim(mantissa)}e${power < 0 ? '-' : '+'}${size}`;
}

function randomDouble(random: Random): number {
  const view = new DataView(new ArrayBuffer(8));
  for (;;) {
    view.setUint32(0, random.uint32());
    view.setUint32(4, random.uint32());
    const value = view.getFloat64(0);
    if (Number.isFinite(value)) return value;
  }
}

t.test('doubles of all sizes', async (t) => {
  const tested = new TestEngine();
  const random = new Random(1);
  const values: number[] = [
    0.1,
    1 / 3,
    5e-324,
    1.7976931348623157e308,
    123456.789,
    1e21,
    1e22,
    1e23,
    0.5,
    1e-5,
  ];
  for (let count = 0; count < 2000; count++) values.push(randomDouble(random));
  for (let count = 0; count < 2000; count++)
    values.push((random.uint32() - 2 ** 31) / random.pick([3, 7, 1e3, 1e6, 9.7, 1e9]));
  const script = `local t = {}
    for i, text in ipairs(ARGV) do
      local v = tonumber(text)
      t[i] = string.format('%.17g', v) .. ' ' .. tostring(v)
    end
    return table.concat(t, '\\n')`;
  const reply = tested.eval(script, [], values.map(String));
  const lines = reply.split('\r\n')[1].split('\n');
  t.equal(lines.length, values.length);
  let wrong = 0;
  for (const [index, value] of values.entries()) {
    const [long, short] = lines[index].split(' ');
    if (Number(long) !== value || (Math.abs(value) < 1e21 && short !== general(value, 14))) {
      wrong++;
      if (wrong < 5) t.equal(`${long} ${short}`, `${general(value, 17)} ${general(value, 14)}`);
    }
  }
  t.equal(wrong, 0);
});

t.test('texts of all kinds', async (t) => {
  const tested = new TestEngine();
  const read = (text: string) =>
    tested.eval('return tostring(tonumber(ARGV[1]))', [], [text]).split('\r\n')[1];
  const cases: [string, string][] = [
    ['10', '10'],
    ['  10  ', '10'],
    ['1e2', '100'],
    ['.5', '0.5'],
    ['5.', '5'],
    ['1e', 'nil'],
    ['e5', 'nil'],
    ['', 'nil'],
    ['-', 'nil'],
    ['+7', '7'],
    ['- 7', 'nil'],
    ['0x10', '16'],
    ['-0x10', '-16'],
    ['0x', 'nil'],
    ['0x1p4', '16'],
    ['0x.8', '0.5'],
    ['0xffffffffff', '1099511627775'],
    ['0x1fffffffffffff', '9.007199254741e+15'],
    ['inf', 'inf'],
    ['-INFINITY', '-inf'],
    ['nan', 'nan'],
    ['1x', 'nil'],
    ['1 2', 'nil'],
    ['123456789012345678901234567890', '1.2345678901235e+29'],
    ['1e400', 'inf'],
    ['1e-400', '0'],
    ['0.1e1', '1'],
    ['1\t\n', '1'],
  ];
  for (const [text, expected] of cases) t.equal(read(text), expected, JSON.stringify(text));
});

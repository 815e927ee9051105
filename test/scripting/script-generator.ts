/**
 * Makes random scripts that use all of the script engine: arithmetic, strings, patterns, tables, metatables, coroutines,
 * errors, the libraries, commands, and values of all types as their results.
 *
 * A script shows what it finds as text: its parts run under pcall, and their results, or errors, are what it returns. What
 * differs between two servers without being wrong (addresses, the collector's counts, the last digit of a sine) is left out.
 */
import type { Random } from '../tools/random.js';

const NUMBERS = [
  '0',
  '1',
  '-1',
  '2',
  '3',
  '7',
  '10',
  '16',
  '31',
  '32',
  '33',
  '64',
  '100',
  '255',
  '256',
  '1000',
  '65535',
  '65536',
  '1e5',
  '1e15',
  '1e16',
  '1e17',
  '1e20',
  '1e100',
  '1e308',
  '1e-5',
  '1e-7',
  '0.1',
  '0.5',
  '1.5',
  '-0.25',
  '2.5',
  '3.14159265358979',
  '123456789',
  '4294967295',
  '4294967296',
  '2147483647',
  '-2147483648',
  '9007199254740991',
  '9007199254740993',
  '9223372036854775807',
  '1/0',
  '-1/0',
  '0/0',
  '0x10',
  '0xff',
  '1.7976931348623157e308',
  '5e-324',
  '123456.789',
  '0.30000000000000004',
  '1e14',
  '99999999999999.9',
];
const STRINGS = [
  "''",
  "'a'",
  "'abc'",
  "'hello world'",
  "'  trim  '",
  "'10'",
  "'0x1F'",
  "'1e3'",
  "' 5 '",
  "'-7.5'",
  "'a,b,,c'",
  "'key=value; k2=v2'",
  "'\\0'",
  "'a\\0b'",
  "'\\255\\1\\128'",
  "'line1\\nline2\\r\\n'",
  "'\\t\\\\\\\"'",
  "'THE (quick) fox'",
  "'x.y-z_w'",
  "'aaaaaaaaab'",
  '\'[1,2,{"a":null}]\'',
  "'%d %s'",
  "'inf'",
  "'nan'",
  "'1.'",
  "'.5'",
  "'0x'",
  "'é€😀'",
  "('ab'):rep(60)",
  "'ABCxyz019'",
];
const PATTERNS = [
  "'a'",
  "'.'",
  "'%a+'",
  "'%d+'",
  "'(%w+)=(%w+)'",
  "'^%s*(.-)%s*$'",
  "'[^,]*'",
  "'%f[%a]%a+'",
  "'%b()'",
  "'()'",
  "'(a*(.)%w(%s*))'",
  "'%1'",
  "'(.)%1'",
  "'[a-c]+'",
  "'[%w_]'",
  "'[]]'",
  "'[^]]'",
  "'[a-]'",
  "'%'",
  "'[a'",
  "'(a'",
  "'a)'",
  "'a-b'",
  "'a?b?'",
  "'.-'",
  "''",
  "'^'",
  "'$'",
  "'%z'",
  "'\\0'",
  "'%%'",
  "'%x%x'",
  "'%u%l*'",
  "'[%a-z]'",
  "'[a-%%]'",
  "'%g'",
  "'^(.)(.)(.)'",
  "'a+?'",
  "'%S+'",
  "'%P'",
  "'%C*'",
  "'%bxy'",
  "'%f'",
  "'%b'",
  "'[%'",
  "'(()())'",
  "'x*'",
  "'%W'",
];
const FORMATS = [
  "'%d'",
  "'%5d'",
  "'%-5d|'",
  "'%05d'",
  "'%+d'",
  "'% d'",
  "'%.3d'",
  "'%x'",
  "'%#x'",
  "'%X'",
  "'%o'",
  "'%u'",
  "'%c'",
  "'%e'",
  "'%.3e'",
  "'%f'",
  "'%.2f'",
  "'%10.3f'",
  "'%g'",
  "'%.10g'",
  "'%G'",
  "'%#g'",
  "'%s'",
  "'%5s'",
  "'%-5s|'",
  "'%.2s'",
  "'%q'",
  "'%i'",
  "'%%'",
  "'%'",
  "'%y'",
  "'%123d'",
  "'%1.123f'",
  "'%d %s'",
  "'%+-# 0+-d'",
  "'%20s|%-20s|'",
  "'%.0f'",
  "'%.14g'",
  "'%.17g'",
  "'%a'",
  "'%5c|'",
  "'x%dy%sz'",
  "'%.99f'",
  "'%99d'",
];
const STRUCT_FORMATS = [
  "'b'",
  "'B'",
  "'h'",
  "'H'",
  "'i'",
  "'I'",
  "'l'",
  "'L'",
  "'f'",
  "'d'",
  "'s'",
  "'c3'",
  "'c0'",
  "'x'",
  "'>i'",
  "'<i'",
  "'>d'",
  "'!4bi'",
  "'!bl'",
  "'i3'",
  "'I7'",
  "'i8'",
  "'i16'",
  "'I33'",
  "'>I2s'",
  "'bBhH'",
  "'T'",
  "' i i'",
  "'z'",
  "'!3'",
  "'!16bd'",
  "'Bc0'",
  "'i0'",
  "'c99999999999'",
  "'>!8 b d'",
];
const JSON_TEXTS = [
  "'1'",
  "'-0'",
  "'[]'",
  "'{}'",
  "'[1,2,3]'",
  '\'{"a":1,"b":[true,false,null]}\'',
  '\'"\\\\u00e9\\\\n"\'',
  '\'"\\\\ud83d\\\\ude00"\'',
  '\'"\\\\ud83d"\'',
  "'[1,]'",
  '\'{"a"}\'',
  "'{a:1}'",
  "'nan'",
  "'-inf'",
  "'0x1F'",
  "'1e5'",
  "'01'",
  "'+1'",
  "'tru'",
  "' [ 1 , 2 ] '",
  "'[1 2]'",
  '\'{"a":1,}\'',
  "'\"abc'",
  '\'"\\\\x"\'',
  "''",
  "'1.5e-3'",
  "'[[[[]]]]'",
  "'1e400'",
  "'123456789012345678901234567890'",
  '\'{"z":1,"y":2,"x":3,"w":{"v":[1,2,{"u":0}]}}\'',
  '\'"\\\\/\\\\b\\\\f\\\\r\\\\t"\'',
  "'null'",
  "'[null]'",
  "'nullx'",
  "'[0.1,1e-7,1E3,-5]'",
  '\'"\\1"\'',
  "'[1]x'",
  "'infinity'",
  "'-'",
  "'- 1'",
];

type Maker = (g: ScriptGenerator) => string;

export class ScriptGenerator {
  private readonly random: Random;
  private depth = 0;

  constructor(random: Random) {
    this.random = random;
  }

  pick<T>(items: readonly T[]): T {
    return this.random.pick(items);
  }

  private nested(simple: Maker, makers: readonly Maker[]): string {
    if (this.depth > 3 || this.random.chance(0.35)) return simple(this);
    this.depth++;
    const made = this.pick(makers)(this);
    this.depth--;
    return made;
  }

  number(): string {
    return this.nested(
      (g) => (g.random.chance(0.5) ? g.pick(NUMBERS) : String(g.random.between(-20, 300))),
      [
        (g) => `(${g.number()} ${g.pick(['+', '-', '*', '/', '%'])} ${g.number()})`,
        (g) => `-(${g.number()})`,
        (g) => `(${g.random.between(-5, 9)} ^ ${g.random.between(-3, 12)})`,
        (g) => `#${g.string()}`,
        (g) => `#${g.table()}`,
        (g) => `math.${g.pick(['abs', 'floor', 'ceil'])}(${g.number()})`,
        (g) => `math.${g.pick(['max', 'min'])}(${g.number()}, ${g.number()})`,
        (g) => `(tonumber(${g.string()}) or 0)`,
        (g) => `(tonumber(${g.string()}, ${g.random.between(2, 36)}) or 0)`,
        (g) => `bit.${g.pick(['band', 'bor', 'bxor'])}(${g.number()}, ${g.number()})`,
        (g) => `bit.${g.pick(['lshift', 'rshift', 'arshift', 'rol', 'ror'])}(${g.number()}, ${g.number()})`,
        (g) => `bit.${g.pick(['bnot', 'bswap', 'tobit'])}(${g.number()})`,
        (g) => `select('#', ${g.any()}, ${g.any()})`,
      ],
    );
  }

  string(): string {
    return this.nested(
      (g) => g.pick(STRINGS),
      [
        (g) => `(${g.string()} .. ${g.string()})`,
        (g) => `(${g.number()} .. ${g.string()})`,
        (g) => `(${g.string()}):${g.pick(['upper', 'lower', 'reverse'])}()`,
        (g) => `(${g.string()}):sub(${g.smallNumber()}, ${g.smallNumber()})`,
        (g) => `(${g.string()}):rep(${g.random.between(-1, 5)})`,
        (g) => `string.format('%.14g', ${g.number()})`,
        (g) => `tostring(${g.number()})`,
        (g) => `string.char(${g.random.below(256)}, ${g.random.below(256)})`,
        (g) => `(string.gsub(${g.string()}, ${g.pattern()}, ${g.replacement()}))`,
        (g) => `bit.tohex(${g.number()}, ${g.random.between(-9, 9)})`,
        (g) => `table.concat(${g.list()}, ${g.string()})`,
        (g) => `cjson.encode(${g.value()})`,
        (g) => `cmsgpack.pack(${g.value()})`,
        (g) => `redis.sha1hex(${g.string()})`,
        (g) => `struct.pack(${g.pick(STRUCT_FORMATS)}, ${g.number()}, ${g.number()})`,
        (g) => `redis.call('ECHO', ${g.random.chance(0.5) ? g.string() : g.number()})`,
        () => 'KEYS[1]',
        () => 'ARGV[2]',
        (g) => `type(${g.any()})`,
      ],
    );
  }

  smallNumber(): string {
    return this.random.chance(0.8) ? String(this.random.between(-6, 12)) : this.number();
  }

  pattern(): string {
    return this.random.chance(0.85) ? this.pick(PATTERNS) : this.string();
  }

  replacement(): string {
    return this.pick<Maker>([
      (g) => g.string(),
      () => "'<%0>'",
      () => "'%1%2'",
      () => "'%'",
      () => "'%%'",
      (g) => g.number(),
      () => 'function(a, b) return (a or 1) .. (b or 2) end',
      () => 'function() return nil end',
      () => 'function() return {} end',
      () => "{a='1', abc='two', hello=false}",
      () => 'setmetatable({}, {__index = function(_, k) return k .. k end})',
      () => "function(a) return (a:gsub('.', '%0%0')) end",
    ])(this);
  }

  /** A list of numbers and strings. */
  list(): string {
    const items = Array.from({ length: this.random.below(7) }, () =>
      this.random.chance(0.6) ? this.number() : this.string(),
    );
    return `{${items.join(', ')}}`;
  }

  table(): string {
    return this.nested(
      (g) => g.list(),
      [
        (g) =>
          `{${Array.from({ length: g.random.below(5) }, () => `[${g.key()}] = ${g.value()}`).join(', ')}}`,
        (g) => `{${Array.from({ length: g.random.below(5) }, () => g.value()).join(', ')}}`,
        (g) => `{a = ${g.value()}, b = ${g.value()}, ${g.value()}, ${g.value()}}`,
        (g) => `cjson.decode(${g.pick(JSON_TEXTS)})`,
        (g) => `cmsgpack.unpack(cmsgpack.pack(${g.table()}))`,
        (g) => `{unpack(${g.list()})}`,
        () => '{KEYS, ARGV}',
      ],
    );
  }

  key(): string {
    return this.pick<Maker>([
      (g) => String(g.random.between(1, 6)),
      (g) => `'${g.pick(['a', 'b', 'c', 'name', 'id', 'x1', 'long key with blanks'])}'`,
      (g) => g.pick(['1.5', '-3', '0', '100', '1e10', '2^31']),
    ])(this);
  }

  /** A value that can be encoded. */
  value(): string {
    return this.pick<Maker>([
      (g) => g.number(),
      (g) => g.string(),
      (g) => g.pick(['true', 'false', 'nil', 'cjson.null']),
      (g) => g.table(),
    ])(this);
  }

  any(): string {
    return this.random.chance(0.85)
      ? this.value()
      : this.pick(['function() end', 'pcall', 'coroutine.create(function() end)', 'redis', '_G']);
  }

  private args(count: number): string {
    return Array.from({ length: count }, () => this.any()).join(', ');
  }

  /** An expression whose results are shown. */
  private readonly probes: readonly Maker[] = [
    (g) => g.number(),
    (g) => g.string(),
    (g) => g.table(),
    (g) => `${g.any()} == ${g.any()}`,
    (g) => `${g.number()} < ${g.number()}`,
    (g) => `${g.string()} <= ${g.string()}`,
    (g) => `${g.any()} < ${g.any()}`,
    (g) => `${g.any()} .. ${g.any()}`,
    (g) => `${g.any()} + ${g.any()}`,
    (g) => `#${g.any()}`,
    (g) => `string.find(${g.string()}, ${g.pattern()})`,
    (g) =>
      `string.find(${g.string()}, ${g.pattern()}, ${g.smallNumber()}, ${g.pick(['true', 'false', 'nil'])})`,
    (g) => `string.match(${g.string()}, ${g.pattern()}, ${g.smallNumber()})`,
    (g) =>
      `string.gsub(${g.string()}, ${g.pattern()}, ${g.replacement()}, ${g.pick(['nil', '0', '1', '2', '-1'])})`,
    (g) =>
      `(function() local t = {} for a, b in string.gmatch(${g.string()}, ${g.pattern()}) do t[#t + 1] = a; t[#t + 1] = b or 0 end return t end)()`,
    (g) => `string.format(${g.pick(FORMATS)}, ${g.number()}, ${g.string()})`,
    (g) => `string.format(${g.pick(FORMATS)}, ${g.string()}, ${g.number()})`,
    (g) => `string.format(${g.pick(FORMATS)})`,
    (g) => `string.byte(${g.string()}, ${g.smallNumber()}, ${g.smallNumber()})`,
    (g) => `string.rep(${g.string()}, ${g.random.between(-2, 40)}):sub(1, 50)`,
    (g) =>
      `string.${g.pick(['len', 'lower', 'upper', 'reverse', 'byte', 'char', 'sub', 'find', 'match', 'gsub', 'format'])}(${g.args(g.random.below(4))})`,
    (g) =>
      `table.${g.pick(['concat', 'insert', 'remove', 'sort', 'getn', 'maxn', 'setn', 'foreach', 'foreachi'])}(${g.args(g.random.below(4))})`,
    (g) => `(function(t) table.insert(t, ${g.smallNumber()}, 'i') return t end)(${g.list()})`,
    (g) => `(function(t) local r = table.remove(t, ${g.smallNumber()}) return r, t end)(${g.list()})`,
    (g) => `table.concat(${g.list()}, ',', ${g.smallNumber()}, ${g.smallNumber()})`,
    (g) =>
      `(function(t) table.sort(t, function(a, b) return tostring(a) ${g.pick(['<', '>', '<='])} tostring(b) end) return t end)(${g.list()})`,
    (g) => `(function(t) table.sort(t) return t end)(${g.list()})`,
    (g) =>
      `(function(t) table.sort(t, function(a, b) return a.k < b.k end) return t end)({${Array.from({ length: g.random.below(12) }, (_, i) => `{k=${g.random.below(4)},v=${i}}`).join(',')}})`,
    (g) => `unpack(${g.table()}, ${g.smallNumber()}, ${g.random.between(-3, 9)})`,
    (g) => `select(${g.smallNumber()}, ${g.args(3)})`,
    (g) =>
      `math.${g.pick(['fmod', 'modf', 'frexp', 'ldexp', 'mod', 'pow'])}(${g.smallNumber()}, ${g.random.between(1, 9)})`,
    (g) =>
      `string.format('%.9g', math.${g.pick(['sin', 'cos', 'exp', 'log10', 'sqrt', 'atan', 'deg', 'rad'])}(${g.random.between(0, 50)}))`,
    (g) => `math.floor(${g.any()})`,
    (g) =>
      `(function() math.randomseed(${g.random.below(1000)}) return math.random(), math.random(${g.random.between(-1, 99)}), math.random(${g.random.between(0, 5)}, ${g.random.between(3, 99)}) end)()`,
    (g) =>
      `bit.${g.pick(['band', 'bor', 'bxor', 'lshift', 'tobit', 'tohex', 'bswap'])}(${g.args(g.random.below(3))})`,
    (g) => `cjson.encode(${g.any()})`,
    (g) => `cjson.decode(${g.pick(JSON_TEXTS)})`,
    (g) => `cjson.decode(${g.string()})`,
    (g) => `cjson.decode(cjson.encode(${g.table()}))`,
    (g) =>
      `(function() local j = cjson.new() j.${g.pick(['encode_sparse_array(true)', 'encode_sparse_array(true, 1, 1)', 'encode_max_depth(1)', 'encode_number_precision(3)', 'encode_number_precision(99)', 'encode_invalid_numbers(true)', "encode_invalid_numbers('null')", 'encode_invalid_numbers(false)', 'encode_keep_buffer(false)', 'encode_max_depth()'])} return j.encode(${g.table()}) end)()`,
    (g) =>
      `(function() local j = cjson.new() j.${g.pick(['decode_max_depth(2)', 'decode_invalid_numbers(false)', 'decode_invalid_numbers(true)', 'decode_max_depth(0)'])} return j.decode(${g.pick(JSON_TEXTS)}) end)()`,
    (g) => `cmsgpack.unpack(cmsgpack.pack(${g.args(2)}))`,
    (g) => `cmsgpack.unpack(${g.string()})`,
    (g) => `cmsgpack.unpack_one(${g.string()}, ${g.smallNumber()})`,
    (g) =>
      `cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 'x', {3}), ${g.random.between(-1, 5)}, ${g.random.between(-1, 4)})`,
    (g) => `struct.pack(${g.pick(STRUCT_FORMATS)}, ${g.any()}, ${g.any()})`,
    (g) => `struct.unpack(${g.pick(STRUCT_FORMATS)}, ${g.string()}, ${g.pick(['nil', '1', '2', '0', '9'])})`,
    (g) => `struct.size(${g.pick(STRUCT_FORMATS)})`,
    (g) =>
      `(function() local f = ${g.pick(STRUCT_FORMATS)} return struct.unpack(f, struct.pack(f, ${g.number()}, ${g.number()}, ${g.string()})) end)()`,
    (g) =>
      `redis.${g.pick(['call', 'pcall'])}(${g.pick(["'ECHO'", "'echo'", "'nosuch'", '{}', '12'])}, ${g.any()})`,
    (g) =>
      `redis.${g.pick(['error_reply', 'status_reply', 'sha1hex', 'setresp', 'set_repl', 'log'])}(${g.args(g.random.below(3))})`,
    (g) => `redis.error_reply(${g.string()})`,
    (g) => `error(${g.any()}, ${g.pick(['0', '1', '2', '3'])})`,
    (g) => `error(${g.string()})`,
    (g) => `assert(${g.any()}, ${g.string()})`,
    (g) => `pcall(${g.pick(['error', 'redis.call', 'string.rep', 'assert'])}, ${g.any()})`,
    (g) => `xpcall(function() return ${g.probe()} end, function(e) return 'handled ' .. type(e) end)`,
    (g) =>
      `xpcall(function() error(${g.value()}) end, ${g.pick(['function(e) return e end', 'function(e) error(e) end', 'type', '1'])})`,
    (g) =>
      `loadstring(${g.pick(["'return 1 + 1'", "'x x'", "'return ...'", "'\\27Lua'", "'return nope'", "'for'", "'goto x'", "'return \"'", "'a = = 1'", "'local function f() return f() end return 2'"])})`,
    (g) => `assert(loadstring('return ' .. ${JSON.stringify(g.number())}))()`,
    (g) =>
      `(function() local i, p = 0, {'return ', ${g.pick(["'1'", "'nope'", "'1 +'", "''", '5', '{}'])}} return load(function() i = i + 1 return p[i] end, ${g.pick(['nil', "'chunk'", "'=name'", "'@file'"])}) end)()`,
    (g) => `nosuchglobal${g.random.below(3)}`,
    () => `(function() newglobal = 1 end)()`,
    (g) =>
      `(function() ${g.pick(['redis', 'string', '_G', 'cjson', 'KEYS', 'math'])}.${g.pick(['x', 'call', 'pi'])} = 1 end)()`,
    (g) => `rawset(${g.pick(['{}', '_G', 'redis'])}, ${g.any()}, 1) and 1`,
    (g) => `rawget(${g.pick(['{a=1}', '_G'])}, ${g.string()})`,
    (g) => `rawequal(${g.any()}, ${g.any()})`,
    (g) => `next(${g.table()})`,
    (g) =>
      `(function() local c = coroutine.wrap(function(a, b) local x = coroutine.yield(a, b) local y = coroutine.yield(x) ${g.pick(['return y', 'error(y)', 'error({err = "co"})', 'coroutine.yield()'])} end) return c(${g.value()}, 2), c(${g.value()}), c(${g.value()}), c() end)()`,
    (g) =>
      `(function() local c = coroutine.create(function(...) return select('#', ...), coroutine.yield(...) end) return coroutine.resume(c, ${g.args(2)}), coroutine.status(c), coroutine.resume(c, ${g.any()}), coroutine.status(c), coroutine.resume(c) end)()`,
    (g) =>
      `coroutine.${g.pick(['create', 'resume', 'status', 'wrap', 'yield', 'running'])}(${g.args(g.random.below(2))})`,
    (g) =>
      `(function() local m = setmetatable({}, {__${g.pick(['add', 'concat', 'eq', 'lt', 'le', 'unm', 'mul', 'mod', 'call', 'tostring', 'index', 'newindex', 'len', 'metatable', 'pow', 'div'])} = function(...) return select('#', ...) end}) return ${g.pick(['m + 1', '1 .. m', 'm == m', 'm < m', 'm <= m', '-m', 'm * 2', 'm % 3', 'm(1, 2)', 'tostring(m)', 'm.x', '#m', 'getmetatable(m) and 1', 'setmetatable(m, {})', 'm ^ 2', 'm / 2', 'm > 1'])} end)()`,
    (g) => `(function() local t = setmetatable({}, {__index = ${g.table()}}) return t.a, t[1], t.nope end)()`,
    (g) =>
      `(function() local f, n = nil, 0 f = function(d) n = n + 1 if d > 0 then f(d - 1) end end f(${g.random.below(150)}) return n end)()`,
    (g) =>
      `(function() local s = 0 for i = ${g.smallNumber()}, ${g.smallNumber()}, ${g.pick(['1', '2', '-1', '0.5'])} do s = s + i if not (s < 500 and s > -500) then break end end return s end)()`,
    (g) =>
      `(function() local t = {} for k, v in pairs(${g.table()}) do t[#t + 1] = tostring(type(k)) .. type(v) end return t end)()`,
    (g) => `(function() local t = {} for i, v in ipairs(${g.list()}) do t[i] = v end return t end)()`,
    (g) => `(function(...) return select('#', ...), ... end)(${g.args(3)})`,
    (g) => `(function() local t = ${g.list()} t[#t + 1] = ${g.value()} t[2] = nil return #t, t end)()`,
    (g) => `tonumber(${g.any()}, ${g.pick(['nil', '10', '16', '2', '36', '37', '1'])})`,
    (g) => `tostring(${g.pick(['nil', 'true', 'cjson.null', '1e15', '0/0', '-0'])})`,
    (g) =>
      `(function() local x, n = ${g.number()}, 0 while x > 1 and n < 90 do x, n = x / 2, n + 1 end return x end)()`,
    (g) => `collectgarbage(${g.pick(["'stop'", "'restart'", "'collect'", "'nope'", '{}'])})`,
    (g) => `(${g.any()})(${g.any()})`,
    (g) => `(${g.any()})[${g.any()}]`,
    (g) => `(${g.value()}):${g.pick(['len', 'nope', 'sub'])}(${g.any()})`,
    (g) => `(function() local a = ${g.any()}; a.b.c = 1 end)()`,
    (g) => `(function() local up = ${g.any()}; return (function() return up.x end)() end)()`,
    (g) => `setmetatable(${g.any()}, ${g.any()}) and 1`,
    (g) => `getmetatable(${g.pick(["'x'", '{}', 'nil', '1', '_G'])}) and 1`,
  ];

  probe(): string {
    this.depth++;
    const made = this.pick(this.probes)(this);
    this.depth--;
    return made;
  }

  /** A value that is returned as it is, to be converted to a reply. */
  private reply(): string {
    return this.pick<Maker>([
      (g) => g.value(),
      (g) => g.table(),
      (g) => `{ok = ${g.string()}}`,
      (g) => `{err = ${g.string()}}`,
      (g) => `{double = ${g.number()}}`,
      (g) => `{big_number = ${g.string()}}`,
      (g) => `{map = ${g.table()}}`,
      (g) => `{set = ${g.table()}}`,
      (g) =>
        `{verbatim_string = {string = ${g.string()}, format = ${g.pick(["'txt'", "'mkd'", "'t'", "'long'", '1', 'nil'])}}}`,
      (g) => `redis.pcall('nosuch', ${g.value()})`,
      (g) => `redis.call('ECHO', ${g.value()})`,
      (g) => `redis.error_reply(${g.string()})`,
      (g) => g.probe(),
    ])(this);
  }

  /** A whole script. */
  script(): string {
    const shown = `local r = {}
local function show(v, d)
  local t = type(v)
  if t == 'number' then return string.format('%.14g', v) end
  if t == 'string' then return string.format('%q', v) end
  if t == 'function' or t == 'thread' or v == _G or v == redis then return t end
  if t ~= 'table' then return tostring(v) end
  if d > 4 then return '...' end
  local s, n = {}, 0
  for k, x in pairs(v) do
    n = n + 1
    if n > 40 then break end
    s[n] = show(k, d + 1) .. '=' .. show(x, d + 1)
  end
  return '{' .. table.concat(s, ';') .. '}'
end
local function add(...)
  local n = select('#', ...)
  r[#r + 1] = n
  for i = 1, n do r[#r + 1] = show((select(i, ...)), 0) end
end
`;
    const lines: string[] = [];
    if (this.random.chance(0.2)) lines.push(`redis.setresp(${this.random.chance(0.7) ? 3 : 2})`);
    if (this.random.chance(0.25)) return `${lines.join('\n')}\nreturn ${this.reply()}`;
    if (this.random.chance(0.1)) return `local x = ${this.probe()}\nreturn ${this.reply()}`;
    for (let count = this.random.between(1, 6); count > 0; count--) {
      lines.push(`add(pcall(function() return ${this.probe()} end))`);
    }
    return `${shown}${lines.join('\n')}\nreturn r`;
  }
}

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import {
  AofManifest,
  type AofPlace,
  adoptOldFile,
  hasOldFile,
  manifestPath,
  readManifest,
  writeManifest,
} from '../../src/journal/aof-manifest.js';
import { Random } from '../tools/random.js';

const NAME = 'appendonly.aof';

function placeFor(t: Test): AofPlace & { dir: string } {
  const dir = mkdtempSync(path.join(tmpdir(), 'damselfly-manifest-'));
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return { dir, folder: path.join(dir, 'appendonlydir'), fileName: NAME };
}

t.test('a manifest of all kinds of files reads, and is written as it was', async (t) => {
  const text = [
    'file appendonly.aof.2.base.rdb seq 2 type b',
    'file appendonly.aof.1.base.rdb seq 1 type h',
    'file appendonly.aof.3.incr.aof seq 3 type h',
    'file appendonly.aof.4.incr.aof seq 4 type i',
    'file appendonly.aof.5.incr.aof seq 5 type i',
    '',
  ].join('\n');
  const manifest = AofManifest.parse(text);
  t.same(manifest.base, { name: 'appendonly.aof.2.base.rdb', sequence: 2 });
  t.same(
    manifest.files.map((file) => file.name),
    ['appendonly.aof.2.base.rdb', 'appendonly.aof.4.incr.aof', 'appendonly.aof.5.incr.aof'],
  );
  t.equal(manifest.history.length, 2);
  t.equal(manifest.format(), text);
});

t.test('comments, other names, any case, any order and any space are fine', async (t) => {
  const manifest = AofManifest.parse(
    '# by hand\n  seq 7\tFILE "a b.aof" type i startoffset 12 \r\nfile x type b seq 1\n',
  );
  t.same(manifest.increments, [{ name: 'a b.aof', sequence: 7 }]);
  t.same(manifest.base, { name: 'x', sequence: 1 });
  t.ok(AofManifest.parse('# nothing\n').isEmpty);
});

t.test('what is wrong is said in one line', async (t) => {
  const base = 'file b seq 1 type b\n';
  for (const [text, message] of [
    ['', /empty/],
    [`${base}\n`, /line 2: .*form/],
    ['file a seq 1 type\n', /line 1: .*form/],
    ['file a seq 1\n', /form/],
    ['file "a seq 1 type b\n', /form/],
    ['file a seq 0 type b\n', /no sequence number/],
    ['file a seq x type b\n', /no sequence number/],
    ['file "" seq 1 type b\n', /no name/],
    ['name a seq 1 type b\n', /no name/],
    ['file ../a seq 1 type b\n', /a path/],
    ['file .. seq 1 type b\n', /a path/],
    ['file a seq 1 type z\n', /Unknown AOF file type: "z"/],
    [`${base}${base}`, /line 2: Found duplicate base file information/],
    ['file a seq 2 type i\nfile b seq 2 type i\n', /line 2: Found a non-monotonic sequence number: 2/],
    ['file a seq 2 type i\nfile b seq 1 type i\n', /line 2: Found a non-monotonic sequence number: 1/],
    ['file a seq 1 type b', /line 1: Invalid AOF manifest file format: it is cut/],
    [`file ${'a'.repeat(1024)} seq 1 type b\n`, /too long/],
  ] as const) {
    t.throws(() => AofManifest.parse(text), { message }, JSON.stringify(text.slice(0, 50)));
  }
});

t.test('a file cut anywhere is refused, or has fewer lines', async (t) => {
  const text = 'file b seq 1 type b\nfile h seq 1 type h\nfile i seq 1 type i\nfile j seq 12 type i\n';
  for (let end = 0; end < text.length; end++) {
    const cut = text.slice(0, end);
    if (cut !== '' && cut.endsWith('\n')) t.ok(text.startsWith(AofManifest.parse(cut).format()));
    else t.throws(() => AofManifest.parse(cut));
  }
});

t.test('any name survives', async (t) => {
  const seed = 4711;
  const random = new Random(seed);
  for (let round = 0; round < 500; round++) {
    const characters = Array.from({ length: random.between(1, 12) }, () =>
      random.chance(0.5) ? random.pick([...' "\'\\#\n\r\tß…']) : String.fromCharCode(random.between(33, 126)),
    );
    const name = characters.join('').replaceAll('/', '_').replaceAll('.', ',');
    const manifest = new AofManifest();
    manifest.addIncrement(name);
    const back = AofManifest.parse(manifest.format());
    if (!t.same(back.increments, manifest.increments, `seed ${seed}: ${JSON.stringify(name)}`)) break;
  }
});

t.test('names of new files, and what becomes of the old ones', async (t) => {
  const manifest = new AofManifest();
  t.equal(manifest.addBase(NAME, true).name, 'appendonly.aof.1.base.rdb');
  t.equal(manifest.addIncrement(NAME).name, 'appendonly.aof.1.incr.aof');
  t.equal(manifest.addIncrement(NAME).name, 'appendonly.aof.2.incr.aof');
  const next = manifest.copy();
  t.equal(next.addIncrement(NAME).name, 'appendonly.aof.3.incr.aof');
  t.equal(next.addBase(NAME, false).name, 'appendonly.aof.2.base.aof');
  next.retireIncrements(1);
  t.equal(
    next.format(),
    [
      'file appendonly.aof.2.base.aof seq 2 type b',
      'file appendonly.aof.2.incr.aof seq 2 type h',
      'file appendonly.aof.1.incr.aof seq 1 type h',
      'file appendonly.aof.1.base.rdb seq 1 type h',
      'file appendonly.aof.3.incr.aof seq 3 type i',
      '',
    ].join('\n'),
  );
  t.equal(manifest.files.length, 3, 'the one that was copied is as it was');
  next.retireIncrements(0);
  t.same(next.files, [next.base]);
  const read = AofManifest.parse(next.format());
  t.equal(read.addBase(NAME, true).sequence, 3);
  t.equal(read.addIncrement(NAME).sequence, 4, 'that of a file that is history is not used again');
});

t.test('on the disk', async (t) => {
  const place = placeFor(t);
  t.equal(readManifest(place), null, 'no folder');
  const manifest = new AofManifest();
  manifest.addBase(NAME, true);
  writeManifest(place, manifest);
  t.same(readdirSync(place.folder), ['appendonly.aof.manifest']);
  manifest.addIncrement(NAME);
  writeManifest(place, manifest);
  t.equal(readFileSync(manifestPath(place), 'latin1'), manifest.format());
  t.same(readManifest(place), manifest);
  writeFileSync(manifestPath(place), 'rubbish\n');
  t.throws(() => readManifest(place), { message: /^the AOF manifest .*\.manifest can't be used: line 1/ });
  rmSync(manifestPath(place));
  t.equal(readManifest(place), null, 'no file');
  mkdirSync(manifestPath(place));
  t.throws(() => readManifest(place), { message: /^can't read the AOF manifest/ });
});

t.test('a file of the time before manifests is taken in', async (t) => {
  const place = placeFor(t);
  const none = new AofManifest();
  t.notOk(hasOldFile(place, place.dir, none));
  writeFileSync(path.join(place.dir, NAME), 'data');
  t.ok(hasOldFile(place, place.dir, none));
  const adopted = adoptOldFile(place, place.dir, none);
  t.equal(adopted.format(), 'file appendonly.aof seq 1 type b\n');
  t.same(readManifest(place), adopted);
  t.equal(readFileSync(path.join(place.folder, NAME), 'latin1'), 'data');
  t.same(readdirSync(place.dir), ['appendonlydir']);

  t.notOk(hasOldFile(place, place.dir, adopted), 'nothing is left to take');
  writeFileSync(path.join(place.dir, NAME), 'other');
  t.notOk(hasOldFile(place, place.dir, adopted), 'the file in the folder is the one that counts');
  rmSync(path.join(place.folder, NAME));
  t.ok(hasOldFile(place, place.dir, adopted), 'a crash came before the file was moved');
  adopted.addIncrement(NAME);
  t.notOk(hasOldFile(place, place.dir, adopted), 'the manifest has files of its own');
});

/**
 * Files with a value that declares more elements than it has. It takes what follows for its elements, so the error may
 * be found in the value or behind it: it names the key, however many threads load the file. Keys that were taken for
 * elements without any error are missing, which the log tells.
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { createKeyspace, Keyspace } from '../../src/keyspace/keyspace.js';
import { Attention } from '../../src/memory/attention.js';
import { earliestFailure, loadFile } from '../../src/persistence/load-file.js';
import {
  ELEMENT_FORMS,
  type ElementForm,
  rdbCollection,
  rdbFile,
  rdbLength,
  rdbString,
} from '../tools/rdb-builder.js';
import { type ServerOptions, TestServer } from '../tools/server.js';

const ELEMENTS = 20;
const KEYS_BEFORE = 40;
const KEYS_BEHIND = 400;
/** Beyond it, threads load a file together. */
const LARGE_BYTES = 5 << 20;

/** A key, of a string or of an integer, as files have it. */
function stringKey(number: number): Buffer {
  const value = number % 3 === 0 ? Buffer.from([0xc0, number & 127]) : rdbString(`value ${number}`);
  return Buffer.concat([Buffer.from([0]), rdbString(`key:${number}`), value]);
}

/** A file whose key "short" declares `missing` elements more than it has. */
function shortFile(form: ElementForm, missing: number, fillerBytes = 0): Buffer {
  const keys = Array.from({ length: KEYS_BEFORE + KEYS_BEHIND }, (_, number) => stringKey(number));
  const short = [
    Buffer.from([form.type]),
    rdbString('short'),
    rdbCollection(form, ELEMENTS, ELEMENTS + missing),
  ];
  const filler = [Buffer.from([0]), rdbString('filler'), rdbString('x'.repeat(fillerBytes))];
  const announced = [Buffer.from([254, 0, 251]), rdbLength(keys.length + 2), rdbLength(0)];
  const parts = [
    ...announced,
    ...filler,
    ...keys.slice(0, KEYS_BEFORE),
    ...short,
    ...keys.slice(KEYS_BEFORE),
  ];
  return rdbFile(form.version, Buffer.concat(parts));
}

function temporaryDirectory(t: Test): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-test-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  return directory;
}

t.test('the error names the key, however many threads load', async (t) => {
  const fileName = path.join(temporaryDirectory(t), 'dump.rdb');
  const options = { fileName, hasChecksum: true, nowMs: Date.now(), dropsExpired: true };
  for (const form of ELEMENT_FORMS) {
    for (const missing of [1, 2, 3, 5, 50]) {
      writeFileSync(fileName, shortFile(form, missing));
      for (const partCount of [1, 3]) {
        const keyspace = new Keyspace(
          createKeyspace(4, 16 << 20, 2, Attention.create(1)),
          defaultSettings(),
          new Float64Array(16),
        );
        const log: string[] = [];
        const results = Array.from({ length: partCount }, (_, part) =>
          loadFile(keyspace, options, (line) => log.push(line), { part, partCount }),
        );
        const failure = earliestFailure(results);
        const what = `${form.name}, ${missing} missing, ${partCount} threads: ${failure}`;
        if (failure === '') t.match(log.join(), /database 0 has \d+ keys, the file announces 442/, what);
        else t.match(failure, /^can't load \S+: [^:]*key "short" .*of database 0: .*at offset \d+/, what);
      }
    }
  }
});

for (const threads of [1, 3]) {
  t.test(`a server does not start with it, ${threads} threads`, async (t) => {
    const directory = temporaryDirectory(t);
    const options: ServerOptions = { kind: 'damselfly', threads, directives: { dir: directory } };
    const file = shortFile(ELEMENT_FORMS[2]!, 7, LARGE_BYTES);
    writeFileSync(path.join(directory, 'dump.rdb'), file);
    const server = await TestServer.launch(options);
    t.teardown(() => server.stop('SIGKILL'));
    t.equal((await server.exited).code, 1);
    t.match(
      server.stderr,
      /^damselfly: can't load \S+dump\.rdb: key "short" behind key "key:39" of database 0: .* at offset \d+\n$/,
    );
  });
}

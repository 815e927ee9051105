/** The journal thread's part, without a thread: what the ring has is brought to the right files. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { Config } from '../../src/config/config.js';
import { defaultSettings } from '../../src/config/keyspace-settings.js';
import { commandBytes, JournalRequest, JournalRing } from '../../src/journal/journal-ring.js';
import { JournalWriter } from '../../src/journal/journal-writer.js';
import { createKeyspace, Keyspace } from '../../src/keyspace/keyspace.js';
import { Attention } from '../../src/memory/attention.js';
import { JournalThread } from '../../src/process/journal-thread.js';
import { createProcessState } from '../../src/state/process-state.js';
import { SharedConfig } from '../../src/state/shared-config.js';

const SHARD_BYTES = 1 << 20;

/** A server's journal just after the start, with the data empty and the journal thread not yet running. */
function started(dir: string) {
  const config = new Config();
  config.loadArguments(['dir', dir], 'dir');
  const handle = createKeyspace(4, SHARD_BYTES, 16, Attention.create(1));
  const state = createProcessState(Attention.create(2), 1, 1);
  new SharedConfig(state.config).publish(JSON.stringify(config));
  const ring = new JournalRing(handle.journal, 0);
  const thread = new JournalThread(handle, state, config, () => {});
  thread.resume(config, new Keyspace(handle, defaultSettings(), new Float64Array(64)), false);
  const record = (...words: string[]) => {
    const bytes = commandBytes(...words);
    ring.append(
      bytes,
      new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
      bytes.length,
      1,
      0,
      0,
      false,
    );
  };
  /** Lets the journal thread run to its end. */
  const finish = () => {
    ring.request(JournalRequest.Stop);
    new JournalWriter({ ring: handle.journal, state, workerCount: 1 }, () => {}).run();
  };
  return { ring, record, finish };
}

t.test('a rewrite that begins before the journal thread runs takes nothing away', async (t) => {
  const dir = t.testdir();
  const file = (number: number) =>
    readFileSync(path.join(dir, 'appendonlydir', `appendonly.aof.${number}.incr.aof`), 'latin1');
  const select = Buffer.from(commandBytes('SELECT', '0')).toString();
  const text = (...words: string[]) => Buffer.from(commandBytes(...words)).toString();
  const first = started(dir);
  first.record('SET', 'a', '1');
  first.ring.switchFile();
  first.record('SET', 'b', '2');
  first.finish();
  t.equal(file(1), select + text('SET', 'a', '1'), 'of a new file');
  t.equal(file(2), select + text('SET', 'b', '2'));
  const second = started(dir);
  second.record('SET', 'c', '3');
  second.ring.switchFile();
  second.record('SET', 'd', '4');
  second.finish();
  t.equal(file(2), select + text('SET', 'b', '2') + select + text('SET', 'c', '3'), 'of one that goes on');
  t.equal(file(3), select + text('SET', 'd', '4'));
  const manifest = readFileSync(path.join(dir, 'appendonlydir', 'appendonly.aof.manifest'), 'latin1');
  t.same(
    manifest.match(/[^ ]+\.incr\.aof/g),
    [1, 2, 3].map((number) => `appendonly.aof.${number}.incr.aof`),
  );
});

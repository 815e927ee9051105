/** What signals do to a server, and how the next one learns of an end without a word. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { describePreviousEnd } from '../../src/process/previous-end.js';
import { TestServer } from '../tools/server.js';

function directory(t: Test): string {
  const name = mkdtempSync(path.join(tmpdir(), 'damselfly-signals-'));
  t.teardown(() => rmSync(name, { recursive: true, force: true }));
  return name;
}

t.test('what Redis takes no notice of, and what Node.js would use for itself', async (t) => {
  const server = await TestServer.start({ kind: 'damselfly', threads: 2 });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  await client.set('key', 'value');
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGALRM', 'SIGPIPE'] as const) {
    server.process.kill(signal);
    t.equal(await client.get('key'), 'value', signal);
  }
  // Signals are seen in turn: this one has ended when all have.
  server.process.kill('SIGTERM');
  t.same(await server.exited, { code: 0, signal: null });
  t.notMatch(server.output(), /Debugger|inspector/i);
});

t.test('SIGTERM and SIGINT', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const server = await TestServer.start({ kind: 'damselfly', threads: 1, directives: { save: '900 1' } });
    t.teardown(() => server.stop('SIGKILL'));
    server.process.kill(signal);
    t.same(await server.exited, { code: 0, signal: null });
    t.match(
      server.stdout,
      new RegExp(
        `# Received ${signal} scheduling shutdown\\.\\.\\.\\n.* # User requested shutdown\\.\\.\\.\\n` +
          '.* \\* Saving the final RDB snapshot before exiting\\.\\n.* \\* DB saved on disk\\n' +
          '.* # Damselfly is now ready to exit, bye bye\\.\\.\\.\\n',
      ),
      signal,
    );
  }
});

t.test('a second SIGINT does not wait', async (t) => {
  const server = await TestServer.start({
    kind: 'damselfly',
    threads: 1,
    directives: { save: '900 1' },
  });
  t.teardown(() => server.stop('SIGKILL'));
  const client = server.client();
  // A shutdown that can't save goes on waiting for nothing: it is given up at once, so this one is stopped before.
  await client.call('DEBUG', 'POPULATE', 300_000);
  server.process.kill('SIGINT');
  await server.untilLogged('Received SIGINT scheduling shutdown');
  server.process.kill('SIGINT');
  const { code } = await server.exited;
  // Saving blocks the main thread, so the second one may come too late.
  if (server.stdout.includes('You insist... exiting now.')) t.equal(code, 1);
  else t.equal(code, 0);
});

t.test('SIGABRT leaves a report, and ends the process as it should', async (t) => {
  const logfile = path.join(directory(t), 'log');
  const server = await TestServer.start({ kind: 'damselfly', threads: 1, directives: { logfile } });
  t.teardown(() => server.stop('SIGKILL'));
  server.process.kill('SIGABRT');
  t.same(await server.exited, { code: null, signal: 'SIGABRT' });
  for (const text of [readFileSync(logfile, 'utf8'), server.stderr]) {
    t.match(
      text,
      /=== DAMSELFLY BUG REPORT START[\s\S]*killed by SIGABRT[\s\S]*=== DAMSELFLY BUG REPORT END/,
    );
  }
});

t.test('the report of a crash is in the log file, unless that is not wanted', async (t) => {
  for (const enabled of ['yes', 'no']) {
    const logfile = path.join(directory(t), 'log');
    const directives = { logfile, 'crash-log-enabled': enabled };
    const server = await TestServer.start({ kind: 'damselfly', threads: 2, directives });
    t.teardown(() => server.stop('SIGKILL'));
    (await server.rawClient()).send('DEBUG', 'SEGFAULT');
    t.equal((await server.exited).code, 1);
    t.match(server.stderr, /BUG REPORT START/);
    const log = readFileSync(logfile, 'utf8');
    if (enabled === 'no') t.notMatch(log, /BUG REPORT|INFO OUTPUT/);
    else {
      t.match(log, /BUG REPORT START[\s\S]*thread ended with code 139[\s\S]*BUG REPORT END/);
      t.match(log, /argv\[1\]: "SEGFAULT"[\s\S]*------ INFO OUTPUT ------/);
    }
  }
});

t.test('an end that nobody could report is told at the next start', async (t) => {
  const logfile = path.join(directory(t), 'log');
  for (const signal of ['SIGSEGV', 'SIGKILL'] as const) {
    const server = await TestServer.start({ kind: 'damselfly', threads: 1, directives: { logfile } });
    await server.client().ping();
    await server.stop(signal);
    const next = await TestServer.start({ kind: 'damselfly', threads: 1, directives: { logfile } });
    t.same(await next.stop(), { code: 0, signal: null });
    const told = new RegExp(
      `# The process before this one \\(pid ${server.pid}\\) did not shut down: it was killed or has crashed\\.` +
        ' Its last line was: .* Ready to accept connections\\n',
    );
    t.match(readFileSync(logfile, 'utf8'), told, signal);
  }
  const last = await TestServer.start({ kind: 'damselfly', threads: 1, directives: { logfile } });
  await last.stop();
  t.equal(
    readFileSync(logfile, 'utf8').match(/did not shut down/g)?.length,
    2,
    'not after an end in good order',
  );
});

t.test('how a log ends', async (t) => {
  const file = path.join(directory(t), 'log');
  const end = (text: string): string => {
    writeFileSync(file, text);
    return describePreviousEnd(file);
  };
  const line = (text: string, pid = 4_000_000): string => `${pid}:M 29 Nov 2026 14:23:25.596 ${text}\n`;
  t.equal(describePreviousEnd('/nosuch/file'), '');
  t.equal(end(''), '');
  t.equal(end('something else\n'), '');
  t.equal(end(line('# Damselfly is now ready to exit, bye bye...')), '');
  t.equal(end(line('# Redis is now ready to exit, bye bye...')), '');
  t.equal(end(line('# You insist... exiting now.')), '');
  t.equal(end(line("# Can't start: port 1 is taken")), '');
  t.equal(end(`${line('* Ready')}\n=== DAMSELFLY BUG REPORT END ===\n`), '');
  t.equal(end(line('* Ready to accept connections', process.pid)), '', 'it still runs');
  t.match(
    end(`${line('* Ready')}half a li`),
    /^The process before this one \(pid 4000000\) .*: 29 Nov .* \* Ready$/,
  );
  t.match(end(`${'x'.repeat(200_000)}\n${line('* Ready')}`), /pid 4000000/);
});

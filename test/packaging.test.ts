/** What is shipped besides the program: the package, the unit of systemd, the scripts of the image. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { directiveIndex } from '../src/config/directives.js';
import { Authority, skipWithoutOpenSsl } from './tools/certificates.js';
import { freePort } from './tools/free-port.js';
import { distDirectory, hasProgram, run, TestServer } from './tools/server.js';

const root = path.resolve(distDirectory, '..');
const packageJson = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

t.test('the package has the program, and is built first', async (t) => {
  t.match(packageJson.scripts.prepack, /run --silent build$/);
  // The build itself would rewrite what other tests run.
  const packing = spawn('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root });
  let output = '';
  packing.stdout.on('data', (chunk) => {
    output += chunk;
  });
  t.same(await once(packing, 'close'), [0, null]);
  const files = (JSON.parse(output)[0].files as { path: string }[]).map((file) => file.path);
  for (const file of [
    packageJson.bin.damselfly,
    'dist/bundle/workers/worker.js',
    'dist/bundle/workers/journal.js',
    'dist/bundle/src/scripting/engine.wasm',
    'systemd/damselfly.service',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
  ]) {
    t.ok(files.includes(file), file);
  }
  t.notOk(
    files.some((file) => /^(dist\/(?!bundle)|src|test)/.test(file)),
    'neither tests nor sources',
  );
});

t.test('the unit of systemd', async (t) => {
  const unit = readFileSync(path.join(root, 'systemd', 'damselfly.service'), 'utf8');
  const settings = new Map([...unit.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]));
  t.equal(settings.get('Type'), 'notify');
  t.match(settings.get('ExecStart'), '--supervised systemd --daemonize no');
  t.equal(settings.get('TimeoutStopSec'), 'infinity', 'saving takes as long as there is data');
  t.notOk(settings.has('MemoryDenyWriteExecute'), 'V8 compiles at run time');
  if (!hasProgram('systemd-analyze')) return;
  const copy = path.join(t.testdir(), 'damselfly.service');
  writeFileSync(copy, unit.replace('env damselfly', 'env true'));
  t.same(run(['systemd-analyze', 'verify', copy]), { code: 0, signal: null, stdout: '', stderr: '' });
});

t.test(
  'the health check of the image',
  { skip: !hasProgram('redis-cli') && 'needs redis-cli' },
  async (t) => {
    const script = path.join(root, 'docker', 'healthcheck.sh');
    const check = (port: number): number | null =>
      run(['env', `DAMSELFLY_HEALTHCHECK_PORT=${port}`, 'sh', script]).code;
    const server = await TestServer.start({ kind: 'damselfly', threads: 1 });
    t.teardown(() => server.stop('SIGKILL'));
    t.equal(check(server.port), 0);
    await server.client().config('SET', 'requirepass', 'secret');
    t.equal(check(server.port), 0, 'it may ask for a password');
    await server.stop();
    t.equal(check(server.port), 1);
  },
);

t.test(
  'the health check of a server with TLS alone',
  { skip: skipWithoutOpenSsl() || (!hasProgram('redis-cli') && 'needs redis-cli') },
  async (t) => {
    const authority = new Authority();
    const tlsPort = await freePort();
    const server = await TestServer.start({
      kind: 'damselfly',
      threads: 1,
      directives: authority.directives(authority.sign('server'), tlsPort),
    });
    t.teardown(() => server.stop('SIGKILL'));
    const check = (...environment: string[]): number | null => {
      const script = path.join(root, 'docker', 'healthcheck.sh');
      return run(['env', `DAMSELFLY_HEALTHCHECK_PORT=${tlsPort}`, ...environment, 'sh', script]).code;
    };
    t.equal(check(), 0, 'it may want a certificate');
    await server.client().config('SET', 'tls-auth-clients', 'no');
    t.equal(check(), 0);
    t.equal(check('DAMSELFLY_HEALTHCHECK_TLS=yes'), 0);
    await server.stop();
    t.equal(check(), 1);
  },
);

t.test('lines of redis.conf in the documentation', async (t) => {
  const documents = readdirSync(path.join(root, 'docs')).map((name) => path.join(root, 'docs', name));
  for (const document of [path.join(root, 'README.md'), ...documents]) {
    for (const line of readFileSync(document, 'utf8').split('\n')) {
      const [, text, name] = /^ {4}(([a-z-]+) .*)/.exec(line) ?? [];
      if (text === undefined || directiveIndex(name!) < 0) continue;
      // Redis knows comments only in lines of their own.
      t.notMatch(text, / #( |$)/, `${path.basename(document)}: ${text}`);
    }
  }
});

t.test('the entry point of the image', async (t) => {
  const script = path.join(root, 'docker', 'entrypoint.sh');
  // In place of the server, what it would be started with.
  const directory = t.testdir({
    damselfly: '#!/bin/sh\necho "$@"\n',
    'open.conf': 'protected-mode no\n',
    'plain.conf': '',
  });
  chmodSync(path.join(directory, 'damselfly'), 0o755);
  const start = (...args: string[]): string =>
    run(['env', `PATH=${directory}:${process.env.PATH}`, 'sh', script, ...args]).stdout.trim();
  const file = (name: string): string => path.join(directory, name);
  t.equal(start('damselfly'), '--protected-mode no');
  t.equal(start('--port', '1'), '--protected-mode no --port 1');
  t.equal(start('redis-server', '--port', '1'), '--protected-mode no --port 1');
  t.equal(start('valkey-server', '--port', '1'), '--protected-mode no --port 1');
  t.equal(start(file('open.conf'), '--port', '1'), `${file('open.conf')} --port 1`);
  t.equal(start(file('plain.conf'), '--port', '1'), `${file('plain.conf')} --protected-mode no --port 1`);
  t.equal(start('echo', 'other', 'program'), 'other program');
});

/** A server as a daemon, and one that tells systemd how it is. */

import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { packUnixAddress } from '../../src/network/socket-address.js';
import { loadLibc, Socket } from '../../src/system/libc.js';
import { RawClient } from '../tools/raw-client.js';
import { TestServer, temporaryFolder } from '../tools/server.js';

const libc = loadLibc();

/** A socket like systemd's. */
function notifications(t: Test, name: string): () => Promise<string> {
  if (libc === null) throw new Error('no C library');
  const fd = libc.socket(Socket.AF_UNIX, Socket.SOCK_DGRAM | Socket.SOCK_NONBLOCK, 0);
  t.teardown(() => libc.close(fd));
  const address = packUnixAddress(name.replace(/^@/, '\0'));
  if (libc.bind(fd, libc.addressOf(address), address.length) !== 0) throw new Error(`can't bind ${name}`);
  const buffer = Buffer.alloc(1000);
  return async () => {
    for (;;) {
      const length = libc.read(fd, libc.addressOf(buffer), buffer.length);
      if (length >= 0) return buffer.toString('utf8', 0, length);
      await delay(20);
    }
  };
}

for (const place of ['a file', 'a name without a file']) {
  const options = { skip: libc === null ? 'needs Linux' : false };
  t.test(`systemd is told of start and end, through ${place}`, options, async (t) => {
    // A short name: the path of a socket has a limit.
    const directory = mkdtempSync(path.join(tmpdir(), 'damselfly-test-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const name = place === 'a file' ? path.join(directory, 'notify') : `@damselfly-test-${process.pid}`;
    const next = notifications(t, name);
    const server = await TestServer.launch({
      // A daemon it does not become then.
      directives: { supervised: 'auto', daemonize: 'yes' },
      environment: { NOTIFY_SOCKET: name },
    });
    t.teardown(() => server.stop('SIGKILL'));
    t.equal(await next(), 'READY=1\nSTATUS=Ready to accept connections');
    t.match(await server.client().info('server'), 'process_supervised:systemd');
    server.process.kill('SIGTERM');
    t.equal(await next(), 'STOPPING=1');
    t.same(await server.exited, { code: 0, signal: null });
  });
}

t.test('systemd that has not said where it listens', async (t) => {
  const server = await TestServer.start({
    directives: { supervised: 'systemd' },
    environment: { NOTIFY_SOCKET: '' },
  });
  t.teardown(() => server.stop('SIGKILL'));
  t.match(server.stdout, "systemd can't be told that the server is ready: systemd has not said where");
});

t.test('a daemon', async (t) => {
  const directory = temporaryFolder(t);
  const pidfile = path.join(directory, 'pid');
  const logfile = path.join(directory, 'log');
  const starter = await TestServer.launch({ directives: { daemonize: 'yes', pidfile, logfile } });
  t.teardown(() => starter.stop());
  t.same(await starter.exited, { code: 0, signal: null });
  t.equal(starter.output(), '');
  const pid = Number(readFileSync(pidfile, 'utf8'));
  t.teardown(() => {
    if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
  });
  t.not(pid, starter.pid);
  const client = await RawClient.connect(starter.address());
  t.match(await client.text('INFO', 'server'), `process_id:${pid}\r\n`);

  const second = await TestServer.launch({
    port: starter.port,
    directives: { daemonize: 'yes' },
  });
  t.teardown(() => second.stop());
  t.same(await second.exited, { code: 1, signal: null });
  t.match(second.stderr, /^damselfly: can't listen on .* port \d+: Address already in use\n$/);

  client.write(Buffer.from('SHUTDOWN NOSAVE\r\n'));
  while (existsSync(pidfile)) await delay(20);
  t.match(readFileSync(logfile, 'utf8'), 'bye bye');
  await client.close();
});

t.test('a daemon that ends before it says anything', async (t) => {
  const starter = await TestServer.launch({
    directives: { daemonize: 'yes', dir: temporaryFolder(t) },
    environment: { NODE_OPTIONS: '--import=data:text/javascript,process.connected&&process.exit(3)' },
  });
  t.teardown(() => starter.stop());
  await once(starter.process, 'exit');
  t.same(await starter.exited, { code: 1, signal: null });
  t.equal(starter.stderr, 'damselfly: the daemon has ended at once (exit code 3)\n');
});

/**
 * A wall clock that is set back by an hour: only the expiry of keys is about it. Whatever is waited for or measured goes
 * on: active expiry, `timeout`, CLIENT PAUSE, save points.
 */

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t from 'tap';
import { TestServer } from '../tools/server.js';

/** Gives a program another time than the system's (Debian package libfaketime). */
const LIBRARY = '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
const HOUR_SECONDS = 3600;

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

t.test(
  'a clock that is set back',
  { skip: existsSync(LIBRARY) ? false : 'no libfaketime here' },
  async (t) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'damselfly-clock-'));
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
    const clock = path.join(folder, 'clock');
    writeFileSync(clock, '+0\n');
    const server = await TestServer.start({
      directives: { timeout: 1, save: '1 1', 'active-workers': 2, threads: 2 },
      environment: {
        LD_PRELOAD: LIBRARY,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    });
    t.teardown(() => server.stop());
    const client = server.client();
    const timeSeconds = async () => Number(((await client.call('TIME')) as string[])[0]);
    const before = await timeSeconds();
    const saved = Number(await client.call('LASTSAVE'));
    writeFileSync(clock, `-${HOUR_SECONDS}\n`);
    await until(async () => (await timeSeconds()) < before - HOUR_SECONDS / 2);

    // TIME and expiry tell the same clock.
    const now = await timeSeconds();
    await client.set('k', 'v', 'EX', 100);
    const expiresAt = (await client.call('EXPIRETIME', 'k')) as number;
    t.ok(Math.abs(expiresAt - now - 100) <= 1, `${expiresAt - now}`);

    const idle = await server.rawClient();
    const other = await server.rawClient();
    await other.command('CLIENT', 'PAUSE', '300', 'WRITE');
    t.equal(await client.set('after', 'the pause'), 'OK');

    await client.set('short', 'v', 'PX', 30);
    const expired = async () => Number(/expired_keys:(\d+)/.exec(await client.info('stats'))?.[1]);
    await until(async () => (await expired()) === 1);
    t.equal(await client.dbsize(), 2, 'active expiry goes on');

    let areClosed = false;
    void Promise.all([idle.closed, other.closed]).then(() => {
      areClosed = true;
    });
    // This one is not to be idle.
    await until(async () => (await client.ping()) === 'PONG' && areClosed);
    t.pass('idle clients are closed');

    await until(async () => Number(await client.call('LASTSAVE')) < saved);
    t.pass('a save point was reached');
    t.match(await client.info('server'), /uptime_in_seconds:\d+\r/);
    t.match(await client.client('LIST'), /age=\d+ idle=\d+/);
  },
);

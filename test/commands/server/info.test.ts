import t from 'tap';
import { defaultKind, TestServer, withServers } from '../../tools/server.js';

function parse(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

const titles = (text: string): string[] => text.match(/^# \w+/gm) ?? [];

withServers(t, 'sections', {}, async (t, server) => {
  const client = server.client();
  const byDefault = [
    '# Server',
    '# Clients',
    '# Memory',
    '# Persistence',
    '# Stats',
    '# Replication',
    '# CPU',
    '# Modules',
    '# Errorstats',
    '# Cluster',
    '# Keyspace',
  ];
  t.same(titles(await client.info()), byDefault);
  t.same(titles(await client.info('default')), byDefault);
  t.same(titles(await client.info('CPU', 'clients')), ['# Clients', '# CPU']);
  t.same(titles(await client.info('nothing')), []);
  t.same(titles(await client.info('commandstats', 'nothing')), ['# Commandstats']);
  t.equal(titles(await client.info('all')).length, 14);
  t.equal(titles(await client.info('everything')).length, 14);
  t.match(await client.info('server'), /^# Server\r\nredis_version:\d/);
});

withServers(t, 'counters of saves and of evicted scripts begin again', {}, async (t, server) => {
  const client = server.client();
  await client.save();
  for (let number = 0; number < 501; number++) await client.eval(`return ${number}`, 0);
  const counters = async () => {
    const fields = parse(await client.info('everything'));
    return [fields.get('rdb_saves'), fields.get('evicted_scripts')];
  };
  t.not((await counters())[0], '0');
  t.not((await counters())[1], '0');
  await client.config('RESETSTAT');
  t.same(await counters(), ['0', '0']);
});

withServers(t, 'the peak of memory is seen without anybody asking at that moment', {}, async (t, server) => {
  const client = server.client();
  const peak = async () => Number(parse(await client.info('memory')).get('used_memory_peak'));
  const before = await peak();
  await client.setrange('large', before + 1_000_000, 'x');
  // Several ticks of the worker that takes samples.
  await client.blpop('nothing', 1);
  await client.flushall();
  t.ok((await peak()) > before + 1_000_000);
});

withServers(t, 'what happens is counted', {}, async (t, server) => {
  const client = server.client();
  const clients = await Promise.all(Array.from({ length: 4 }, () => server.rawClient()));
  for (const other of clients) await other.text('PING');
  await client.config('RESETSTAT');
  for (const other of clients) {
    await other.text('SET', 'k', 'v');
    await other.text('GET', 'k');
    await other.text('GET', 'missing');
    await other.text('INCR', 'k');
    await other.text('GET');
  }
  await client.select(3);
  await client.set('expiring', 'v', 'EX', 1000);
  const fields = parse(await client.info('everything'));
  const field = (name: string): string | undefined => fields.get(name);
  t.equal(field('connected_clients'), '5');
  t.equal(field('keyspace_hits'), '4');
  t.equal(field('keyspace_misses'), '4');
  t.equal(field('total_error_replies'), '8');
  t.equal(field('errorstat_ERR'), 'count=8');
  t.match(field('cmdstat_set'), /^calls=5,usec=\d+,usec_per_call=[\d.]+,rejected_calls=0,failed_calls=0$/);
  t.match(field('cmdstat_get'), /^calls=8,usec=\d+,usec_per_call=[\d.]+,rejected_calls=4,failed_calls=0$/);
  t.match(field('cmdstat_incr'), /^calls=4,.*,rejected_calls=0,failed_calls=4$/);
  t.match(field('latency_percentiles_usec_get'), /^p50=[\d.]+,p99=[\d.]+,p99.9=[\d.]+$/);
  t.match(field('db0'), /^keys=1,expires=0,avg_ttl=\d+$/);
  t.match(field('db3'), /^keys=1,expires=1,avg_ttl=\d+$/);
  t.equal(field('db1'), undefined);
  t.ok(Number(field('used_memory')) > 0);
  t.ok(Number(field('used_memory_rss')) > 1e6);
  t.equal(field('tcp_port'), String(server.port));
  t.equal(field('process_id'), String(server.process.pid));
  t.match(field('run_id'), /^[0-9a-f]{40}$/);
  t.ok(Number(field('total_net_input_bytes')) > 0);
  t.ok(Number(field('total_net_output_bytes')) > 0);
  t.equal(field('role'), 'master');
});

withServers(t, 'time, role, shutdown, memory', {}, async (t, server) => {
  const client = await server.rawClient();
  const [, seconds] = /^\*2\r\n\$10\r\n(\d+)\r\n\$\d\r\n\d+\r\n$/.exec(await client.text('TIME')) ?? [];
  t.ok(Math.abs(Number(seconds) - Date.now() / 1000) < 10);
  t.equal(await client.text('ROLE'), '*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n');
  t.match(await client.text('LASTSAVE'), /^:\d{10}\r\n$/);
  t.equal(await client.text('SHUTDOWN', 'foo'), '-ERR syntax error\r\n');
  t.equal(await client.text('SHUTDOWN', 'SAVE', 'NOSAVE'), '-ERR syntax error\r\n');
  await client.text('MULTI');
  t.equal(await client.text('SHUTDOWN'), '-ERR Command not allowed inside a transaction\r\n');
  t.equal(await client.text('EXEC'), '-EXECABORT Transaction discarded because of previous errors.\r\n');
  t.equal(await client.text('MEMORY', 'USAGE', 'k'), '$-1\r\n');
  await client.text('SET', 'k', 'v'.repeat(1000));
  t.match(await client.text('MEMORY', 'USAGE', 'k'), /^:1\d\d\d\r\n$/);
  t.match(await client.text('MEMORY', 'USAGE', 'k', 'SAMPLES', '5'), /^:1\d\d\d\r\n$/);
  t.equal(await client.text('MEMORY', 'USAGE', 'k', 'foo', '3'), '-ERR syntax error\r\n');
  t.equal(await client.text('SHUTDOWN', 'ABORT'), '-ERR No shutdown in progress.\r\n');
});

t.test('shutdown', async (t) => {
  const server = await TestServer.start({ kind: defaultKind() });
  const client = await server.rawClient();
  client.send('SHUTDOWN', 'NOSAVE');
  t.same(await server.exited, { code: 0, signal: null });
  await t.rejects(client.read());
  await server.stop();
});

withServers(t, 'processor time of the first thread is a part of all', {}, async (t, server) => {
  const client = server.client();
  const times = async () => {
    const fields = parse(await client.info('cpu'));
    const sum = (suffix: string): number =>
      Number(fields.get(`used_cpu_user${suffix}`)) + Number(fields.get(`used_cpu_sys${suffix}`));
    return { all: sum(''), first: sum('_main_thread') };
  };
  const before = await times();
  t.ok(before.first > 0 && before.first <= before.all);
  if (defaultKind() === 'redis') return;
  await client.call('DEBUG', 'POPULATE', '300000');
  const after = await times();
  t.ok(after.first - before.first < after.all - before.all, 'it serves no clients');
});

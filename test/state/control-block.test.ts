import t from 'tap';
import { Attention } from '../../src/memory/attention.js';
import { ControlBlock, PauseKind, ShutdownRequest } from '../../src/state/control-block.js';

t.test('ids, versions and run id are the same through every view', async (t) => {
  const handle = ControlBlock.create(Attention.create(1));
  const one = new ControlBlock(handle);
  const other = new ControlBlock(handle);
  t.equal(one.takeClientId(), 1);
  t.equal(other.takeClientId(), 2);
  t.equal(one.nextClientId, 3);
  t.ok(other.uptimeMs >= 0);
  t.match(one.runId, /^[0-9a-f]{40}$/);
  t.equal(one.runId, other.runId);
  t.not(one.runId, new ControlBlock(ControlBlock.create(Attention.create(1))).runId);
  t.equal(one.bumpConfigurationVersion(), 1);
  t.equal(other.configurationVersion, 1);
  t.equal(one.bumpAuthenticationGeneration(), 1);
  t.equal(other.authenticationGeneration, 1);
  one.addMonitors(0, 2);
  other.addMonitors(1, -1);
  t.equal(one.monitorCount, 1);
  t.equal(one.monitorsOf(0), 2);
  t.equal(other.monitorsOf(1), -1);
});

t.test('a pause keeps the stricter kind and the later end', async (t) => {
  const block = new ControlBlock(ControlBlock.create(Attention.create(1)));
  t.notOk(block.mayBePaused);
  block.pause(2000, PauseKind.All, 1000);
  block.pause(1500, PauseKind.Write, 1000);
  t.equal(block.pauseKind(1999), PauseKind.All);
  t.equal(block.pauseKind(2000), PauseKind.Off);
  t.notOk(block.mayBePaused);
  block.pause(2500, PauseKind.Write, 2000);
  t.equal(block.pauseKind(2100), PauseKind.Write);
  // One that is over does not count any more.
  block.pause(3000, PauseKind.Write, 2600);
  block.pause(2800, PauseKind.All, 2600);
  t.equal(block.pauseKind(2900), PauseKind.All);
  block.unpause();
  t.equal(block.pauseKind(2900), PauseKind.Off);
});

t.test('the first shutdown request counts, and can be taken back', async (t) => {
  const block = new ControlBlock(ControlBlock.create(Attention.create(1)));
  t.notOk(block.abortShutdown());
  block.requestShutdown(ShutdownRequest.Save);
  block.requestShutdown(ShutdownRequest.NoSave);
  t.equal(block.shutdownRequest, ShutdownRequest.Save);
  t.ok(block.abortShutdown());
  t.equal(block.shutdownRequest, ShutdownRequest.None);
  const asked = block.waitForShutdown();
  block.requestShutdown(ShutdownRequest.NoSave);
  t.equal(await asked, ShutdownRequest.NoSave);
});

t.test('peak memory only rises', async (t) => {
  const block = new ControlBlock(ControlBlock.create(Attention.create(1)));
  block.notePeakMemory(100);
  block.notePeakMemory(50);
  t.equal(block.peakMemoryBytes, 100);
  block.resetPeakMemory(60);
  t.equal(block.peakMemoryBytes, 60);
});

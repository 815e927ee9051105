/** CONFIG: looking at the configuration, changing it while the server runs, and writing it to its file. */

import type { ChangeFailure } from '../../config/config.js';
import { followOomScore, OOM_SCORE_DIRECTIVES, warnOfOomScores } from '../../config/oom-score-setting.js';
import { TLS_CONTEXT_DIRECTIVES, usesTls } from '../../config/tls-settings.js';
import type { CommandContext } from '../../execution/context.js';
import { LOADING, SYNTAX_ERROR } from '../../execution/errors.js';
import type { ServerServices } from '../../execution/services.js';
import type { Handler } from '../../execution/table/command-table.js';
import { helpHandler } from '../connection/help.js';
import { appendOnlyChanged } from './append-only.js';

function get(context: CommandContext): void {
  const { reply, services } = context;
  const patterns: string[] = [];
  for (let index = 2; index < context.argCount; index++) patterns.push(context.argLatin1(index));
  const pairs = services.config.getAll(patterns);
  reply.map(pairs.length);
  for (const pair of pairs) {
    for (const text of pair) reply.bulkBuffer(Buffer.from(text, 'latin1'));
  }
}

/** Has the server listen where the new configuration says. */
function listenElsewhere(services: ServerServices, changed: readonly string[]): ChangeFailure | null {
  const { bind, port, tlsPort } = services.config;
  const name = ['tls-port', 'port', 'bind'].find((candidate) => changed.includes(candidate));
  if (name === undefined || services.listenOn(bind, port, tlsPort)) return null;
  return name === 'bind'
    ? { name, reason: 'Failed to bind to specified addresses.' }
    : { name, reason: 'Unable to listen on this port. Check server logs.' };
}

/** Makes a TLS context of the new configuration, which is not in force yet. */
function prepareTls(services: ServerServices, changed: readonly string[]): ChangeFailure | null {
  const { config, tls } = services;
  if (!usesTls(config)) return null;
  const name =
    changed.find((candidate) => TLS_CONTEXT_DIRECTIVES.has(candidate)) ??
    (tls.isReady ? undefined : changed.find((candidate) => candidate === 'tls-port'));
  if (name === undefined || tls.prepare()) return null;
  return { name, reason: 'Unable to update TLS configuration. Check server logs.' };
}

/** Makes the process able to serve as many clients as the new configuration allows. */
function makeRoomForClients(services: ServerServices, changed: readonly string[]): ChangeFailure | null {
  if (!changed.includes('maxclients')) return null;
  const { maxClients } = services.config;
  const possible = services.roomForClients(maxClients);
  if (possible >= maxClients) return null;
  return {
    name: 'maxclients',
    reason: `The operating system is not able to handle the specified number of clients, try with ${possible}`,
  };
}

function setOomScore(services: ServerServices, changed: readonly string[]): ChangeFailure | null {
  const { config, state, log } = services;
  const name = changed.find((candidate) => OOM_SCORE_DIRECTIVES.has(candidate));
  if (name === undefined) return null;
  if (changed.includes('oom-score-adj-values')) warnOfOomScores(config, log);
  if (followOomScore(config, state.control.oomScore, log)) return null;
  return { name, reason: 'Failed to set current oom_score_adj. Check server logs.' };
}

/** They can't be set while data is loaded. */
const NOT_WHILE_LOADING = new Set(['appendonly', 'dir', 'repl-diskless-load']);

function carryOut(services: ServerServices, changed: readonly string[]): ChangeFailure | null {
  const failure =
    makeRoomForClients(services, changed) ??
    prepareTls(services, changed) ??
    setOomScore(services, changed) ??
    listenElsewhere(services, changed);
  if (failure === null) {
    services.tls.publish();
    // Now, not only when the main thread notices: the client may open further connections.
    services.limitClients();
  } else {
    services.tls.discard();
  }
  return failure;
}

function set(context: CommandContext): void {
  const { reply, services, session, keyspace } = context;
  if (context.argCount % 2 === 1) {
    reply.error(SYNTAX_ERROR);
    return;
  }
  const pairs: [string, string][] = [];
  for (let index = 2; index < context.argCount; index += 2) {
    pairs.push([context.argLatin1(index), context.argLatin1(index + 1)]);
  }
  const { config, state } = services;
  const { isLoading, isAsyncLoading } = state.persistence;
  if ((isLoading || isAsyncLoading) && pairs.some(([name]) => NOT_WHILE_LOADING.has(name.toLowerCase()))) {
    reply.error(LOADING);
    return;
  }
  const protectedAllowed = services.isAllowed(config.enableProtectedConfigs, session);
  let failure: string | null = null;
  let setsPassword = false;
  let setsOomScore = false;
  // Under the lock and on the newest values, so that two workers do not undo each other's changes.
  state.config.update((json) => {
    config.adopt(JSON.parse(json));
    failure = config.set(pairs, protectedAllowed, (changed) => {
      setsPassword = changed.includes('requirepass');
      setsOomScore = changed.some((name) => OOM_SCORE_DIRECTIVES.has(name));
      return carryOut(services, changed);
    });
    if (failure !== null) {
      // The values are as before, the score may not be.
      if (setsOomScore) followOomScore(config, state.control.oomScore, services.log);
      return json;
    }
    keyspace.journal.ring.configure(config.appendFsync === 'always', config.aofTimestampEnabled);
    return JSON.stringify(config);
  });
  services.followConfig();
  if (failure === null && setsPassword) {
    services.access.update((users) => users.setDefaultPassword(config.requirePass));
  }
  if (failure === null) appendOnlyChanged(context);
  if (failure === null) reply.ok();
  else reply.error(failure);
}

function resetStat(context: CommandContext): void {
  const { control, statistics, tls, replication, persistence, scriptCache } = context.services.state;
  statistics.reset();
  control.rejectedConnections = 0;
  tls.reset();
  replication.resetCounters();
  persistence.resetCounters();
  scriptCache.resetCounters();
  context.reply.ok();
}

/** CONFIG REWRITE; with `writesAll`, defaults are written, too. */
export function rewriteConfig(context: CommandContext, writesAll: boolean): void {
  const { reply, services } = context;
  const failure = services.config.rewrite(writesAll, services.access.configuredLines());
  if (failure === null) {
    services.log('CONFIG REWRITE executed with success.', 'warning');
    reply.ok();
    return;
  }
  if (services.config.configFile !== null) {
    services.log(`CONFIG REWRITE failed: ${failure.replace(/^.*?: /, '')}`, 'warning');
  }
  reply.error(failure);
}

const help = helpHandler('CONFIG', [
  'GET <pattern> [<pattern> ...]',
  '    Return the directives whose names match a pattern, with their values.',
  'SET <directive> <value> [<directive> <value> ...]',
  '    Change directives, all of them or none.',
  'RESETSTAT',
  '    Reset the statistics that INFO reports.',
  'REWRITE',
  '    Bring the configuration file up to date.',
]);

export const configHandlers: Readonly<Record<string, Handler>> = {
  'CONFIG GET': get,
  'CONFIG HELP': help,
  'CONFIG RESETSTAT': resetStat,
  'CONFIG REWRITE': (context) => rewriteConfig(context, false),
  'CONFIG SET': set,
};

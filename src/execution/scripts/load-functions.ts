/** Loads the libraries of functions of a file, in a thread that may run no scripts otherwise. */

import { FunctionStore } from '../../keyspace/function-store.js';
import type { KeyspaceHandle } from '../../keyspace/keyspace.js';
import { ScriptEngine } from '../../scripting/engine.js';
import type { ScriptHost } from '../../scripting/host.js';
import { REDIS_VERSION, REDIS_VERSION_NUMBER } from '../../system/version.js';
import { KnownFunctions, RestorePolicy } from './known-functions.js';

/** While a library is loaded it can't call anything. */
const NO_HOST: ScriptHost = {
  call: () => {},
  interrupt: () => undefined,
  mayCall: () => undefined,
  log: () => {},
  setProtocol: () => {},
  setReplication: () => {},
};

/** Adds libraries to those of a keyspace that no other thread uses. Returns what is wrong with them, '' if nothing. */
export function loadFunctions(keyspace: KeyspaceHandle, sources: readonly Uint8Array[]): string {
  if (sources.length === 0) return '';
  const options = { version: REDIS_VERSION, versionNumber: REDIS_VERSION_NUMBER };
  const functions = new KnownFunctions(
    new FunctionStore(keyspace.functions),
    new ScriptEngine(NO_HOST, options),
  );
  return functions.restore(sources, RestorePolicy.Append).replace(/^ERR /, '');
}

/**
 * The libraries of functions as a worker has compiled them. All threads share the sources (keyspace/function-store.ts):
 * a worker that finds them changed loads new libraries and forgets deleted ones.
 */

import type { FunctionStore } from '../../keyspace/function-store.js';
import { Library, type ScriptEngine } from '../../scripting/engine.js';
import { ScriptFlag } from '../../scripting/flags.js';
import type { RegisteredFunction } from '../../scripting/instance.js';
import { LockNeeds } from './known-scripts.js';

export interface KnownFunction {
  readonly library: Library;
  readonly registered: RegisteredFunction;
  readonly needs: LockNeeds;
}

/** What to do with libraries that are there already (FUNCTION RESTORE). */
export const enum RestorePolicy {
  Append,
  Flush,
  Replace,
}

export class KnownFunctions {
  private readonly store: FunctionStore;
  private readonly engine: ScriptEngine;
  private readonly beginLoading: () => void;
  private readonly functions = new Map<string, KnownFunction>();
  private libraries = new Map<string, Library>();
  private generation = 0;

  /** `beginLoading` is called before each library is loaded. */
  constructor(store: FunctionStore, engine: ScriptEngine, beginLoading: () => void = () => {}) {
    this.store = store;
    this.engine = engine;
    this.beginLoading = beginLoading;
  }

  private loadLibrary(source: Uint8Array): Library | string {
    this.beginLoading();
    return this.engine.loadLibrary(source);
  }

  /** The function of this name; null if there is none. */
  find(name: string): KnownFunction | null {
    this.follow();
    return this.functions.get(name.toLowerCase()) ?? null;
  }

  /** All libraries, by name. */
  all(): ReadonlyMap<string, Library> {
    this.follow();
    return this.libraries;
  }

  /** Takes over what another thread has changed. */
  private follow(): void {
    const { generation } = this.store;
    if (generation === this.generation) return;
    const libraries = new Map<string, Library>();
    for (const source of this.store.sources()) {
      const known = [...this.libraries.values()].find(
        (library) => Buffer.compare(library.source, source) === 0,
      );
      const library = known ?? this.loadLibrary(source);
      // Another thread has loaded it before, so here it can only fail for lack of memory.
      if (library instanceof Library) libraries.set(library.name, library);
    }
    this.adopt(libraries);
    this.generation = generation;
  }

  /** Makes these the libraries. */
  private adopt(libraries: Map<string, Library>): void {
    const { functions } = this;
    for (const library of this.libraries.values()) {
      if (libraries.get(library.name) !== library) this.engine.releaseLibrary(library);
    }
    this.libraries = libraries;
    functions.clear();
    for (const library of libraries.values()) {
      for (const registered of library.functions.values()) {
        const needs = new LockNeeds((registered.flags & ScriptFlag.NoWrites) !== 0);
        functions.set(registered.name.toLowerCase(), { library, registered, needs });
      }
    }
  }

  /**
   * Loads a library. The locks of all shards are held. Returns it, or an error's text with its code.
   */
  load(source: Uint8Array, replaces: boolean): Library | string {
    this.follow();
    const loaded = this.loadLibrary(source);
    if (!(loaded instanceof Library)) return `ERR ${loaded}`;
    const libraries = new Map(this.libraries);
    const error = this.add(libraries, loaded, replaces);
    if (error !== '') return this.undo([loaded], `ERR ${error}`);
    return this.publish(libraries) ? loaded : this.undo([loaded], NO_MEMORY);
  }

  /** Adds a library to others; returns an error's text without a code, '' if it fits. */
  private add(libraries: Map<string, Library>, library: Library, replaces: boolean): string {
    if (libraries.has(library.name) && !replaces) return `Library '${library.name}' already exists`;
    libraries.delete(library.name);
    const names = new Set<string>();
    for (const { functions } of libraries.values())
      for (const name of functions.keys()) names.add(name.toLowerCase());
    for (const name of library.functions.keys()) {
      if (names.has(name.toLowerCase())) return `Function ${name} already exists`;
    }
    libraries.set(library.name, library);
    return '';
  }

  /** Loads libraries of a payload, all or none. The locks of all shards are held. Returns an error's text, '' if all went well. */
  restore(sources: readonly Uint8Array[], policy: RestorePolicy): string {
    this.follow();
    const loaded: Library[] = [];
    const given = new Map<string, Library>();
    for (const source of sources) {
      const library = this.loadLibrary(source);
      let error = library instanceof Library ? '' : library;
      if (library instanceof Library) {
        loaded.push(library);
        error = this.add(given, library, false);
      }
      if (error !== '') {
        this.undo(loaded, '');
        return `ERR ${error}`;
      }
    }
    const libraries = policy === RestorePolicy.Flush ? new Map<string, Library>() : new Map(this.libraries);
    // Removes all replaced libraries first: a function may have moved from one of them to another.
    if (policy === RestorePolicy.Replace) for (const { name } of loaded) libraries.delete(name);
    for (const library of loaded) {
      const error = this.add(libraries, library, false);
      // Redis has no quotes here.
      if (error !== '') return this.undo(loaded, `ERR ${error.replace(/'/g, '')}`);
    }
    return this.publish(libraries) ? '' : this.undo(loaded, NO_MEMORY);
  }

  private undo(loaded: readonly Library[], error: string): string {
    for (const library of loaded) this.engine.releaseLibrary(library);
    return error;
  }

  /** Deletes a library; false if there is none. The locks of all shards are held. */
  delete(name: string): boolean {
    this.follow();
    const libraries = new Map(this.libraries);
    if (!libraries.delete(name)) return false;
    this.publish(libraries);
    return true;
  }

  /** Deletes all. The locks of all shards are held. */
  flush(): void {
    this.follow();
    this.publish(new Map());
  }

  private publish(libraries: Map<string, Library>): boolean {
    const all = [...libraries.values()];
    const functionCount = all.reduce((sum, { functions }) => sum + functions.size, 0);
    if (
      !this.store.replace(
        all.map(({ source }) => source),
        functionCount,
      )
    )
      return false;
    this.adopt(libraries);
    this.generation = this.store.generation;
    return true;
  }
}

const NO_MEMORY = "OOM command not allowed when used memory > 'maxmemory'.";

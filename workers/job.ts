/** Thread entry point: finite jobs of the pool, by name. */

export { loadPart } from '../src/persistence/load.js';
export { replayFiles } from '../src/replay.js';

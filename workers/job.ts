/** Thread entry point: finite jobs of the pool, by name. */

export { loadPart } from '../src/loading/load.js';
export { replayFiles } from '../src/loading/replay.js';

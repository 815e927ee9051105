/** Thread entry point: finite jobs of the pool, by name. */

export { loadPart } from '../src/loading/load-part.js';
export { replayFiles } from '../src/loading/replay.js';

/**
 * The border between the server and Lua, and the libraries that scripts see. `scripts/build-wasm.mjs` compiles it, and merges
 * it with Lua itself. What it imports from the server is in `host.ts`.
 */
export { growMemory, limitMemory } from './allocator';
export {
  collectGarbage,
  compileScript,
  createState,
  evaluate,
  inputArea,
  loadLibrary,
  release,
  resultCells,
  usedBytes,
} from './engine';
export { seedRandom } from './math-library';
export { numberToString, stringToNumber } from './numbers';
export { readonlyTable } from './registry';
export { replyArea } from './reply-area';
export { countComparison, countString } from './work';

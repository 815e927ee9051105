/**
 * The C library's trigonometric functions. Those of JavaScript engines differ from them in the last bit now and then, and
 * from each other; distances that are stored or printed have to be the ones that Redis computes on the same machine.
 * A call costs some 60 ns, so it is for results that the last bit decides.
 */

import { createRequire } from 'node:module';

interface CMath {
  sin(angle: number): number;
  cos(angle: number): number;
  asin(sine: number): number;
  atan2(y: number, x: number): number;
}

let loaded: CMath | null = null;

/** The functions; JavaScript's own where the C library's can't be called. */
export function cMath(): CMath {
  loaded ??= loadCMath() ?? Math;
  return loaded;
}

function loadCMath(): CMath | null {
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const library = koffi.load(null);
    return {
      sin: library.func('sin', 'double', ['double']),
      cos: library.func('cos', 'double', ['double']),
      asin: library.func('asin', 'double', ['double']),
      atan2: library.func('atan2', 'double', ['double', 'double']),
    };
  } catch {
    return null;
  }
}

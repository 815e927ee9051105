/** What PFSELFTEST checks: that registers are kept, that both forms agree, and that estimates are accurate enough. */

import {
  createHistogram,
  DENSE_BYTES,
  denseRegister,
  estimate,
  Form,
  HEADER_BYTES,
  indexOf,
  placeOf,
  REGISTERS,
  RegisterMaxima,
  raiseDense,
  rankOf,
  writeHeader,
} from './hyperloglog.js';
import { HyperLogLogDraft } from './hyperloglog-draft.js';
import { countSparse } from './sparse-registers.js';

const REGISTER_MAX = 63;
const REGISTER_ROUNDS = 20;
/** So many take about a tenth of a second. */
const ELEMENTS = 1_000_000;
/** A HyperLogLog with at most this many elements must still be sparse. */
const SPARSE_ELEMENTS = 1_000;
const SPARSE_BYTES_MAX = 3_000;
/** How many standard errors an estimate may be off. */
const ERROR_FACTOR_MAX = 6;

/** Why the implementation is wrong, '' if it is not. */
export function findFailure(): string {
  return findRegisterFailure() || findEstimateFailure();
}

function findRegisterFailure(): string {
  const bytes = new Uint8Array(DENSE_BYTES);
  const view = new DataView(bytes.buffer);
  const maxima = new RegisterMaxima();
  const expected = new Uint8Array(REGISTERS);
  for (let round = 0; round < REGISTER_ROUNDS; round++) {
    for (let index = 0; index < REGISTERS; index++) {
      const rank = Math.floor(Math.random() * (REGISTER_MAX + 1));
      const isRaised = raiseDense(bytes, 0, index, rank);
      if (isRaised !== rank > expected[index]) return `Register ${index} was ${isRaised ? '' : 'not '}raised`;
      expected[index] = Math.max(expected[index], rank);
    }
    maxima.mergeDense(view, 0);
    bytes.fill(0, HEADER_BYTES);
    maxima.writeDense(view, 0);
    for (let index = 0; index < REGISTERS; index++) {
      const found = denseRegister(bytes, 0, index);
      if (found !== expected[index]) return `Register ${index} should be ${expected[index]} but is ${found}`;
    }
  }
  return '';
}

function findEstimateFailure(): string {
  const dense = new Uint8Array(DENSE_BYTES);
  const denseView = new DataView(dense.buffer);
  writeHeader(dense, denseView, 0, Form.Dense);
  const sparse = new Uint8Array(DENSE_BYTES);
  const sparseView = new DataView(sparse.buffer);
  const maxima = new RegisterMaxima();
  const draft = new HyperLogLogDraft(new RegisterMaxima());
  const histogram = createHistogram();
  draft.beginEmpty();
  const element = new Uint8Array(8);
  const elementView = new DataView(element.buffer);
  elementView.setInt32(0, Math.floor(Math.random() * 2 ** 32) | 0, true);
  for (let count = 1, checkpoint = 1; count <= ELEMENTS; count++) {
    elementView.setInt32(4, count, true);
    const place = placeOf(element, elementView, 0, element.length);
    raiseDense(dense, 0, indexOf(place), rankOf(place));
    if (count <= SPARSE_ELEMENTS && !draft.raise(indexOf(place), rankOf(place), SPARSE_BYTES_MAX)) {
      return 'sparse registers are damaged';
    }
    if (count !== checkpoint) continue;
    checkpoint *= 10;
    maxima.clear();
    maxima.mergeDense(denseView, 0);
    maxima.count(histogram);
    const counted = estimate(histogram);
    if (count <= SPARSE_ELEMENTS) {
      draft.copyTo(sparse, sparseView, 0);
      if (sparse[4] !== Form.Sparse) return 'sparse encoding not used';
      const fromSparse = countSparse(sparse, HEADER_BYTES, draft.lengthBytes);
      if (fromSparse === null || estimate(fromSparse) !== counted) return 'dense/sparse disagree';
    }
    const errorMax = Math.ceil((ERROR_FACTOR_MAX * 1.04 * count) / Math.sqrt(REGISTERS));
    const error = Math.abs(counted - count);
    if (error > errorMax) return `Too big error. card:${count} abserr:${error}`;
  }
  return '';
}

/**
 * Sorts numbers that stand for other things, by a comparison function.
 *
 * Both sorts leave elements that compare as equal in the order that Redis's do: a merge sort if all are wanted, as in
 * the C library, and the quicksort of Bentley and McIlroy ("Engineering a Sort Function", 1993) if only the first are
 * wanted, since it need not sort the elements behind them.
 */

/** Order of two elements: below, equal to or above 0. */
export type Comparison = (left: number, right: number) => number;

const INSERTION_LENGTH_MAX = 6;
const NINTHER_LENGTH_MIN = 41;

/** Sorts the first `count` elements; equal ones keep their order. */
export function sortStably(elements: Int32Array, count: number, compare: Comparison): void {
  for (let start = 0; start < count; start += INSERTION_LENGTH_MAX) {
    insertionSort(elements, start, Math.min(count, start + INSERTION_LENGTH_MAX), compare);
  }
  if (count <= INSERTION_LENGTH_MAX) return;
  let source: Int32Array = elements;
  let target: Int32Array = new Int32Array(count);
  for (let width = INSERTION_LENGTH_MAX; width < count; width *= 2) {
    for (let start = 0; start < count; start += 2 * width) {
      merge(
        source,
        target,
        start,
        Math.min(count, start + width),
        Math.min(count, start + 2 * width),
        compare,
      );
    }
    [source, target] = [target, source];
  }
  if (source !== elements) elements.set(source.subarray(0, count));
}

/** Merges the sorted elements from `start` to `middle` and from `middle` to `end` of the source into the target. */
function merge(
  source: Int32Array,
  target: Int32Array,
  start: number,
  middle: number,
  end: number,
  compare: Comparison,
): void {
  let left = start;
  let right = middle;
  for (let at = start; at < end; at++) {
    const takesLeft = left < middle && (right === end || compare(source[left], source[right]) <= 0);
    target[at] = takesLeft ? source[left++] : source[right++];
  }
}

function insertionSort(elements: Int32Array, start: number, end: number, compare: Comparison): void {
  for (let next = start + 1; next < end; next++) {
    for (let at = next; at > start && compare(elements[at - 1], elements[at]) > 0; at--)
      swap(elements, at, at - 1);
  }
}

function swap(elements: Int32Array, left: number, right: number): void {
  const element = elements[left];
  elements[left] = elements[right];
  elements[right] = element;
}

function swapRanges(elements: Int32Array, left: number, right: number, length: number): void {
  for (let at = 0; at < length; at++) swap(elements, left + at, right + at);
}

/** Of three positions, the one that has the median of their elements. */
function medianOf(elements: Int32Array, a: number, b: number, c: number, compare: Comparison): number {
  if (compare(elements[a], elements[b]) < 0) {
    if (compare(elements[b], elements[c]) < 0) return b;
    return compare(elements[a], elements[c]) < 0 ? c : a;
  }
  if (compare(elements[b], elements[c]) > 0) return b;
  return compare(elements[a], elements[c]) < 0 ? a : c;
}

/** Sorts the first `count` elements as far as it takes to have the `wanted` lowest of them, sorted, in front. */
export function sortPartially(
  elements: Int32Array,
  count: number,
  wanted: number,
  compare: Comparison,
): void {
  quicksort(elements, 0, count, wanted, compare);
}

function quicksort(
  elements: Int32Array,
  start: number,
  end: number,
  wanted: number,
  compare: Comparison,
): void {
  for (;;) {
    if (end - start <= INSERTION_LENGTH_MAX) {
      insertionSort(elements, start, end, compare);
      return;
    }
    swap(elements, start, pivotOf(elements, start, end, compare));
    partition(elements, start, end, compare);
    const leftEnd = start + parts.below;
    const rightStart = end - parts.above;
    // Elements that are not wanted need not be sorted. Only the smaller part is sorted recursively, so the recursion
    // stays shallow.
    if (rightStart >= wanted) {
      end = leftEnd;
    } else if (leftEnd - start < end - rightStart) {
      quicksort(elements, start, leftEnd, wanted, compare);
      start = rightStart;
    } else {
      quicksort(elements, rightStart, end, wanted, compare);
      end = leftEnd;
    }
  }
}

/** Position of an element that is likely to lie in the middle. */
function pivotOf(elements: Int32Array, start: number, end: number, compare: Comparison): number {
  const length = end - start;
  let first = start;
  let middle = start + (length >> 1);
  let last = end - 1;
  if (length === INSERTION_LENGTH_MAX + 1) return middle;
  if (length >= NINTHER_LENGTH_MIN) {
    const step = length >> 3;
    first = medianOf(elements, first, first + step, first + 2 * step, compare);
    middle = medianOf(elements, middle - step, middle, middle + step, compare);
    last = medianOf(elements, last - 2 * step, last - step, last, compare);
  }
  return medianOf(elements, first, middle, last, compare);
}

/** How many elements the last `partition` has found below and above the pivot. */
const parts = { below: 0, above: 0 };

/**
 * Brings the elements below the first one in front of it, and those above it behind. Equal ones are gathered at both
 * ends first, and then brought to the middle.
 */
function partition(elements: Int32Array, start: number, end: number, compare: Comparison): void {
  let equalsEnd = start + 1;
  let low = start + 1;
  let high = end - 1;
  let equalsStart = end - 1;
  for (;;) {
    for (; low <= high; low++) {
      const order = compare(elements[low], elements[start]);
      if (order > 0) break;
      if (order === 0) swap(elements, equalsEnd++, low);
    }
    for (; low <= high; high--) {
      const order = compare(elements[high], elements[start]);
      if (order < 0) break;
      if (order === 0) swap(elements, high, equalsStart--);
    }
    if (low > high) break;
    swap(elements, low++, high--);
  }
  const front = Math.min(equalsEnd - start, low - equalsEnd);
  swapRanges(elements, start, low - front, front);
  const back = Math.min(equalsStart - high, end - 1 - equalsStart);
  swapRanges(elements, low, end - back, back);
  parts.below = low - equalsEnd;
  parts.above = equalsStart - high;
}

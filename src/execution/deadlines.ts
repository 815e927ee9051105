/**
 * Items with deadlines, the next one first: a binary heap (Williams, 1964). An item knows its place in the heap, so it
 * is removed as quickly as it was added; until it is due it costs nothing.
 */

export interface Deadline {
  /** In ms of the monotonic clock. */
  deadlineMs: number;
  /** Place in the heap, -1 outside. For the heap alone. */
  heapIndex: number;
}

export class Deadlines<Item extends Deadline> {
  private readonly heap: Item[] = [];

  get size(): number {
    return this.heap.length;
  }

  /** When the next item is due; infinity if there is none. */
  get nextMs(): number {
    return this.heap.length === 0 ? Number.POSITIVE_INFINITY : this.heap[0].deadlineMs;
  }

  add(item: Item): void {
    this.heap.push(item);
    this.rise(this.heap.length - 1, item);
  }

  /** Takes an item out, if it is there. */
  remove(item: Item): void {
    const index = item.heapIndex;
    if (index < 0) return;
    item.heapIndex = -1;
    const last = this.heap.pop() as Item;
    if (last === item) return;
    this.sink(index, last);
    this.rise(last.heapIndex, last);
  }

  /** Takes out the next item if it is due; null if it is not. */
  takeDue(nowMs: number): Item | null {
    if (this.nextMs > nowMs) return null;
    const [item] = this.heap;
    this.remove(item);
    return item;
  }

  private rise(start: number, item: Item): void {
    const { heap } = this;
    let index = start;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (heap[parent].deadlineMs <= item.deadlineMs) break;
      this.place(index, heap[parent]);
      index = parent;
    }
    this.place(index, item);
  }

  private sink(start: number, item: Item): void {
    const { heap } = this;
    let index = start;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1].deadlineMs < heap[child].deadlineMs) child++;
      if (heap[child].deadlineMs >= item.deadlineMs) break;
      this.place(index, heap[child]);
      index = child;
    }
    this.place(index, item);
  }

  private place(index: number, item: Item): void {
    this.heap[index] = item;
    item.heapIndex = index;
  }
}

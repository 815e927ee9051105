/**
 * A walk over the elements of a collection that goes on changing: it comes to each element that was there when it
 * began, once. Whoever is about to change or remove an element to which the walk has not come hands it to the keeper
 * first, and marks what takes its place: the walk leaves that out. So nobody ever waits for more than one element, or
 * one chunk of a list.
 *
 * The root of a collection names the walk that is under way, 0 for none: the word index of a block that begins with
 *
 *   | position | groups |   words
 *
 * The position says where the walk goes on. In a dictionary it is a place in the order of `scan`, in a sorted set the
 * next record (from the greatest on), in a list the next chunk. All before it is done and of no concern to the walk.
 * `groups` is for lists, whose order the keeper has to keep (kept-chunks.ts), and for streams, of which a part is kept as
 * it was (stream-walk.ts).
 */

export const enum Walk {
  Position = 0,
  Groups = 1,
  WORDS = 2,
}

/** Takes elements of a collection that is walked over before they change. */
export interface ElementKeeper {
  /** The record of a dictionary is about to change or to go. */
  keepRecord(walk: number, record: number): void;
  /** A chunk of a list is; it comes to be in front of what is there then (kept-chunks.ts). */
  keepChunk(walk: number, chunk: number): void;
  /** The block that a collection's reference names is another one now. */
  moved(walk: number, reference: number): void;
  /** Whether what changes is to be kept at all. For streams, which keep it themselves (stream-walk.ts). */
  readonly isKeeping: boolean;
  /** There was no memory to keep something. */
  keepingFailed(): void;
}

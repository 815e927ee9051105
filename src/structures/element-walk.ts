/**
 * A walk over the elements of a collection that goes on changing: it visits each element that was there when it
 * began, once. Code that is about to change or remove an element that the walk has not reached gives it to the keeper
 * first, and marks the element that takes its place as left out, so that the walk skips it. So a command never waits
 * for more than one element, or one chunk of a list.
 *
 * The root of a collection holds the walk that is under way, 0 for none: the word index of a block that begins with
 *
 *   | position | groups |   words
 *
 * The position is where the walk goes on. In a dictionary it is a place in the order of `scan`, in a sorted set the
 * next record (from the greatest on), in a list the next chunk. Elements before it are done and may change freely.
 * `groups` is for lists, whose order the keeper has to keep (kept-chunks.ts), and for streams, of which a part is kept
 * as it was (stream-walk.ts).
 */

export const enum Walk {
  Position = 0,
  Groups = 1,
  WORDS = 2,
}

/** Saves elements of a collection that is being walked over before they change. */
export interface ElementKeeper {
  /** A record of a dictionary is about to change or to be removed. */
  keepRecord(walk: number, record: number): void;
  /** A chunk of a list is about to change; its old state is kept in front of what replaces it (kept-chunks.ts). */
  keepChunk(walk: number, chunk: number): void;
  /** A collection's reference names another block now. */
  moved(walk: number, reference: number): void;
  /** Whether old states need to be kept at all. For streams, which keep them themselves (stream-walk.ts). */
  readonly isKeeping: boolean;
  /** There was no memory to keep something. */
  keepingFailed(): void;
}

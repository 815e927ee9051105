/** Where an element of a dictionary lies in its shard. */

export class ElementView {
  /** The member (the field, in a hash). */
  offset = 0;
  lengthBytes = 0;
  /** The value of a field. */
  valueOffset = 0;
  valueLength = 0;
  /** When a field expires, -1 for never. */
  expiresAt = -1;
  /** The score of a sorted set's member. */
  score = 0;
}

/** Finds which of many prefixes a text begins with: one map lookup for each length of prefixes. */

export class PrefixIndex<Value> {
  private readonly byText = new Map<string, Value>();
  /** In ascending order. */
  private readonly lengths: number[] = [];

  /** Adds a prefix, one character per byte. */
  add(prefix: string, value: Value): void {
    this.byText.set(prefix, value);
    if (this.lengths.includes(prefix.length)) return;
    this.lengths.push(prefix.length);
    this.lengths.sort((one, other) => one - other);
  }

  /** Calls `take` with the value of every prefix of a text. */
  match(text: string, take: (value: Value) => void): void {
    for (const length of this.lengths) {
      if (length > text.length) return;
      const value = this.byText.get(text.slice(0, length));
      if (value !== undefined) take(value);
    }
  }
}

/**
 * Compares, database by database, the number of keys written to a snapshot with the number that the keyspace had at its
 * moment. A file that lacks a key, or has one twice, must never replace an older file. The loader uses a tally, too, to
 * compare the keys of a file with the number that it announces.
 */

/** A snapshot, or the payload of a key, that differs from the keyspace. The code is at fault, not the disk. */
export class IncompleteSnapshotError extends Error {
  readonly problem: string;

  constructor(problem: string) {
    super(`the snapshot is not whole: ${problem}`);
    this.problem = problem;
  }
}

export class KeyTally {
  private readonly expected: number[] = [];
  private readonly written: number[] = [];

  /** Starts a new count for so many databases, without any keys. */
  begin(databaseCount: number): void {
    this.expected.length = 0;
    this.written.length = 0;
    for (let database = 0; database < databaseCount; database++) {
      this.expected.push(0);
      this.written.push(0);
    }
  }

  /** Expects `keys` more keys in a database. */
  expect(database: number, keys: number): void {
    this.expected[database] += keys;
  }

  /** How many keys a database has to have. */
  expectedIn(database: number): number {
    return this.expected[database];
  }

  /** Counts a written key of a database. */
  add(database: number): void {
    this.written[database]++;
  }

  /** The databases that have other numbers of keys than are expected. */
  differences(): { database: number; expected: number; written: number }[] {
    return this.expected
      .map((expected, database) => ({ database, expected, written: this.written[database] }))
      .filter(({ expected, written }) => written !== expected);
  }

  /** Throws an IncompleteSnapshotError if the keys that were written are not those that are expected. */
  check(): void {
    for (const { database, expected, written } of this.differences()) {
      throw new IncompleteSnapshotError(`database ${database} has ${expected} keys, ${written} were written`);
    }
  }
}

/** Throws an IncompleteSnapshotError if a value was written with more or fewer elements than were announced. */
export function checkElements(written: number, announced: number): void {
  if (written === announced) return;
  throw new IncompleteSnapshotError(`a value has ${announced} elements, ${written} were written`);
}

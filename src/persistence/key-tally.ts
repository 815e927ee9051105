/**
 * Counts the keys that a snapshot is given, database by database, against those that the keyspace had at its moment. A
 * file that is short of one, or has one twice, must never take the place of an older one. Whoever loads a file counts
 * likewise what it announces.
 */

/** A snapshot, or the payload of a key, that is not what the keyspace has. Whatever took it is at fault, not the disk. */
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

  /** Forgets all; to begin with, a snapshot has no keys in any of so many databases. */
  begin(databaseCount: number): void {
    this.expected.length = 0;
    this.written.length = 0;
    for (let database = 0; database < databaseCount; database++) {
      this.expected.push(0);
      this.written.push(0);
    }
  }

  /** The snapshot has to have `keys` more keys in a database. */
  expect(database: number, keys: number): void {
    this.expected[database] += keys;
  }

  /** How many keys a database has to have. */
  expectedIn(database: number): number {
    return this.expected[database];
  }

  /** A key of a database was written. */
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

/** Throws an IncompleteSnapshotError if a value was written with another number of elements than it was announced with. */
export function checkElements(written: number, announced: number): void {
  if (written === announced) return;
  throw new IncompleteSnapshotError(`a value has ${announced} elements, ${written} were written`);
}

/** Tables and numbers for people. */

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Thousands are set apart; three significant digits below a thousand. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return Number(value.toPrecision(3)).toString();
}

/** Lines of a table; the first row is the head, the first column is set to the left. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd();
  const rule = widths.map((width) => '-'.repeat(width)).join('  ');
  return [line(rows[0]!), rule, ...rows.slice(1).map(line)].join('\n');
}

/** A limit that a measurement is held against. */
export interface Target {
  limit: number;
  /** Whether the measurement should be at least the limit, else at most. */
  atLeast?: boolean;
}

export function isMet(target: Target, value: number): boolean {
  return target.atLeast ? value >= target.limit : value <= target.limit;
}

export function formatTarget(target: Target, value: number): string {
  return `${target.atLeast ? '≥' : '≤'} ${formatNumber(target.limit)} ${isMet(target, value) ? 'met' : 'MISSED'}`;
}

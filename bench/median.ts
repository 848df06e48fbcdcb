/** The middle of `values`, the upper one of two. Sorts them. */
export function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

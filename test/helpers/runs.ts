/**
 * How often a property is tried: SIDETONE_PROPERTY_RUNS where it is set (a million for a long run), else `usual`.
 */
export function propertyRuns(usual: number): number {
  const runs = Number(process.env.SIDETONE_PROPERTY_RUNS ?? usual);
  if (!Number.isSafeInteger(runs) || runs < 1)
    throw new Error('SIDETONE_PROPERTY_RUNS must be a whole number above 0');
  return runs;
}

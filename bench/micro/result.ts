/** One alternative's figures, in ns a call. */
export interface MicroResult {
  benchmark: string;
  /** What is done, the same for all alternatives. */
  what: string;
  /** Who does it. */
  who: string;
  medianNs: number;
  meanNs: number;
  p99Ns: number;
  /** Margin of error of the mean, in percent. */
  errorPercent: number;
  /** Its median over the median of the first alternative of the same thing: above 1 is slower. */
  ratio: number;
}

/** The command lines of the benchmarks: `--help`, and errors that name the option, the value and what would do. */
import { Command, InvalidArgumentError } from 'commander';
import { EXIT_OK, EXIT_USAGE } from '../src/cli/exit.js';

/** A program without arguments, to which options are added. Errors of its options end it with EXIT_USAGE. */
export function benchCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .allowExcessArguments(false)
    .showHelpAfterError('(add --help for the options)')
    .exitOverride(({ exitCode }) => process.exit(exitCode === EXIT_OK ? EXIT_OK : EXIT_USAGE));
}

/** For an option that is a whole number in these limits. */
export function whole(min: number, max: number): (text: string) => number {
  return text => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Give a whole number from ${min} to ${max}.`);
  };
}

/** For an option that is a list, without blanks, of some of `known`. */
export function someOf<T extends string>(known: readonly T[]): (text: string) => T[] {
  return text =>
    text.split(',').map(word => {
      const one = known.find(each => each === word);
      if (one === undefined) throw new InvalidArgumentError(`Give some of ${known.join(',')}.`);
      return one;
    });
}

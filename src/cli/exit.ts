/** Exit codes of every command. */
export const EXIT_OK = 0;
/** The command failed: a call went wrong, a check found errors, a port was in use. */
export const EXIT_FAILED = 1;
/** Bad usage or configuration; the message names the field, the value and the remedy. */
export const EXIT_USAGE = 2;

/** The machine lacks something that only its owner can give. */

/** A sentence that says what is missing and which command runs everything that does not need it. */
export class NotPossible extends Error {
  override name = 'NotPossible';
}

/**
 * Exit code of the set-up when the machine does not allow it (EX_UNAVAILABLE of sysexits.h): `make test` can
 * tell "could not run here" from "ran and failed".
 */
export const NOT_POSSIBLE_EXIT_CODE = 69;

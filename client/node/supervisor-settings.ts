/** Settings that the supervisor gives the director's process, in its environment. */
import { z } from 'zod';

/** Name of the environment variable, which holds JSON. */
export const DIRECTOR_SETTINGS = 'FILERPAIR_DIRECTOR_SETTINGS';

/** The message with which a director begins; until then it is loaded and waits. */
export const BEGIN = 'begin';

const cures = z.strictObject({
  diversion: z.boolean(),
  holderZone: z.boolean(),
  quickClose: z.boolean(),
  clientClose: z.boolean(),
  guard: z.boolean(),
  alive: z.boolean(),
});

export const directorSettings = z.strictObject({
  stateDirectory: z.string(),
  verbose: z.boolean(),
  /** The director serves the mounts in the private network namespace. */
  isPrivate: z.boolean(),
  holders: z.array(
    z.strictObject({
      descriptor: z.int(),
      address: z.strictObject({ address: z.string(), port: z.int() }),
    }),
  ),
  /** It waits for its turn, and has time to warm up. */
  isStandby: z.boolean(),
  /** For tests: what is left out of the rules. */
  cures: cures.optional(),
});
export type DirectorSettings = z.infer<typeof directorSettings>;

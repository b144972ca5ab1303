/**
 * A rule that a JSON schema cannot say. It is written twice, in CEL for the API server and in TypeScript for everyone else,
 * with one message; crds/examples/ and the e2e tests show that both refuse the same things.
 */

import type { z } from 'zod';

export interface Rule<T> {
  /** CEL over `self`. */
  readonly cel: string;
  readonly message: string;
  /** Member that the message is about, from `self`. */
  readonly field?: readonly string[];
  readonly holds: (self: T) => boolean;
}

/** A rule about a change. zod sees one state only; see changes.ts. */
export interface ChangeRule<T = never> {
  /** CEL over `self` and `oldSelf`. */
  readonly cel: string;
  readonly message: string;
  readonly holds: (self: T, before: T) => boolean;
}

/** The rules about changes of a schema itself, not of its members. */
export const changeRulesOf = (schema: z.ZodType): readonly ChangeRule[] =>
  (schema.meta()?.[CHANGE_RULES] as readonly ChangeRule[] | undefined) ?? [];

/** In a schema's metadata, which survive what is added to it later. */
const CHANGE_RULES = 'changeRules';

const celOf = (rule: { cel: string; message: string; field?: readonly string[] }) => ({
  rule: rule.cel,
  message: rule.message,
  // The API server knows no path into metadata.
  ...(rule.field === undefined || rule.field[0] === 'metadata'
    ? {}
    : { fieldPath: rule.field.map((part) => `.${part}`).join('') }),
});

/** The schema with the rules in both languages. Every further property goes to the CRD as it is. */
export function withRules<S extends z.ZodType>(
  schema: S,
  rules: readonly Rule<z.output<S>>[],
  changes: readonly ChangeRule<z.output<S>>[] = [],
): S {
  return schema
    .superRefine((self, context) => {
      for (const rule of rules)
        if (!rule.holds(self))
          context.addIssue({ code: 'custom', path: [...(rule.field ?? [])], message: rule.message });
    })
    .meta({
      ...schema.meta(),
      'x-kubernetes-validations': [...rules, ...changes].map(celOf),
      [CHANGE_RULES]: changes,
    }) as S;
}

/** Errors of a schema in words. */

import type { z } from 'zod';

/** One sentence a line: the field, then what is wrong with it, as the API server would say it. */
export function explain(error: z.ZodError, root = 'spec'): string {
  return error.issues.map((issue) => `${pathText(root, issue.path)}: ${issue.message}`).join('\n');
}

const pathText = (root: string, path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    root,
  );

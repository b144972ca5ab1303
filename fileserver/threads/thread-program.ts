/**
 * Where the program of a thread of the data path lies. Not an import: it runs in its worker alone. From sources it lies beside this
 * file; bundled, beside the program that starts it (scripts/bundle.ts), with another extension.
 */
const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

/** `name`: the file's, without extension. */
export const threadProgram = (name: 'thread' | 'connection-thread' | 'volume-thread'): URL =>
  new URL(`./${name}.${extension}`, import.meta.url);

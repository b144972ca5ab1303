/** The gate of a test that owns its volume. */
import type { WriteGate } from './write-gate.ts';

export const OPEN: WriteGate = { begin: () => true, end: () => {} };

/** What `filerpair probe` tells: events as lines of JSON for programs, as sentences for people. Pure. */
import type { ConnectionEvent } from '../../connection-event.ts';
import { narrate } from '../session.ts';

type OfConnection = Extract<ConnectionEvent, { readonly kind: 'Lost' | 'Adopted' }>;

/** `atMs`: ms since 1970 by the clock of the machine on which the probe runs. */
export type ProbeLine =
  | { readonly kind: 'Started'; readonly atMs: number }
  | OfConnection
  /** The first reply after a connection was adopted; `pauseMs` since the reply before it. */
  | { readonly kind: 'Answered'; readonly atMs: number; readonly pauseMs: number }
  | {
      readonly kind: 'Ended';
      readonly atMs: number;
      readonly replies: number;
      /** The longest time between two replies. */
      readonly longestPauseMs: number;
      /** Absent: nothing was written. */
      readonly lines?: { readonly acknowledged: number; readonly lost: number };
    };

const KINDS: readonly ProbeLine['kind'][] = ['Started', 'Lost', 'Adopted', 'Answered', 'Ended'];

/** @returns null: the line is none of a probe's, but for people */
export function parseProbeLine(text: string): ProbeLine | null {
  try {
    const value = JSON.parse(text) as ProbeLine | null;
    return value !== null && KINDS.includes(value.kind) && Number.isFinite(value.atMs) ? value : null;
  } catch {
    return null;
  }
}

export function probeText(server: string, line: ProbeLine): string | null {
  switch (line.kind) {
    case 'Started':
      return `${server} answers; the next lines say when it does not`;
    case 'Lost':
    case 'Adopted':
      return narrate(server, line, { verbose: true, timeoutMs: undefined });
    case 'Answered':
      return `${server} answers again: a pause of ${msText(line.pauseMs)}`;
    case 'Ended': {
      const { replies, longestPauseMs, lines } = line;
      const written =
        lines === undefined ? '' : `; ${lines.acknowledged} lines acknowledged, ${lines.lost} of them lost`;
      return `${replies} replies, the longest pause between two was ${msText(longestPauseMs)}${written}`;
    }
  }
}

export const msText = (ms: number): string => `${ms.toFixed(ms < 10 ? 1 : 0)} ms`;

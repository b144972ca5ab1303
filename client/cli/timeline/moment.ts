/** A timeline as text: what happened when, a line each, with a bar that shows how the time passes. Pure. */

export interface Moment {
  /** Ms since the beginning of the story told. */
  readonly atMs: number;
  readonly text: string;
  readonly kind?: 'Normal' | 'Bad' | 'Good';
}

/** A moment as the parts of its line. */
export interface TimelineLine {
  readonly time: string;
  readonly bar: string;
  readonly moment: Moment;
}

const BAR_WIDTH = 24;

/** In order, each with the part of the time that has passed by then. */
export function inOrder(moments: readonly Moment[]): { readonly moment: Moment; readonly passed: number }[] {
  const ordered = moments.toSorted((a, b) => a.atMs - b.atMs);
  const endMs = Math.max(1, ordered.at(-1)?.atMs ?? 1);
  return ordered.map((moment) => ({ moment, passed: moment.atMs / endMs }));
}

export function timelineLines(moments: readonly Moment[]): TimelineLine[] {
  return inOrder(moments).map(({ moment, passed }) => {
    const column = Math.min(BAR_WIDTH - 1, Math.max(0, Math.round(passed * (BAR_WIDTH - 1))));
    return {
      time: `${moment.atMs.toFixed(1)} ms`.padStart(11),
      bar: `|${'-'.repeat(column)}o${' '.repeat(BAR_WIDTH - 1 - column)}|`,
      moment,
    };
  });
}

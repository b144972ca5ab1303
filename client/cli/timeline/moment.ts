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

/** In order. */
export function timelineLines(moments: readonly Moment[]): TimelineLine[] {
  const ordered = moments.toSorted((a, b) => a.atMs - b.atMs);
  const endMs = Math.max(1, ordered.at(-1)?.atMs ?? 1);
  return ordered.map((moment) => {
    const share = (moment.atMs / endMs) * (BAR_WIDTH - 1);
    const column = Math.min(BAR_WIDTH - 1, Math.max(0, Math.round(share)));
    return {
      time: `${moment.atMs.toFixed(1)} ms`.padStart(11),
      bar: `|${'-'.repeat(column)}o${' '.repeat(BAR_WIDTH - 1 - column)}|`,
      moment,
    };
  });
}

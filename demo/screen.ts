/** How the demo looks: headings, a timeline, a verdict. Colours on a terminal, plain text in a log. */

export interface Moment {
  /** Ms since the beginning of the story told. */
  readonly atMs: number;
  readonly text: string;
  readonly kind?: 'Normal' | 'Bad' | 'Good';
}

const CODES = { bold: 1, dim: 2, red: 31, green: 32, cyan: 36 } as const;
type Colour = keyof typeof CODES;

export class Screen {
  readonly #write: (text: string) => void;
  readonly #colours: boolean;

  constructor(write: (text: string) => void, colours: boolean) {
    this.#write = write;
    this.#colours = colours;
  }

  heading(text: string): void {
    this.#write(`\n${this.#paint('bold', text)}\n`);
  }

  line(text: string): void {
    this.#write(`  ${text}\n`);
  }

  note(text: string): void {
    this.#write(`  ${this.#paint('dim', text)}\n`);
  }

  /** Moments in order; a bar shows how the time passes. */
  timeline(moments: readonly Moment[]): void {
    const ordered = [...moments].sort((a, b) => a.atMs - b.atMs);
    const endMs = Math.max(1, ordered[ordered.length - 1]?.atMs ?? 1);
    for (const { atMs, text, kind } of ordered) {
      const time = `${atMs.toFixed(1)} ms`.padStart(11);
      const column = Math.min(BAR_WIDTH - 1, Math.max(0, Math.round((atMs / endMs) * (BAR_WIDTH - 1))));
      const bar = `|${'-'.repeat(column)}o${' '.repeat(BAR_WIDTH - 1 - column)}|`;
      const colour = kind === 'Bad' ? 'red' : kind === 'Good' ? 'green' : 'cyan';
      this.#write(`${time}  ${this.#paint(colour, bar)}  ${text}\n`);
    }
  }

  verdict(good: boolean, text: string): void {
    this.#write(`  ${this.#paint(good ? 'green' : 'red', good ? 'ok ' : 'BAD')}  ${text}\n`);
  }

  failure(text: string): void {
    this.#write(`\n${this.#paint('red', 'The demo failed.')} ${text}\n`);
  }

  #paint(colour: Colour, text: string): string {
    return this.#colours ? `\x1b[${CODES[colour]}m${text}\x1b[0m` : text;
  }
}

const BAR_WIDTH = 24;

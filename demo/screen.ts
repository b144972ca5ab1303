/** How the demo looks: headings, a timeline, a verdict. Colours on a terminal, plain text in a log. */
import { type Moment, timelineLines } from '../client/cli/timeline/moment.ts';

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
    for (const { time, bar, moment } of timelineLines(moments)) {
      const colour = moment.kind === 'Bad' ? 'red' : moment.kind === 'Good' ? 'green' : 'cyan';
      this.#write(`${time}  ${this.#paint(colour, bar)}  ${moment.text}\n`);
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

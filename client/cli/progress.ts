/** How far a long copy is: a bar that redraws itself before an administrator, sparse lines in a log. */
import { sizeText } from './listing.ts';
import { oneLine, type Terminal } from './terminal.ts';

const REDRAW_MS = 100;
const LOG_LINE_MS = 10_000;
/** Copies that are done before this need no bar. */
const QUIET_MS = 500;
const BAR_WIDTH_MAX = 30;

export class Progress {
  readonly #terminal: Terminal;
  readonly #name: string;
  #total: number | null;
  readonly #startedMs: number;
  readonly #now: () => number;
  #shownMs: number;
  #drawn = false;
  #done = 0;

  /** `total` in bytes; null if it is not known (a pipe). */
  constructor(terminal: Terminal, name: string, total: number | null = null, now = () => performance.now()) {
    this.#terminal = terminal;
    this.#name = oneLine(name);
    this.#total = total;
    this.#now = now;
    this.#startedMs = now();
    this.#shownMs = this.#startedMs;
  }

  /** It is known how many bytes it will be; Infinity: it is not. */
  expect(total: number): void {
    this.#total = Number.isFinite(total) ? total : null;
  }

  /** `bytes` more are copied. */
  add(bytes: number): void {
    this.#done += bytes;
    const now = this.#now();
    if (now - this.#startedMs < QUIET_MS) return;
    if (now - this.#shownMs < (this.#terminal.interactive ? REDRAW_MS : LOG_LINE_MS)) return;
    this.#shownMs = now;
    this.#show(false);
  }

  /** The copy has ended: completes what was shown. */
  finish(): void {
    if (!this.#terminal.interactive && this.#now() - this.#startedMs < LOG_LINE_MS) return;
    if (this.#terminal.interactive && !this.#drawn) return;
    this.#show(true);
  }

  /** The copy has failed: leaves the line for the error that follows. */
  abandon(): void {
    if (this.#terminal.interactive && this.#drawn) this.#terminal.line('');
  }

  #show(last: boolean): void {
    const terminal = this.#terminal;
    this.#drawn = true;
    if (terminal.interactive) terminal.redraw(this.#line(terminal.columns), last);
    else terminal.line(`filerpair: ${this.#line(0)}`);
  }

  /** columns 0: without a bar. */
  #line(columns: number): string {
    const seconds = (this.#now() - this.#startedMs) / 1000;
    const rate = seconds > 0 ? this.#done / seconds : 0;
    const speed = `${sizeText(rate)}/s`;
    if (this.#total === null || this.#total === 0) return `${this.#name}  ${sizeText(this.#done)}  ${speed}`;
    const part = Math.min(1, this.#done / this.#total);
    const percent = `${Math.floor(part * 100)} %`.padStart(5);
    const left =
      this.#done < this.#total && rate > 0 ? `  ${duration((this.#total - this.#done) / rate)} left` : '';
    const amount = `${sizeText(this.#done)} of ${sizeText(this.#total)}`;
    const text = `${percent}  ${amount}  ${speed}${left}`;
    const room = columns - text.length - 6;
    if (room < 20) return columns === 0 ? `${this.#name}  ${text}` : text.slice(0, Math.max(columns - 1, 0));
    const barWidth = Math.min(BAR_WIDTH_MAX, room - Math.min(this.#name.length, Math.floor(room / 2)));
    const filled = Math.round(part * barWidth);
    const bar = `${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}`;
    const nameWidth = room - barWidth;
    const name = this.#name.length > nameWidth ? `..${this.#name.slice(-(nameWidth - 2))}` : this.#name;
    return `${name}  [${bar}]${text}`;
  }
}

/** `1:05` */
function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  const minutes = Math.floor(whole / 60);
  return `${minutes}:${String(whole % 60).padStart(2, '0')}`;
}

/** Draws a sequence of steps between parts as SVG that is readable on light and dark screens. */
import { escaped, MARGIN, svg, WIDTH } from '../../client/cli/timeline/svg.ts';

export interface Step {
  /** Names of parts. Equal: the part does it by itself. */
  readonly from: string;
  readonly to: string;
  /** Some 40 characters; it stands above the arrow. */
  readonly text: string;
}

export interface Sequence {
  readonly title: string;
  /** From left to right; two lines, divided by a line break. */
  readonly parts: readonly string[];
  readonly steps: readonly Step[];
}

const HEAD = 48;
const STEP = 34;

export function draw({ title, parts, steps }: Sequence): string {
  const column = (WIDTH - 2 * MARGIN) / parts.length;
  const height = HEAD + STEP * (steps.length + 1) + MARGIN;
  const xOf = (name: string): number => {
    const index = parts.findIndex((part) => part.split('\n')[0] === name);
    if (index < 0) throw new Error(`${title}: there is no part "${name}"`);
    return MARGIN + column * (index + 0.5);
  };
  const lines = parts.map((part) => {
    const x = xOf(part.split('\n')[0]!);
    const [name, where = ''] = part.split('\n');
    return [
      `<rect class="part" x="${x - column / 2 + 5}" y="${MARGIN}" width="${column - 10}" height="${HEAD - MARGIN}" rx="5"/>`,
      `<text class="name" x="${x}" y="${MARGIN + 15}">${escaped(name!)}</text>`,
      `<text class="where" x="${x}" y="${MARGIN + 29}">${escaped(where)}</text>`,
      `<line class="life" x1="${x}" y1="${HEAD}" x2="${x}" y2="${height - MARGIN}"/>`,
    ].join('\n');
  });
  const arrows = steps.map((step, index) => {
    const y = HEAD + STEP * (index + 1);
    return arrow(xOf(step.from), xOf(step.to), y, `${index + 1}. ${step.text}`);
  });
  return svg(title, height, [...lines, ...arrows]);
}

function arrow(from: number, to: number, y: number, text: string): string {
  const label = escaped(text);
  if (from === to) {
    const left = from > WIDTH * 0.72;
    const x = left ? from - 12 : from + 12;
    const anchor = left ? 'end' : 'start';
    return `<circle class="dot" cx="${from}" cy="${y - 4}" r="4"/>\n<text class="step" text-anchor="${anchor}" x="${x}" y="${y}">${label}</text>`;
  }
  const middle = (from + to) / 2;
  // A long text beside an edge stays on the paper: some 6.2 px a character.
  const half = (text.length * 6.2) / 2;
  const x = Math.min(Math.max(middle, MARGIN + half), WIDTH - MARGIN - half);
  return `<line class="arrow" x1="${from}" y1="${y}" x2="${to}" y2="${y}" marker-end="url(#head)"/>\n<text class="step" x="${x}" y="${y - 5}">${label}</text>`;
}

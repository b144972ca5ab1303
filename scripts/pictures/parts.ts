/** The picture of docs/architecture.md: the parts at run time, and what connects them. */
import { escaped, svg } from '../../client/cli/timeline/svg.ts';

/** Position and size in px. */
interface Box {
  readonly name: string;
  /** A line below the name. */
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** An arrow with a head at both ends if `both`. Positions in px. */
interface Connection {
  readonly from: readonly [x: number, y: number];
  readonly to: readonly [x: number, y: number];
  readonly text: string;
  readonly both?: boolean;
  /** Where the text stands: 0 is the start, 1 the end. */
  readonly textAt?: number;
}

const HEIGHT = 470;

/** A box that lies in another one comes after it. */
const BOXES: readonly Box[] = [
  { name: 'filer-a', text: '', x: 60, y: 130, width: 340, height: 140 },
  { name: 'filer-b', text: '', x: 600, y: 130, width: 340, height: 140 },
  { name: 'client', text: 'library, CLI, or local proxy', x: 390, y: 12, width: 220, height: 50 },
  { name: 'data threads', text: 'sockets, volumes', x: 75, y: 160, width: 150, height: 45 },
  { name: 'agent', text: 'main thread', x: 235, y: 160, width: 150, height: 45 },
  { name: 'sentinel', text: 'a process of its own', x: 235, y: 215, width: 150, height: 45 },
  { name: 'agent', text: 'main thread', x: 615, y: 160, width: 150, height: 45 },
  { name: 'data threads', text: 'sockets, volumes', x: 775, y: 160, width: 150, height: 45 },
  { name: 'sentinel', text: 'a process of its own', x: 615, y: 215, width: 150, height: 45 },
  {
    name: 'volumes of filer-a',
    text: 'each with journal and ownership record',
    x: 60,
    y: 400,
    width: 270,
    height: 50,
  },
  { name: 'witness', text: 'a Lease for each disk set', x: 380, y: 400, width: 240, height: 50 },
  {
    name: 'volumes of filer-b',
    text: 'each with journal and ownership record',
    x: 670,
    y: 400,
    width: 270,
    height: 50,
  },
];

const CONNECTIONS: readonly Connection[] = [
  { from: [420, 62], to: [150, 130], text: 'filer-a, port 2049 (primary)' },
  { from: [580, 62], to: [850, 130], text: 'filer-a-failover, port 2050 (secondary)' },
  { from: [385, 182], to: [615, 182], text: 'port 7420: heartbeats', both: true },
  { from: [385, 237], to: [615, 192], text: 'error message' },
  { from: [150, 270], to: [150, 400], text: 'serves' },
  { from: [850, 270], to: [850, 400], text: 'serves' },
  { from: [190, 270], to: [720, 400], text: 'after a takeover', textAt: 0.22 },
  { from: [810, 270], to: [280, 400], text: 'after a takeover', textAt: 0.22 },
  { from: [360, 270], to: [420, 400], text: 'compare-and-swap', both: true, textAt: 0.75 },
  { from: [640, 270], to: [580, 400], text: 'compare-and-swap', both: true, textAt: 0.75 },
];

export function drawParts(): string {
  return svg('The parts at run time', HEIGHT, [
    ...BOXES.map(box),
    ...CONNECTIONS.map(({ from, to, both }) => {
      const start = both === true ? ' marker-start="url(#tail)"' : '';
      return `<line class="arrow" x1="${from[0]}" y1="${from[1]}" x2="${to[0]}" y2="${to[1]}" marker-end="url(#head)"${start}/>`;
    }),
    ...CONNECTIONS.map(({ from, to, text, textAt = 0.5 }) => {
      const x = from[0] + (to[0] - from[0]) * textAt;
      const y = from[1] + (to[1] - from[1]) * textAt - 4;
      return `<text class="step" x="${x}" y="${y}">${escaped(text)}</text>`;
    }),
  ]);
}

function box({ name, text, x, y, width, height }: Box): string {
  const middle = x + width / 2;
  return [
    `<rect class="part" x="${x}" y="${y}" width="${width}" height="${height}" rx="5"/>`,
    `<text class="name" x="${middle}" y="${y + 20}">${escaped(name)}</text>`,
    `<text class="where" x="${middle}" y="${y + 36}">${escaped(text)}</text>`,
  ].join('\n');
}

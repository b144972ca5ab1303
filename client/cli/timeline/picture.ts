/** Timelines as a picture: what happened when, a line each, one scene below the other. Pure. */

import { inOrder, type Moment } from './moment.ts';
import { escaped, MARGIN, svg } from './svg.ts';

export interface Scene {
  readonly heading: string;
  readonly moments: readonly Moment[];
  /** Conclusion, in a sentence. */
  readonly result: string;
}

//   heading
//     0.0 ms   o                              filer-a killed
//    18.8 ms   ------o                        client: connection lost
//   result

/** Px: of a line, between scenes, where times end, where the bar begins and ends, where texts begin. */
const LINE = 22;
const GAP = 20;
const TIME_END = 84;
const BAR_START = 100;
const BAR_END = 420;
const TEXT_START = 440;

const STYLE = `<style>
.bar { stroke: #d1d9e0; stroke-width: 2 } .passed { stroke: #0969da; stroke-width: 2 }
.bad { fill: #cf222e } .good { fill: #1a7f37 } .result { font-weight: 600 }
@media (prefers-color-scheme: dark) { .bar { stroke: #3d444d } .passed { stroke: #4493f8 } .bad { fill: #f85149 } .good { fill: #3fb950 } }
</style>`;

export function timelinePicture(title: string, scenes: readonly Scene[]): string {
  const elements = [STYLE];
  let y = MARGIN;
  for (const { heading, moments, result } of scenes) {
    y += LINE;
    elements.push(text(MARGIN, y, heading, 'start', 'name'));
    for (const { moment, passed } of inOrder(moments)) {
      y += LINE;
      elements.push(...lineOf(moment, passed, y));
    }
    y += LINE;
    elements.push(text(MARGIN, y, result, 'start', 'result'));
    y += GAP;
  }
  return svg(title, y, elements);
}

function lineOf({ atMs, text: what, kind }: Moment, passed: number, y: number): string[] {
  const x = Math.round(BAR_START + passed * (BAR_END - BAR_START));
  const dot = kind === 'Bad' ? 'bad' : kind === 'Good' ? 'good' : 'dot';
  const middle = y - 4;
  return [
    text(TIME_END, y, `${atMs.toFixed(1)} ms`, 'end', 'where'),
    `<line class="bar" x1="${BAR_START}" y1="${middle}" x2="${BAR_END}" y2="${middle}"/>`,
    `<line class="passed" x1="${BAR_START}" y1="${middle}" x2="${x}" y2="${middle}"/>`,
    `<circle class="${dot}" cx="${x}" cy="${middle}" r="5"/>`,
    text(TEXT_START, y, what, 'start', 'what'),
  ];
}

const text = (x: number, y: number, content: string, anchor: 'start' | 'end', style: string): string =>
  `<text class="${style}" x="${x}" y="${y}" text-anchor="${anchor}">${escaped(content)}</text>`;

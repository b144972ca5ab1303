/** Series of a real run as a file of promtool's unit tests: on a grid of 15 s, with the alerts that have to fire at moments of the run. */
import { stringify } from 'yaml';

/** As PodMonitors scrape. */
export const GRID_SECONDS = 15;
/** Labels of this machine and this run. */
const LEFT_OUT = new Set(['__name__', 'instance', 'job']);

export interface RecordedSeries {
  /** As seriesText() says it. */
  readonly series: string;
  /** One for each step of the grid; null: it was not scraped then. */
  readonly values: readonly (number | null)[];
}

export interface Moment {
  readonly name: string;
  /** Of the grid. */
  readonly step: number;
  /** Names of the alerts that fire then, and of no others. */
  readonly firing: readonly string[];
}

export interface Recording {
  readonly title: string;
  /** YYYY-MM-DD. */
  readonly day: string;
  readonly series: readonly RecordedSeries[];
  readonly moments: readonly Moment[];
}

/** For `promtool test rules`. Rules that change later are played the same run again. */
export function recordingText({ title, day, series, moments }: Recording): string {
  const tests = {
    rule_files: ['alerts.yaml'],
    evaluation_interval: `${GRID_SECONDS}s`,
    tests: [
      {
        name: title,
        interval: `${GRID_SECONDS}s`,
        input_series: series
          .map((one) => ({ series: one.series, values: compressed(one.values) }))
          .toSorted((a, b) => (a.series < b.series ? -1 : 1)),
        promql_expr_test: moments.map(({ step, firing }) => ({
          expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
          eval_time: `${step * GRID_SECONDS}s`,
          exp_samples: firing.map((name) => ({ labels: `{alertname="${name}"}`, value: 1 })),
        })),
      },
    ],
  };
  const head = [
    `Recorded on ${day} (make recordings): ${title}.`,
    'Series of a real run, which promtool plays to the rules (make alerts).',
    ...moments.map(({ name, step }) => `At ${step * GRID_SECONDS} s: ${name}.`),
  ];
  return `${head.map((line) => `# ${line}\n`).join('')}${stringify(tests, { lineWidth: 0 })}`;
}

export function seriesText(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels)
    .filter(([name]) => !LEFT_OUT.has(name))
    .toSorted()
    .map(([name, value]) => `${name}="${value}"`);
  return `${labels['__name__']}{${pairs.join(',')}}`;
}

/** The last value of each interval; null: it was not scraped in it. */
export function onGrid(
  samples: readonly (readonly [ms: number, value: number])[],
  beganAt: number,
  steps: number,
): (number | null)[] {
  const grid = new Array<number | null>(steps + 1).fill(null);
  for (const [ms, value] of samples) {
    const step = Math.ceil((ms - beganAt) / (GRID_SECONDS * 1000));
    if (step >= 0 && step <= steps) grid[step] = value;
  }
  return grid;
}

/** In promtool's notation: `_x3 0x5 1 stale` is three times nothing, six times 0, once 1, and then no target any more. */
export function compressed(values: readonly (number | null)[]): string {
  const runs: { value: number | null; count: number }[] = [];
  for (const value of values) {
    const last = runs.at(-1);
    if (last !== undefined && last.value === value) last.count += 1;
    else runs.push({ value, count: 1 });
  }
  return runs
    .flatMap(({ value, count }, index) => {
      if (value !== null) return count === 1 ? `${value}` : `${value}x${count - 1}`;
      // A target that does not answer ends its series at once, as Prometheus does it.
      const empty = index === 0 ? count : count - 1;
      return [...(index === 0 ? [] : ['stale']), ...(empty === 0 ? [] : [empty === 1 ? '_' : `_x${empty}`])];
    })
    .join(' ');
}

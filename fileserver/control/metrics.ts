/**
 * Metrics in Prometheus' text format. Units are in the names, counters end in _total, and counters for what went well
 * exist from the beginning.
 */
export type Labels = Readonly<Record<string, string>>;

interface Family {
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly lines: () => Iterable<string>;
}

export class Metrics {
  private readonly families = new Map<string, Family>();

  counter(name: string, help: string): Counter {
    const counter = new Counter(name);
    this.families.set(name, { help, type: 'counter', lines: () => counter.lines() });
    return counter;
  }

  /** `read` is called at each scrape; a value of null leaves the sample out. */
  gauge(
    name: string,
    help: string,
    read: () => Iterable<readonly [labels: Labels, value: number | null]>,
  ): void {
    this.families.set(name, {
      help,
      type: 'gauge',
      lines: function* () {
        for (const [labels, value] of read()) {
          if (value !== null) yield `${name}${formatLabels(labels)} ${value}`;
        }
      },
    });
  }

  /** Like gauge(), for values that only grow. */
  counted(
    name: string,
    help: string,
    read: () => Iterable<readonly [labels: Labels, value: number | null]>,
  ): void {
    this.gauge(name, help, read);
    this.families.set(name, { ...this.families.get(name)!, type: 'counter' });
  }

  /** A histogram that somebody else keeps: how many values fell into each class, and their sum. */
  distribution(
    name: string,
    help: string,
    bounds: readonly number[],
    read: () => Iterable<readonly [labels: Labels, counts: readonly number[], sum: number]>,
  ): void {
    const lines = function* (): Iterable<string> {
      for (const [labels, counts, sum] of read()) {
        let below = 0;
        for (const [index, bound] of [...bounds, '+Inf'].entries()) {
          below += counts[index]!;
          yield `${name}_bucket${formatLabels({ ...labels, le: String(bound) })} ${below}`;
        }
        yield `${name}_sum${formatLabels(labels)} ${sum}`;
        yield `${name}_count${formatLabels(labels)} ${below}`;
      }
    };
    this.families.set(name, { help, type: 'histogram', lines });
  }

  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const histogram = new Histogram(name, bounds);
    this.families.set(name, { help, type: 'histogram', lines: () => histogram.lines() });
    return histogram;
  }

  format(): string {
    let text = '';
    for (const [name, family] of this.families) {
      text += `# HELP ${name} ${family.help}\n# TYPE ${name} ${family.type}\n`;
      for (const line of family.lines()) text += `${line}\n`;
    }
    return text;
  }
}

export class Counter {
  private readonly name: string;
  private readonly values = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  add(labels: Labels, by = 1): void {
    const key = formatLabels(labels);
    this.values.set(key, (this.values.get(key) ?? 0) + by);
  }

  *lines(): Iterable<string> {
    for (const [labels, value] of this.values) yield `${this.name}${labels} ${value}`;
  }
}

export class Histogram {
  private readonly name: string;
  private readonly bounds: readonly number[];
  private readonly counts: number[];
  private sum = 0;
  private count = 0;

  constructor(name: string, bounds: readonly number[]) {
    this.name = name;
    this.bounds = bounds;
    this.counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.count++;
    this.sum += value;
    for (let index = this.bounds.length - 1; index >= 0 && value <= this.bounds[index]!; index--) {
      this.counts[index]!++;
    }
  }

  *lines(): Iterable<string> {
    for (const [index, bound] of this.bounds.entries()) {
      yield `${this.name}_bucket${formatLabels({ le: String(bound) })} ${this.counts[index]}`;
    }
    yield `${this.name}_bucket${formatLabels({ le: '+Inf' })} ${this.count}`;
    yield `${this.name}_sum ${this.sum}`;
    yield `${this.name}_count ${this.count}`;
  }
}

function formatLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => {
    const escaped = value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n');
    return `${name}="${escaped}"`;
  });
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}

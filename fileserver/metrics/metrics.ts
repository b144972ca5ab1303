/**
 * Metrics in Prometheus' text format, by prom-client. Units are in the names, counters end in _total. What others count already (the
 * status, the memory that threads share) is read when somebody asks: prom-client's own classes would keep a copy of it.
 */
import { Counter, Histogram, type Metric, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

interface Sample {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

export class Metrics {
  readonly #registry = new Registry();

  counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  histogram(name: string, help: string, buckets: readonly number[]): Histogram {
    return new Histogram({ name, help, buckets: [...buckets], registers: [this.#registry] });
  }

  /** `read` is called at each scrape; a value of null leaves the sample out. */
  gauge(
    name: string,
    help: string,
    read: () => Iterable<readonly [labels: Labels, value: number | null]>,
  ): void {
    this.#read('gauge', name, help, () => samplesOf(read()));
  }

  /** Like gauge(), for values that only grow. */
  counted(
    name: string,
    help: string,
    read: () => Iterable<readonly [labels: Labels, value: number | null]>,
  ): void {
    this.#read('counter', name, help, () => samplesOf(read()));
  }

  /** A histogram that somebody else keeps: how many values fell into each class, and their sum. */
  distribution(
    name: string,
    help: string,
    bounds: readonly number[],
    read: () => Iterable<readonly [labels: Labels, counts: readonly number[], sum: number]>,
  ): void {
    this.#read('histogram', name, help, function* () {
      for (const [labels, counts, sum] of read()) {
        let value = 0;
        for (const [index, bound] of [...bounds, '+Inf'].entries()) {
          value += counts[index]!;
          yield { metricName: `${name}_bucket`, labels: { ...labels, le: String(bound) }, value };
        }
        yield { metricName: `${name}_sum`, labels, value: sum };
        yield { metricName: `${name}_count`, labels, value };
      }
    });
  }

  format(): Promise<string> {
    return this.#registry.metrics();
  }

  #read(type: string, name: string, help: string, read: () => Iterable<Sample>): void {
    // A registry needs no more of a metric than this; its type asks for one of the classes.
    const metric = { name, get: () => Promise.resolve({ name, help, type, values: [...read()] }) };
    this.#registry.registerMetric(metric as unknown as Metric);
  }
}

function* samplesOf(values: Iterable<readonly [Labels, number | null]>): Iterable<Sample> {
  for (const [labels, value] of values) if (value !== null) yield { labels, value };
}

import { expect, test } from 'vitest';
import { Metrics } from './metrics.ts';

test('writes the text format, by prom-client and what is read at each scrape alike: help, type, labels escaped, buckets cumulative', async () => {
  const metrics = new Metrics();
  const writes = metrics.counter('writes_total', 'Writes. Label: outcome.', ['outcome']);
  writes.inc({ outcome: 'applied' });
  writes.inc({ outcome: 'applied' }, 2);
  writes.inc({ outcome: 'a "b"\\\n' });
  metrics.gauge('right_seconds', 'Right.', () => [
    [{ disk_set: 'filer-a' }, 1.5],
    [{ disk_set: 'filer-b' }, null],
  ]);
  const rtt = metrics.histogram('rtt_seconds', 'Round trips.', [0.001, 0.01]);
  for (const value of [0.0005, 0.001, 0.005, 1]) rtt.observe(value);
  expect(await metrics.format()).toBe(`# HELP writes_total Writes. Label: outcome.
# TYPE writes_total counter
writes_total{outcome="applied"} 3
writes_total{outcome="a \\"b\\"\\\\\\n"} 1

# HELP right_seconds Right.
# TYPE right_seconds gauge
right_seconds{disk_set="filer-a"} 1.5

# HELP rtt_seconds Round trips.
# TYPE rtt_seconds histogram
rtt_seconds_bucket{le="0.001"} 2
rtt_seconds_bucket{le="0.01"} 3
rtt_seconds_bucket{le="+Inf"} 4
rtt_seconds_sum 1.0065
rtt_seconds_count 4
`);
});

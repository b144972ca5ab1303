/** What Prometheus reads from the operator, over HTTP. */

import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { World } from '../plan/world.fixture.ts';
import { startHealth } from '../runtime/health.ts';
import { countTransition, operatorMetrics } from './metrics.ts';

test('conditions as they are now, disk sets failed over, and transitions by cause', async () => {
  const world = World.running();
  world.claims('b', 'a', 2);
  const [transition] = world.plan().transitions;
  world.settle();
  const { metadata, status } = world.observed.pair!;
  const pairs = [{ namespace: metadata.namespace!, name: metadata.name!, status }];
  const metrics = operatorMetrics({ pairs: () => pairs, queueLength: () => 3, leading: () => true });
  const before = await metrics.registry.metrics();
  countTransition(metrics, { namespace: 'storage', name: 'home' }, transition!);
  metrics.requests.inc({ verb: 'PATCH', code: 429 });
  const server = await startHealth({
    port: 0,
    isReady: () => true,
    metrics: () => metrics.registry.metrics(),
  });
  const scrape = async () => {
    const { port } = server.address() as AddressInfo;
    return (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  };
  try {
    const text = await scrape();
    for (const line of [
      'filerpair_operator_leading 1',
      'filerpair_operator_queue_length 3',
      'filerpair_condition{namespace="storage",name="home",type="AtHome",status="False",reason="AwayFromHome"} 1',
      'filerpair_away_from_home{namespace="storage",name="home",disk_set="a"} 1',
      'filerpair_away_from_home{namespace="storage",name="home",disk_set="b"} 0',
      'filerpair_operator_transitions_total{namespace="storage",name="home",kind="Takeover",cause="Silent"} 1',
      'filerpair_operator_transitions_total{namespace="storage",name="home",kind="Takeover",cause="Released"} 0',
      'filerpair_operator_transition_duration_seconds_sum{kind="Takeover",cause="Silent"} 0.013',
      'filerpair_operator_api_requests_total{verb="PATCH",code="429"} 1',
    ])
      expect(text.split('\n')).toContain(line);
    // From zero: a first one is an increase.
    expect(before.split('\n')).toContain(
      'filerpair_operator_transitions_total{namespace="storage",name="home",kind="Takeover",cause="Silent"} 0',
    );
    const told = {
      ...transition!,
      cause: 'FromAfar',
      phases: [{ name: 'firstReply', atMs: 40_000, tookMs: 2_000 }],
    };
    countTransition(metrics, { namespace: 'storage', name: 'home' }, told);
    const later = (await metrics.registry.metrics()).split('\n');
    expect(later).toContain(
      'filerpair_operator_transition_first_reply_seconds_bucket{le="60",kind="Takeover",cause="Unknown"} 1',
    );
    // A pair that is gone leaves nothing behind.
    pairs.length = 0;
    expect(await scrape()).not.toContain('name="home"');
  } finally {
    server.close();
  }
});

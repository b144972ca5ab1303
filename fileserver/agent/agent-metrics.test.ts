/** Counters exist before the first event: an increase from nothing is none for Prometheus. */
import { expect, it } from 'vitest';
import { agentMetrics } from './agent-metrics.ts';
import type { Status } from './status.ts';

const status: Partial<Status> = {
  diskSets: [],
  lastTransition: null,
  partner: { name: 'filer-b', connected: false, incarnation: null, lastHeartbeatMs: null },
  sentinel: { watching: true },
  configuration: { refused: null } as Status['configuration'],
};

it('counts fences and changes of owner from zero, each where it can occur', async () => {
  const { metrics } = agentMetrics({
    status: () => status as Status,
    homes: ['filer-a', 'filer-b'],
    certificates: () => [{ directory: '/etc/tls', expiresAt: 1_800_000_000_000 }],
  });
  const lines = (await metrics.format()).split('\n');
  for (const line of [
    'filerpair_fences_total{disk_set="filer-a"} 0',
    'filerpair_fences_total{disk_set="filer-b"} 0',
    'filerpair_transitions_total{disk_set="filer-b",kind="Takeover",cause="Silent"} 0',
    'filerpair_transitions_total{disk_set="filer-b",kind="Takeover",cause="Released"} 0',
    'filerpair_transitions_total{disk_set="filer-a",kind="Giveback",cause="Requested"} 0',
    'filerpair_transitions_total{disk_set="filer-a",kind="Start",cause="Unowned"} 0',
    'filerpair_certificate_expiry_timestamp_seconds{directory="/etc/tls"} 1800000000',
  ])
    expect(lines).toContain(line);
  expect(lines.filter((line) => line.includes('"filer-a",kind="Takeover"'))).toEqual([]);
});

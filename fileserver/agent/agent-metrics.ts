/** The agent's metrics, by name: one place that says what each of them means. */

import { TRANSITIONS } from '../../pair/types.ts';
import { lostLogLines } from '../logging/log-output.ts';
import { Metrics } from '../metrics/metrics.ts';
import { clockSlew } from '../system/clock-rate.ts';
import type { Status } from './status.ts';

const RTT_SECONDS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];

export interface AgentMetricsSources {
  readonly status: () => Status;
  /** The server's own disk set and its partner's. */
  readonly homes: readonly string[];
  /** Ends of the interconnect's certificates, ms since the epoch, by the directory that they were read from. */
  readonly certificates: () => readonly { readonly directory: string; readonly expiresAt: number }[];
}

export function agentMetrics({ status, homes, certificates }: AgentMetricsSources) {
  const metrics = new Metrics();
  const yes = (condition: boolean): number => (condition ? 1 : 0);
  metrics.gauge(
    'filerpair_right_remaining_seconds',
    'How long this server may still serve a disk set without another confirmation. Label: disk_set.',
    () => status().diskSets.map((set) => [{ disk_set: set.home }, set.leaseMsLeft / 1000]),
  );
  metrics.gauge(
    'filerpair_disk_set_serving',
    '1 while this server serves the disk set. Label: disk_set.',
    () => status().diskSets.map((set) => [{ disk_set: set.home }, yes(set.phase === 'open')]),
  );
  metrics.gauge(
    'filerpair_disk_set_epoch',
    'Epoch in the Lease, as this server saw it last. Label: disk_set.',
    () => status().diskSets.map((set) => [{ disk_set: set.home }, set.epoch]),
  );
  metrics.gauge(
    'filerpair_volume_stuck_seconds',
    'How long calls have waited for the disk of a volume, where they do for more than a second. Labels: disk_set, volume.',
    () =>
      status().diskSets.flatMap((set) =>
        set.stuckVolumes.map(({ name, forMs }): [Record<string, string>, number] => [
          { disk_set: set.home, volume: name },
          forMs / 1000,
        ]),
      ),
  );
  metrics.gauge('filerpair_partner_connected', '1 while a connection with the partner stands.', () => [
    [{}, yes(status().partner.connected)],
  ]);
  metrics.gauge(
    'filerpair_certificate_expiry_timestamp_seconds',
    "When this server's certificate for the interconnect ends, seconds since the epoch. Label: directory.",
    () => certificates().map(({ directory, expiresAt }) => [{ directory }, expiresAt / 1000]),
  );
  metrics.gauge('filerpair_sentinel_watching', '1 while the sentinel watches this process.', () => [
    [{}, yes(status().sentinel.watching)],
  ]);
  metrics.gauge(
    'filerpair_configuration_refused',
    '1 while the configuration file is not in force because something in it is wrong; the status says what.',
    () => [[{}, yes(status().configuration.refused !== null)]],
  );
  metrics.gauge(
    'filerpair_last_transition_phase_seconds',
    'What the phases of the last change of owner to this server took. Labels: disk_set, kind, cause, phase.',
    () => {
      const last = status().lastTransition;
      return (last?.phases ?? []).map(({ name, tookMs }) => [
        { disk_set: last!.home, kind: last!.kind, cause: last!.cause, phase: name },
        tookMs / 1000,
      ]);
    },
  );
  metrics.gauge(
    'filerpair_clock_slew_ratio',
    "By which part of 1 this machine's clocks are set to run fast or slow (adjtimex). The waits of a takeover cover 0.083.",
    () => [[{}, clockSlew()]],
  );
  metrics.counted(
    'filerpair_log_lines_lost_total',
    'Lines of the log that could not be written: nobody reads standard output, or its disk is full.',
    () => [[{}, lostLogLines()]],
  );
  const transitions = metrics.counter(
    'filerpair_transitions_total',
    'Changes of owner to this server. Labels: disk_set, kind, cause.',
    ['disk_set', 'kind', 'cause'],
  );
  const fences = metrics.counter(
    'filerpair_fences_total',
    'How often this server stopped serving a disk set at once. Label: disk_set.',
    ['disk_set'],
  );
  // From zero, so that a first one is an increase.
  for (const disk_set of homes) {
    fences.inc({ disk_set }, 0);
    for (const [kind, causes] of TRANSITIONS)
      for (const cause of causes)
        if ((kind === 'Takeover') === (disk_set !== homes[0])) transitions.inc({ disk_set, kind, cause }, 0);
  }
  return {
    metrics,
    transitions,
    fences,
    volumeErrors: metrics.counter(
      'filerpair_volume_errors_total',
      'Errors of system calls that say something of the disk or of the server. Labels: disk_set, volume, call, errno.',
      ['disk_set', 'volume', 'call', 'errno'],
    ),
    leaseWrites: metrics.counter(
      'filerpair_lease_writes_total',
      'Writes to the witness. Labels: disk_set, outcome.',
      ['disk_set', 'outcome'],
    ),
    leaseReads: metrics.counter(
      'filerpair_lease_reads_total',
      'Reads of the witness. Labels: disk_set, outcome.',
      ['disk_set', 'outcome'],
    ),
    heartbeats: metrics.counter('filerpair_heartbeats_sent_total', 'Heartbeats sent to the partner.'),
    heartbeatRtt: metrics.histogram(
      'filerpair_heartbeat_rtt_seconds',
      'Time from a heartbeat to its acknowledgement.',
      RTT_SECONDS,
    ),
    configurationChanges: metrics.counter(
      'filerpair_configuration_changes_total',
      'Changes of the configuration file while the server runs. Label: outcome (taken, refused).',
      ['outcome'],
    ),
    deaths: metrics.counter(
      'filerpair_deaths_reported_total',
      "Deaths that the partner's sentinel reported.",
    ),
  };
}

export type AgentMetrics = ReturnType<typeof agentMetrics>;

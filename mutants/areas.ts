/**
 * The code that safety depends on, and the tests that have to notice a fault in it: the quick ones first, since the first that
 * fails is enough.
 */
export interface Area {
  readonly name: string;
  /** Files, from the root of the repository. */
  readonly files: readonly string[];
  readonly tests: readonly string[];
  /** Those that run the code in their own process and take no time: each mutant meets them first (in-process.ts). */
  readonly unitTests?: readonly string[];
}

export const AREAS: readonly Area[] = [
  {
    name: 'pair',
    files: [
      'pair/claim.ts',
      'pair/disk-set.ts',
      'pair/disk-set/answers.ts',
      'pair/disk-set/claiming.ts',
      'pair/disk-set/lease-news.ts',
      'pair/disk-set/requests.ts',
      'pair/disk-set/serving.ts',
      'pair/disk-set/state.ts',
      'pair/disk-set/wake-up.ts',
      'pair/driver.ts',
      'pair/incarnation.ts',
      'pair/lease.ts',
      'pair/right-to-serve.ts',
      'pair/server.ts',
      'pair/server/context.ts',
      'pair/server/heartbeats.ts',
      'pair/server/partner.ts',
      'pair/server/state.ts',
      'pair/server/tell.ts',
      'pair/takeover-check.ts',
      'pair/transfer-policy.ts',
    ],
    tests: [
      'pair/',
      'simulation/wake-up.test.ts',
      'simulation/exploration/exploration.test.ts',
      'simulation/simulation.test.ts',
    ],
    unitTests: [
      'pair/claim.test.ts',
      'pair/data-path-reports.test.ts',
      'pair/driver-ports.test.ts',
      'pair/driver.test.ts',
      'pair/incarnation.test.ts',
      'pair/interconnect.test.ts',
      'pair/lease-news.test.ts',
      'pair/lease-writes.test.ts',
      'pair/lease.test.ts',
      'pair/requests.test.ts',
      'pair/right-to-serve.test.ts',
      'pair/server.test.ts',
      'pair/takeover-check.test.ts',
      'pair/transfer-policy.test.ts',
      'pair/transfer.test.ts',
      'pair/unowned.test.ts',
      'simulation/wake-up.test.ts',
    ],
  },
  {
    name: 'change queue',
    files: [
      'fileserver/storage/duplicate-requests/operation-log.ts',
      'fileserver/storage/volume/counted-keys.ts',
      'fileserver/storage/duplicate-requests/duplicate-request-cache.ts',
    ],
    tests: [
      'fileserver/storage/duplicate-requests/operation-log.test.ts',
      'fileserver/storage/duplicate-requests/operation-log-calls.test.ts',
      'fileserver/storage/duplicate-requests/duplicate-request-cache.test.ts',
      'fileserver/nfs3/containment.test.ts',
      'fileserver/nfs3/recovery.test.ts',
      'fileserver/nfs3/gradual-truncation.test.ts',
      'fileserver/storage/duplicate-requests/operation-log-crash.test.ts',
      'fileserver/data-path/exactly-once.test.ts',
    ],
    unitTests: [
      'fileserver/storage/duplicate-requests/duplicate-request-cache.test.ts',
      'fileserver/storage/duplicate-requests/operation-log.test.ts',
      'fileserver/storage/duplicate-requests/operation-log-calls.test.ts',
    ],
  },
  {
    name: 'journal',
    files: [
      'fileserver/storage/journal/journal.ts',
      'fileserver/storage/journal/journal-files.ts',
      'fileserver/storage/journal/open-journal.ts',
      'fileserver/storage/journal/unwritten-ranges.ts',
      'fileserver/storage/journal/journal-records.ts',
      'fileserver/storage/journal/journal-payloads.ts',
      'fileserver/storage/journal/recovered-journal.ts',
      'fileserver/storage/journal/stored-answers.ts',
    ],
    tests: [
      'fileserver/storage/journal/journal-records.test.ts',
      'fileserver/storage/journal/journal-payloads.test.ts',
      'fileserver/storage/journal/stored-answers.test.ts',
      'fileserver/storage/journal/journal.test.ts',
      'fileserver/storage/journal/journal-order.test.ts',
      'fileserver/storage/journal/journal-steps.test.ts',
      'fileserver/storage/journal/journal-crash.test.ts',
      'fileserver/storage/duplicate-requests/operation-log-crash.test.ts',
    ],
    unitTests: [
      'fileserver/storage/journal/journal-records.test.ts',
      'fileserver/storage/journal/journal-payloads.test.ts',
      'fileserver/storage/journal/stored-answers.test.ts',
      'fileserver/storage/journal/journal-steps.test.ts',
      'fileserver/storage/journal/journal-order.test.ts',
      'fileserver/storage/journal/journal.test.ts',
    ],
  },
  {
    name: 'recovery',
    files: [
      'fileserver/nfs3/recovery.ts',
      'fileserver/nfs3/journaled-procedure.ts',
      'fileserver/nfs3/new-entry.ts',
      'fileserver/nfs3/create.ts',
      'fileserver/nfs3/remove.ts',
      'fileserver/nfs3/rename.ts',
      'fileserver/nfs3/link.ts',
      'fileserver/nfs3/setattr.ts',
    ],
    tests: [
      'fileserver/nfs3/containment.test.ts',
      'fileserver/nfs3/recovery.test.ts',
      'fileserver/data-path/exactly-once.test.ts',
      'fileserver/data-path/procedures.test.ts',
      'fileserver/nfs3/neighbours.test.ts',
    ],
    unitTests: ['fileserver/nfs3/recovery.test.ts', 'fileserver/nfs3/containment.test.ts'],
  },
  {
    name: 'copies of calls',
    files: [
      'fileserver/nfs3/write.ts',
      'fileserver/nfs3/recent-writes.ts',
      'fileserver/nfs3/journaled-call.ts',
      'fileserver/callers/connection-order.ts',
    ],
    tests: [
      'fileserver/nfs3/recent-writes.test.ts',
      'fileserver/nfs3/write.test.ts',
      'fileserver/callers/connection-order.test.ts',
      'fileserver/threads/call-executor.test.ts',
      'fileserver/data-path/waiting-calls.test.ts',
      'fileserver/data-path/duplicate-writes.test.ts',
      'fileserver/data-path/write-verifier.test.ts',
      'fileserver/data-path/procedures.test.ts',
    ],
    unitTests: [
      'fileserver/nfs3/recent-writes.test.ts',
      'fileserver/callers/connection-order.test.ts',
      'fileserver/nfs3/write.test.ts',
      'fileserver/data-path/waiting-calls.test.ts',
    ],
  },
  {
    name: 'ownership',
    files: [
      'fileserver/storage/ownership/ownership.ts',
      'fileserver/storage/ownership/behind.ts',
      'fileserver/storage/private-files/durable-file.ts',
    ],
    tests: [
      'fileserver/storage/ownership/ownership.test.ts',
      'fileserver/storage/private-files/durable-file.test.ts',
      'fileserver/storage/ownership/behind.test.ts',
      'fileserver/storage/volume/volume.test.ts',
      'fileserver/data-path/service.test.ts',
      'fileserver/data-path/volume-fates.test.ts',
    ],
    unitTests: [
      'fileserver/storage/ownership/ownership.test.ts',
      'fileserver/storage/private-files/durable-file.test.ts',
      'fileserver/storage/ownership/behind.test.ts',
    ],
  },
  {
    name: 'flushes',
    files: [
      'fileserver/system/flush-lane.ts',
      'fileserver/storage/flush/flush-set.ts',
      'fileserver/storage/flush/data-flusher.ts',
    ],
    tests: [
      'fileserver/system/flush-lane.test.ts',
      'fileserver/storage/flush/data-flusher.test.ts',
      'fileserver/storage/flush/flush-set.test.ts',
      'fileserver/data-path/write-verifier.test.ts',
    ],
    unitTests: [
      'fileserver/system/flush-lane.test.ts',
      'fileserver/storage/flush/data-flusher.test.ts',
      'fileserver/storage/flush/flush-set.test.ts',
    ],
  },
  {
    name: 'serving-lease',
    files: [
      'fileserver/serving-lease/lease-table.ts',
      'fileserver/system/write-gate.ts',
      'fileserver/serving-lease/volume-gate.ts',
    ],
    tests: [
      'fileserver/serving-lease/lease-table.test.ts',
      'fileserver/serving-lease/volume-gate.test.ts',
      'fileserver/data-path/lease-cut.test.ts',
    ],
    unitTests: [
      'fileserver/serving-lease/lease-table.test.ts',
      'fileserver/serving-lease/volume-gate.test.ts',
    ],
  },
  {
    name: 'sentinel',
    files: [
      'fileserver/sentinel/sentinel.ts',
      'fileserver/sentinel/sentinel-link.ts',
      'fileserver/sentinel/watched-process.ts',
    ],
    tests: [
      'fileserver/sentinel/sentinel-deaths.test.ts',
      'fileserver/sentinel/sentinel-link.test.ts',
      'fileserver/sentinel/watched-process.test.ts',
      'fileserver/sentinel/sentinel.test.ts',
    ],
    unitTests: [
      'fileserver/sentinel/sentinel-deaths.test.ts',
      'fileserver/sentinel/sentinel-link.test.ts',
      'fileserver/sentinel/watched-process.test.ts',
    ],
  },
  {
    name: 'witness',
    files: [
      'fileserver/witness/embedded.ts',
      'fileserver/witness/kubernetes.ts',
      'fileserver/witness/lease-file.ts',
      'fileserver/witness/lease-object.ts',
      'fileserver/witness/versioned-file.ts',
      'fileserver/witness/witness.ts',
    ],
    tests: ['fileserver/witness/'],
    unitTests: [
      'fileserver/witness/lease-object.test.ts',
      'fileserver/witness/kubernetes.test.ts',
      'fileserver/witness/embedded.test.ts',
    ],
  },
  {
    name: 'client',
    files: [
      'client/attempts.ts',
      'client/attempts-state.ts',
      'client/attempts-pace.ts',
      'client/resend-window.ts',
      'client/refused-call.ts',
      'client/disk-set-identity.ts',
    ],
    tests: [
      'client/attempts-steps.test.ts',
      'client/attempts.test.ts',
      'client/resend-window.test.ts',
      'client/resend-window-growth.test.ts',
      'client/refused-call.test.ts',
      'client/disk-set-identity.test.ts',
      'client/disk-set-proof.test.ts',
      'client/failover-connection.test.ts',
      'simulation/simulation.test.ts',
    ],
  },
];

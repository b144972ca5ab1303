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

const volume = (...names: string[]): string[] => names.map((name) => `fileserver/volume/${name}`);
const nfs = (...names: string[]): string[] => names.map((name) => `fileserver/nfs/${name}`);
const data = (...names: string[]): string[] => names.map((name) => `fileserver/data/${name}`);

export const AREAS: readonly Area[] = [
  {
    name: 'pair',
    files: [
      'pair/claim.ts',
      'pair/disk-set.ts',
      'pair/driver.ts',
      'pair/incarnation.ts',
      'pair/lease.ts',
      'pair/right-to-serve.ts',
      'pair/server.ts',
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
    ],
  },
  {
    name: 'change queue',
    files: volume('change-queue.ts', 'counted-keys.ts', 'reply-cache.ts'),
    tests: [
      ...volume('change-queue.test.ts', 'change-queue-calls.test.ts', 'reply-cache.test.ts'),
      ...nfs('containment.test.ts', 'recovery.test.ts', 'gradual-truncation.test.ts'),
      ...volume('change-queue-crash.test.ts'),
      ...data('exactly-once.test.ts'),
    ],
    unitTests: volume('change-queue.test.ts', 'change-queue-calls.test.ts', 'reply-cache.test.ts'),
  },
  {
    name: 'journal',
    files: volume(
      'journal.ts',
      'journal-records.ts',
      'journal-payloads.ts',
      'left-behind.ts',
      'stored-answers.ts',
    ),
    tests: volume(
      'journal-records.test.ts',
      'journal-payloads.test.ts',
      'stored-answers.test.ts',
      'journal.test.ts',
      'journal-order.test.ts',
      'journal-steps.test.ts',
      'journal-crash.test.ts',
      'change-queue-crash.test.ts',
    ),
    unitTests: volume(
      'journal-records.test.ts',
      'journal-payloads.test.ts',
      'stored-answers.test.ts',
      'journal-steps.test.ts',
      'journal-order.test.ts',
      'journal.test.ts',
    ),
  },
  {
    name: 'recovery',
    files: nfs(
      'recovery.ts',
      'operation.ts',
      'new-entry.ts',
      'create.ts',
      'remove.ts',
      'rename.ts',
      'link.ts',
      'setattr.ts',
    ),
    tests: [
      ...nfs('containment.test.ts', 'recovery.test.ts'),
      ...data('exactly-once.test.ts', 'procedures.test.ts'),
      ...nfs('neighbours.test.ts'),
    ],
    unitTests: nfs('recovery.test.ts', 'containment.test.ts'),
  },
  {
    name: 'copies of calls',
    files: [...nfs('write.ts', 'recent-writes.ts', 'change.ts'), ...data('connection-order.ts')],
    tests: [
      ...nfs('recent-writes.test.ts', 'write.test.ts'),
      ...data(
        'connection-order.test.ts',
        'call-executor.test.ts',
        'waiting-calls.test.ts',
        'duplicate-writes.test.ts',
        'write-verifier.test.ts',
        'procedures.test.ts',
      ),
    ],
    unitTests: [
      ...data('connection-order.test.ts', 'waiting-calls.test.ts'),
      ...nfs('write.test.ts', 'recent-writes.test.ts'),
    ],
  },
  {
    name: 'ownership',
    files: volume('ownership.ts', 'behind.ts', 'durable-file.ts'),
    tests: [
      ...volume('ownership.test.ts', 'durable-file.test.ts', 'behind.test.ts', 'volume.test.ts'),
      ...data('service.test.ts', 'volume-fates.test.ts'),
    ],
    unitTests: volume('ownership.test.ts', 'durable-file.test.ts', 'behind.test.ts'),
  },
  {
    name: 'flushes',
    files: ['fileserver/system/flush-lane.ts', ...volume('flush-set.ts', 'data-flusher.ts')],
    tests: [
      'fileserver/system/flush-lane.test.ts',
      ...volume('data-flusher.test.ts', 'flush-set.test.ts'),
      ...data('write-verifier.test.ts'),
    ],
    unitTests: [
      'fileserver/system/flush-lane.test.ts',
      ...volume('data-flusher.test.ts', 'flush-set.test.ts'),
    ],
  },
  {
    name: 'right',
    files: ['fileserver/right-table.ts', 'fileserver/system/write-gate.ts', ...volume('volume-gate.ts')],
    tests: ['fileserver/right-table.test.ts', ...volume('volume-gate.test.ts'), ...data('right-cut.test.ts')],
    unitTests: ['fileserver/right-table.test.ts', ...volume('volume-gate.test.ts')],
  },
  {
    name: 'sentinel',
    files: [
      'fileserver/sentinel/sentinel.ts',
      'fileserver/sentinel/sentinel-link.ts',
      'fileserver/sentinel/watched-process.ts',
    ],
    tests: ['fileserver/sentinel/sentinel.test.ts'],
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

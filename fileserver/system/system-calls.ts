/**
 * The system calls of the data path, by name: one list for what follows from their errors (storage/failures/errno-outcomes.ts)
 * and for the faults of tests (call-faults.ts). Pure.
 */

/** Changes that one client's call makes. */
const CLIENTS_CHANGES = [
  'pwrite64',
  'ftruncate64',
  'fchmodat',
  'fchownat',
  'utimensat',
  'mkdirat',
  'mknodat',
  'unlinkat',
  'renameat',
  'linkat',
  'symlinkat',
] as const;

/** Calls whose failure is the answer to one client's call: they look, or they make a change that nobody was promised yet. */
export const ANSWERED_CALLS = [
  'openat',
  'openat2',
  'open_by_handle_at',
  'name_to_handle_at',
  'statx',
  'faccessat2',
  'preadv2',
  'read',
  'readlinkat',
  'getdents64',
  'lseek',
  'fstatfs64',
  ...CLIENTS_CHANGES,
] as const;

/** Calls that change a volume: libc.ts makes them behind a gate only (write-gate.ts). `openat` is one of them if it creates. */
export const CHANGING_CALLS = [
  ...CLIENTS_CHANGES,
  'write of the journal',
  'write of the ownership record',
] as const;
export type ChangingCall = (typeof CHANGING_CALLS)[number];

/** Calls on which acknowledged changes depend. Two of them are named by what they write: `pwrite` and `write` of other files are not among them. */
export const DURABLE_CALLS = [
  'fsync',
  'fdatasync',
  'syncfs',
  'sync_file_range',
  'write of the journal',
  'write of the ownership record',
  'read of the ownership record',
] as const;

export const SYSTEM_CALLS = [...ANSWERED_CALLS, ...DURABLE_CALLS] as const;
export type SystemCall = (typeof SYSTEM_CALLS)[number];

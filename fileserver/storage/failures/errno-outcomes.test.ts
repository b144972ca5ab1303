/** The table of system call x errno: few faults, and docs/fileserver-data.md shows what the code does. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { expect, test } from 'vitest';
import { nfsstat3Name } from '../../../protocol/nfs3.ts';
import { nfsstat3Of } from '../../nfs3/nfs-status.ts';
import { ANSWERED_CALLS, DURABLE_CALLS, SYSTEM_CALLS, type SystemCall } from '../../system/system-calls.ts';
import { errnoName, outcomeOf } from './errno-outcomes.ts';
import { errnoTable } from './errno-table.fixture.ts';

const { errno: E } = constants;
const ALL_ERRNOS = Array.from({ length: 133 }, (_, i) => i + 1);

test('a fault is only what concerns acknowledged changes', () => {
  for (const call of SYSTEM_CALLS) {
    if ((DURABLE_CALLS as readonly SystemCall[]).includes(call)) continue;
    for (const errno of ALL_ERRNOS) {
      expect(outcomeOf(call, errno).kind, `${call} ${errnoName(errno)}`).not.toBe('fault');
    }
  }
});

test('what the server lacks for a moment ends no volume that can be asked again', () => {
  const flushes: readonly SystemCall[] = ['fsync', 'fdatasync', 'syncfs', 'sync_file_range'];
  for (const call of SYSTEM_CALLS) {
    if (flushes.includes(call) || call === 'write of the ownership record') continue;
    for (const errno of [E.ENOMEM, E.EINTR, E.EAGAIN]) {
      expect(outcomeOf(call, errno).kind, `${call} ${errnoName(errno)}`).not.toBe('fault');
    }
  }
  for (const errno of [E.EMFILE, E.ENFILE]) {
    expect(outcomeOf('read of the ownership record', errno).kind).toBe('retry');
  }
});

test('every errno of a call that is answered has a status of NFS, and the strange ones are told', () => {
  for (const call of ANSWERED_CALLS) {
    for (const errno of ALL_ERRNOS) {
      const outcome = outcomeOf(call, errno);
      if (outcome.kind !== 'answer') continue;
      expect(nfsstat3Name(nfsstat3Of(outcome.failure))).toMatch(/^NFS3ERR_/);
      if (outcome.failure === 'ioError') expect(outcome.told).toBe(true);
    }
  }
});

test('docs/fileserver-data.md has this table', () => {
  const docs = readFileSync(new URL('../../../docs/fileserver-data.md', import.meta.url), 'utf8');
  expect(docs).toContain(errnoTable());
});

/** The service of a volume's thread in this thread, without coordinator and connections. */

import type { VolumeMeter } from '../metrics/data-metrics.ts';
import type { LeaseTable } from '../serving-lease/lease-table.ts';
import type { OpenMessage } from './messages.ts';
import type { FromDataThreads } from './thread-messages.ts';
import { VolumeService } from './volume-service.ts';

export interface ServiceSurroundings {
  readonly session: number;
  readonly leases: LeaseTable;
  /** The kinds of all that it says are added to this. */
  readonly told: string[];
}

export function volumeService(
  message: OpenMessage,
  { session, leases, told }: ServiceSurroundings,
): VolumeService {
  return new VolumeService(session, message, {
    leases,
    limits: { filesMax: 1000, descriptorsMax: 500 },
    groups: null,
    post: ({ kind }: FromDataThreads) => told.push(kind),
    meter: () => ({ journal() {}, capacity() {} }) as unknown as VolumeMeter,
    prepared: new Map(),
    connectionThreads: [],
  });
}

/** Status of a server: GET /status. A snapshot for people, the CLI, tests and the operator. */
import type { DiskSetState } from '../../pair/disk-set/state.ts';
import { type Incarnation, type ServerName, serverOf } from '../../pair/incarnation.ts';
import type { ServerState } from '../../pair/server/state.ts';
import type { AbsentExport } from '../threads/messages.ts';
import type { ConfigurationStatus } from './live-exports.ts';
import type { StuckVolume } from './stuck-volumes.ts';
import type { Handover, HomeTransition, Transitions } from './transitions.ts';
import type { VolumeErrorStatus } from './volume-error-log.ts';

/** Why a disk set could not be opened here. */
export interface OpenFailureStatus {
  readonly epoch: number;
  /** An OpenFailure (storage/volume/open-failure.ts). */
  readonly reason: string;
  readonly message: string;
}

export interface DiskSetStatus {
  readonly home: ServerName;
  /** Where this server is in the life of the disk set; see pair/disk-set.ts. */
  readonly role: DiskSetState['role']['name'];
  /** Server that the Lease names; null: nobody, or not known yet. */
  readonly owner: ServerName | null;
  readonly holder: Incarnation | null;
  readonly epoch: number | null;
  /** The server whose acknowledgements count, by the Lease; null: the holder renews alone (solo). */
  readonly acknowledger: Incarnation | null;
  /** Ms that this process may still serve it without another confirmation; 0: it may not. */
  readonly leaseMsLeft: number;
  /** TCP port on which this process serves it; null: it does not. */
  readonly port: number | null;
  /** opening, open, quiescing; null where this process is no holder. */
  readonly phase: 'opening' | 'open' | 'quiescing' | null;
  /** Volumes whose disks let calls wait, for longer than a second. */
  readonly stuckVolumes: readonly StuckVolume[];
  /** Errors of system calls of which clients were told, until 10 minutes after the last of a kind. */
  readonly volumeErrors: readonly VolumeErrorStatus[];
  /** Failure of this server's last attempt to open it; null: it succeeded. */
  readonly openFailure: OpenFailureStatus | null;
  /** Exports that are not served because their directories are not there. */
  readonly absentExports: readonly AbsentExport[];
}

/** The part of a disk set's status that the data path knows. */
export type ServedStatus = Pick<
  DiskSetStatus,
  'leaseMsLeft' | 'port' | 'stuckVolumes' | 'volumeErrors' | 'openFailure' | 'absentExports'
>;

export interface Status {
  readonly pair: string;
  readonly server: ServerName;
  readonly incarnation: Incarnation;
  readonly pid: number;
  readonly diskSets: readonly DiskSetStatus[];
  readonly partner: {
    readonly name: ServerName;
    readonly connected: boolean;
    readonly incarnation: Incarnation | null;
    /** Ms since the partner was heard; null: never. */
    readonly lastHeartbeatMs: number | null;
  };
  /** Whether the sentinel watches this process. */
  readonly sentinel: { readonly watching: boolean };
  readonly ports: { readonly interconnect: number; readonly metrics: number };
  /** Outcome of the configuration file's last change. */
  readonly configuration: ConfigurationStatus;
  readonly lastTransition: HomeTransition | null;
  readonly lastHandover: Handover | null;
}

export interface StatusSources {
  readonly pair: string;
  readonly state: ServerState;
  readonly now: number;
  readonly served: (home: ServerName) => ServedStatus;
  readonly partnerHeardAt: number | null;
  readonly sentinelWatching: boolean;
  readonly transitions: Transitions;
  readonly ports: Status['ports'];
  readonly configuration: ConfigurationStatus;
}

export function statusOf(sources: StatusSources): Status {
  const { pair, state, now, transitions, partnerHeardAt } = sources;
  const { identity } = state;
  const partner = state.partners.at(-1)?.incarnation ?? null;
  return {
    pair,
    server: identity.server,
    incarnation: identity.me,
    pid: process.pid,
    diskSets: [state.local, state.partner].map((diskSet) => diskSetStatus(diskSet, sources)),
    partner: {
      name: identity.partner,
      connected: partner !== null,
      incarnation: partner,
      lastHeartbeatMs: partnerHeardAt === null ? null : Math.round(now - partnerHeardAt),
    },
    sentinel: { watching: sources.sentinelWatching },
    ports: sources.ports,
    configuration: sources.configuration,
    lastTransition: transitions.last,
    lastHandover: transitions.handoverOf(identity.partner) ?? transitions.handoverOf(identity.server),
  };
}

function diskSetStatus({ home, role, seen }: DiskSetState, { served }: StatusSources): DiskSetStatus {
  const holder = seen?.record.holder ?? null;
  return {
    home,
    role: role.name,
    owner: holder === null ? null : serverOf(holder),
    holder,
    epoch: seen?.record.epoch ?? null,
    acknowledger: seen?.record.acknowledger ?? null,
    phase: role.name === 'holder' ? role.port : null,
    ...served(home),
  };
}

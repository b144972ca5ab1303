/**
 * Labels and annotations that FilerPair writes on Kubernetes objects: what the operator and the servers say to each other
 * through the API. One place, because a misspelt annotation is a message that nobody reads.
 */

export const labels = {
  /** On everything that belongs to a pair: the FilerPair's name. */
  pair: 'filerpair.dev/pair',
  /** On what belongs to one server: its name. */
  server: 'filerpair.dev/server',
  /** On claims and Leases: the disk set, by the name of its server. */
  diskSet: 'filerpair.dev/disk-set',
  /** On claims: the server that serves the disk set now; empty: nobody. */
  owner: 'filerpair.dev/owner',
  /** On claims: the disk set's epoch. */
  epoch: 'filerpair.dev/epoch',
  /** On claims: name of the volume in the FilerPair. */
  volume: 'filerpair.dev/volume',
  /** On claims and Secrets, set by their owner: the FilerPair that may use them. */
  offeredTo: 'filerpair.dev/offered-to',
  /** On VolumeSnapshots: name of the snapshot that they are a part of. */
  snapshot: 'filerpair.dev/snapshot',
  /** On attachment pods: the disk set whose volumes they hold on their node. */
  attachment: 'filerpair.dev/attachment',
  /** On the pod that starts a new image once, before a server is replaced. */
  imageTrial: 'filerpair.dev/image-trial',
} as const;

/** Secret with the keys that sign the file handles of a pair. Like claims it stays when the pair is deleted. */
export const handleKeysName = (pair: string): string => `${pair}-handle-keys`;

/** On the Lease of a disk set. Values are text; JSON where a type below says so. */
export const leaseAnnotations = {
  /** By the holder: the one incarnation whose acknowledgements count; absent: solo. */
  acknowledger: 'filerpair.dev/acknowledger',
  /** By servers: decimal number, grows by one with every write by a server. */
  renewal: 'filerpair.dev/renewal',
  /** By the releasing server: name of the server that the release was meant for. */
  releasedTo: 'filerpair.dev/released-to',
  /** By the holder, at its claim: its lease + guard, decimal ms. Nobody claims on silence any sooner. */
  claimAfter: 'filerpair.dev/claim-after',
  /** By a server, with its release: {@link VolumesAheadAnnotation}. Nobody claims by himself while it stands. */
  volumesAhead: 'filerpair.dev/volumes-ahead',
  /** By the operator: {@link DeathProofAnnotation}. */
  deathProof: 'filerpair.dev/death-proof',
  /** By the operator or the CLI: {@link RequestAnnotation}. */
  request: 'filerpair.dev/request',
  /** By the server that acted: {@link RequestResultAnnotation}. */
  requestResult: 'filerpair.dev/request-result',
  /** By the owner, at its claim or shortly after: {@link LastTransitionAnnotation}. */
  lastTransition: 'filerpair.dev/last-transition',
  /** By a server that serves its partner's disk set: the epoch for which its secondary port is open. */
  secondaryPortOpen: 'filerpair.dev/secondary-port-open',
  /**
   * By the operator, with storage type Reattach: UID of the attachment pod whose mounts are the disks now. A mount of any other
   * one has been left behind on its node.
   */
  disks: 'filerpair.dev/disks',
  /**
   * By the operator, with storage type Reattach: name of the node that has the disks, or has to let go of them. Absent when the
   * storage has let go while that node was ready, or the node is gone or said to be out of service.
   */
  disksNode: 'filerpair.dev/disks-node',
  /** By the operator or a server that was told to: why nothing may move by itself now; absent: normal operation. */
  maintenance: 'filerpair.dev/maintenance',
  /** By the operator: why the disk set is not to go back to its own server by itself; absent: it may. */
  drain: 'filerpair.dev/drain',
  /** By the operator, for a snapshot: {@link FreezeAnnotation}. */
  freeze: 'filerpair.dev/standstill',
  /** By the owner: {@link FreezeAnswerAnnotation}. */
  freezeAnswer: 'filerpair.dev/standstill-answer',
  /** By the owner, when it serves: {@link WrittenAnnotation}. Its epoch only grows. */
  written: 'filerpair.dev/written',
  /** By a server that owned the disk set and could not open it: {@link OpenFailureAnnotation}; absent: it was opened. */
  openFailure: 'filerpair.dev/open-failure',
  /** By the owner: {@link VolumeErrorsAnnotation}; absent: none for 10 minutes. */
  volumeErrors: 'filerpair.dev/volume-errors',
  /** By a server that has seen the Lease go back: {@link VolumeErrorsAnnotation}; absent: it has not, for an hour. */
  witnessWentBack: 'filerpair.dev/witness-went-back',
  /** By the owner, of exports whose directories are not there: {@link VolumeErrorsAnnotation}; absent: there are none. */
  absentExports: 'filerpair.dev/absent-exports',
  /** By the server that does not own the disk set: {@link TakeoverCheckAnnotation}. */
  takeoverCheck: 'filerpair.dev/takeover-check',
} as const;

/** On the EndpointSlice of a failover Service: see failover-endpoint.ts. */
export const endpointAnnotations = { epoch: 'filerpair.dev/epoch' } as const;

export const snapshotAnnotations = {
  /** On a VolumeSnapshot: for which freeze it was made. An older one of the same name is of another moment. */
  freeze: 'filerpair.dev/standstill',
} as const;

/** On a Node. */
export const nodeAnnotations = {
  /** By an administrator or a fencing agent, who has switched the node off: its boot ID, so that a late word can do no harm. */
  poweredOff: 'filerpair.dev/powered-off',
  /** By the operator, beside the taint that it has set: only such a taint is the operator's to take off. */
  outOfService: 'filerpair.dev/out-of-service',
} as const;

export interface DeathProofAnnotation {
  readonly incarnation: string;
  readonly epoch: number;
  readonly evidence: string;
}

export interface RequestAnnotation {
  readonly id: string;
  readonly kind: 'takeover' | 'giveback';
  readonly reason?: string;
  /** An administrator's confirmation that the acknowledger which the Lease names can act no more. Needs a reason. */
  readonly force?: boolean;
  /** The state that a forced request is about: holders named by the Lease when it was made. It counts for nothing else. */
  readonly about?: {
    readonly holder: string | null;
    readonly epoch: number;
    readonly acknowledger: string | null;
  };
  /** Names of vetoes that the asker overrides. */
  readonly override?: readonly string[];
}

/** Whether `server` could take the disk set over now, and what is missing if not. */
export interface TakeoverCheckAnnotation {
  readonly server: string;
  readonly possible: boolean;
  readonly missing: readonly { readonly name: string; readonly message: string }[];
}

/** A volume has been served at this epoch, and the Lease knows of no such owner. */
export interface VolumesAheadAnnotation {
  readonly epoch: number;
  readonly message: string;
}

/** The last epoch whose ownership record was written on all volumes, and the UUIDs of those by name. */
export interface WrittenAnnotation {
  readonly epoch: number;
  readonly volumes: Readonly<Record<string, string>>;
}

/** Errors of single files, or of what the server lacks, of which clients were told. */
export interface VolumeErrorsAnnotation {
  readonly server: string;
  readonly epoch: number;
  readonly message: string;
}

export interface OpenFailureAnnotation {
  readonly server: string;
  readonly epoch: number;
  /** An OpenFailure: `VolumeBehind`, `NotAttached`... */
  readonly reason: string;
  readonly message: string;
}

/** Nothing on the disk set's volumes is to change for a moment, so that they can be copied as they are. */
export interface FreezeAnnotation {
  readonly id: string;
  /** Epoch of the disk set: an owner at another epoch does not obey. */
  readonly epoch: number;
  /** It ends by itself after this time. */
  readonly msMax: number;
  /** The copies are made: it shall end now. */
  readonly over?: boolean;
}

export interface FreezeAnswerAnnotation {
  readonly id: string;
  /**
   * Standing: nothing changes. Whole: it has ended because it was to, and nothing has changed before. Broken: it has ended
   * for another reason, or could not begin.
   */
  readonly state: 'Standing' | 'Whole' | 'Broken';
  /** Of Broken: why, as a clause. */
  readonly message: string;
}

export interface RequestResultAnnotation {
  readonly id: string;
  readonly result: 'done' | 'refused';
  readonly message: string;
}

export interface LastTransitionAnnotation {
  readonly kind: 'Takeover' | 'Giveback' | 'Start';
  /** A TransitionCause. */
  readonly cause: string;
  /** In words: what was found; of a forced takeover also what the administrator said. */
  readonly reason?: string;
  readonly epoch: number;
  /** Server that owns the disk set since then. */
  readonly to: string;
  /** RFC 3339 with milliseconds, the owner's clock: for people only. */
  readonly at: string;
  /** In order. `atMs` since the first phase began, `tookMs` its length; both in ms. */
  readonly phases: readonly { readonly name: string; readonly atMs: number; readonly tookMs: number }[];
}

/** Value of an annotation that holds JSON, or null if it is absent or not a JSON object. */
export function parseAnnotation<T extends object>(text: string | undefined): T | null {
  if (text === undefined || text.length > 16_384) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as T) : null;
  } catch {
    return null;
  }
}

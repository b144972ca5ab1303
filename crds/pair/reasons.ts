/**
 * The closed lists of reasons of the conditions of a FilerPair, and what each means; docs/api.md has them. Programs may rely on
 * them: a reason that is not listed is never given.
 */

type Meanings = Readonly<Record<string, string>>;

const notAccepted = {
  InvalidSpec: 'The spec breaks a rule that is newer than it; nothing is changed until it is corrected.',
  NoStorageType: 'Neither the spec nor the class says what holds for the volumes.',
} satisfies Meanings;

const notAllowed = {
  ...notAccepted,
  ForbiddenByClass: 'The spec asks for something that its FilerPairClass does not allow.',
  ClassNotFound: 'The FilerPairClass that the spec names does not exist.',
} satisfies Meanings;

const execution = {
  NameTaken: 'An object of a name that the pair needs belongs to somebody else.',
  Forbidden: 'The API server does not let the operator do something: a right, or a quota.',
  Rejected: 'The API server calls an object invalid.',
  Refused: 'The API server refuses something for another reason.',
  ClaimInUse: 'With storage type Reattach: a pod that is not the operator’s uses a claim on another node.',
} satisfies Meanings;

const misfits = {
  ClaimTaken: 'Another FilerPair names the claim too, and has it.',
  ClaimNotOffered: 'A claim that the pair did not make has no label that offers it.',
  ClaimNotShared: 'The access modes of a claim do not let both servers mount it.',
  ClaimNotExclusive: 'With storage type Reattach: two nodes may mount a claim.',
  VolumeNotExclusive: 'With storage type Reattach: a PersistentVolume may be attached to two nodes.',
  NotFenced: 'With storage type Reattach: the driver attaches nothing, so nothing keeps a second node away.',
} satisfies Meanings;

const missing = {
  ClaimMissing: 'An adopted claim does not exist.',
  ClaimLost: 'A claim has lost its PersistentVolume.',
  ClaimDeleted: 'A claim that had data was deleted; none is made in its place.',
  ClaimUnknown: 'The API did not say whether a claim exists.',
  SecretMissing: 'A Secret that the spec names does not exist, or cert-manager has not made it yet.',
  SecretNotOffered: 'A Secret that the spec names has no label that offers it.',
  SecretUnknown: 'The API did not say whether a Secret exists.',
  CertManagerMissing: 'Certificates are to come from cert-manager, which the cluster does not have.',
  LeaseLost: 'A Lease was removed by force while pods run; it is made again when none is left.',
} satisfies Meanings;

export const openFailures = {
  VolumeEpochAhead: 'A volume knows a newer owner.',
  WrongVolume: 'The volume is another server’s, or another one than before.',
  VolumeBehind: 'It is not the volume that was served last: not mounted, or an older state of it.',
  NotAVolume: 'There is no FilerPair volume, and this server may not make it one.',
  UnsupportedFileSystem: 'The file system cannot tell its files apart across restarts.',
  InvalidExport: 'An export names a volume that does not exist.',
  JournalCorrupt: 'The contents of the journal contradict each other.',
  ReadOnly: 'The volume is mounted read-only.',
  NotAttached: 'The volume has not been mounted here in time.',
  PortInUse: 'Another process has the port.',
  RightLost: 'The right to serve ended while the disk set was opened.',
  IoError: 'The disk gave an error.',
  CannotOpen: 'The owner could not open the disk set for another reason.',
} satisfies Meanings;

const served = {
  Serving: 'The owner serves it.',
  HandingOver: 'A planned change of owner is under way.',
  Opening: 'The owner has claimed it, and opens it.',
  DisksMoving: 'The owner waits for its disks.',
  DisksStuck: 'The owner waits for its disks, and somebody should look.',
  VolumesAhead: 'The Lease knows less than the volumes, as after a restore of the API.',
  NobodyServes: 'It was released, and the server that it was meant for is not there.',
  Starting: 'Nobody has ever served it.',
  OwnerDead: 'The owner is proven dead, and nobody has claimed yet.',
  OwnerGone: 'The owner’s pod is gone without a proof, and nobody has claimed yet.',
  OwnerUnreachable: 'The owner’s node does not report, and its partner would not take over by itself.',
  LeaseNotSeen: 'The operator has just begun.',
  ...openFailures,
} satisfies Meanings;

export const takeoverChecks = {
  LeaseUnseen: 'The server that would take over has not read the Lease.',
  NeverOwned: 'Nobody has ever served the disk set.',
  Stopping: 'The server that would take over is stopping.',
  WitnessSilent: 'The server that would take over does not reach the API.',
  VolumesUnreadable: 'The server that would take over cannot read a volume.',
  WitnessWentBack: 'The server that would take over has seen the Lease go back.',
  VolumesAhead: 'The volumes know a newer owner than the Lease.',
  ClockTooFast: 'A clock runs too fast for the guard.',
  CannotServe: 'The server that would take over says that it could not, for another reason.',
} satisfies Meanings;

const atHome = {
  AtHome: 'Owned by its own server.',
  AwayFromHome: 'Owned by the partner; the message says how to give it back.',
  Unowned: 'Nobody owns it at the moment.',
} satisfies Meanings;

const ofPair = {
  Ready: {
    Pending: 'The operator has not seen it yet.',
    ...notAllowed,
    ...execution,
    ...missing,
    ...misfits,
    ...served,
  },
  TakeoverPossible: {
    ...notAllowed,
    PartnersReady: 'With the times that it would take.',
    PartnerHasNoPod: 'The partner has no pod.',
    PartnerNotRunning: 'The partner does not run.',
    NotPaired: 'An owner renews its Lease by itself, since it does not hear its partner.',
    ClaimBeingDeleted: 'Somebody has deleted a claim, see Degraded.',
    ...misfits,
    DisksOutOfReach: 'The storage cannot attach a disk to the partner’s node.',
    NoVolumeSlots: 'The driver can attach no more volumes to the partner’s node.',
    NoRoom: 'The partner’s node has no room for the pod that mounts the disks.',
    Maintenance: 'Moves are paused.',
    ManualMode: 'spec.failover.mode is Manual.',
    ...takeoverChecks,
    NobodyServes: 'There is nothing to take over.',
  },
  AtHome: { ...notAccepted, ...atHome },
  Degraded: {
    ...notAccepted,
    ClaimBeingDeleted: 'Somebody has deleted a claim that is in use; its files go with its last pod.',
    NodesUnreachable: 'The nodes of both servers do not report; nothing is replaced.',
    NodeUnreachable: 'A server owns a disk set on a node that does not report; it is left alone.',
    ServerDown: 'A server does not run.',
    WitnessWentBack: 'The API has lost what had been written to a Lease.',
    Contested: 'Somebody changes back what the operator writes.',
    VolumeErrors: 'Clients were told of errors within the last 10 minutes.',
    ExportAbsent: 'The directory of a share does not exist.',
    NotFenced: misfits.NotFenced,
    SameNode: 'Both servers run on one node.',
    Whole: 'Both servers run.',
  },
  Progressing: {
    ...notAccepted,
    Deleting: 'The FilerPair is being deleted.',
    OperationUnderWay: 'A FilerPairOperation asks for a move.',
    Draining: 'A server is taken out of service.',
    RollingOut: 'A change reaches the servers.',
    RolloutPaused: 'spec.rollout.paused is true.',
    RolloutBlocked: 'A change would do harm, or the API server refuses it.',
    PodsStarting: 'Pods start.',
    Settled: 'Nothing is under way.',
  },
  Maintenance: {
    ...notAccepted,
    MovesPaused: 'No disk set changes its owner by itself.',
    Draining: 'A server is out of service, or will be.',
    NoMaintenance: 'Nobody has announced work.',
  },
  Accepted: { ...notAllowed, Accepted: 'The class allows what the spec asks for.' },
  Reconciling: {
    Stalled: 'It waits for an administrator, see Stalled.',
    RollingOut: 'A change reaches the servers.',
    RolloutPaused: 'spec.rollout.paused is true.',
    PodsMissing: 'A server has no pod that was made from the spec of now.',
    Starting: 'A disk set has never been served yet.',
    Reconciled: 'Everything is as the spec wants it.',
  },
  Stalled: {
    ...notAllowed,
    ...execution,
    ...missing,
    ...misfits,
    RolloutBlocked: 'A change would do harm, or the API server refuses it.',
    NotStalled: 'Nothing waits for an administrator.',
  },
  NamesPublished: {
    Answered: 'The DNS answers as it should.',
    NotAnswered: 'The DNS does not know a name yet.',
    NoExternalDns: 'The cluster has no DNSEndpoint that could publish a name.',
    OtherAnswer: 'The DNS answers something else.',
    NoAddress: 'A Service has no address, or a pod has no node yet.',
    DnsUnreachable: 'The DNS servers do not answer.',
  },
  ClientAddressesKept: {
    Kept: 'No node rewrites the addresses of clients.',
    NotNeeded: 'externalTrafficPolicy is Cluster, and every FilerShare is for everybody.',
    Rewritten: 'externalTrafficPolicy is Cluster: servers see addresses of nodes.',
  },
} satisfies Readonly<Record<string, Meanings>>;

export const pairReasons: Readonly<Record<string, Meanings>> = ofPair;

/** Reasons in status.servers[].conditions. */
const ofServer = {
  Running: {
    Running: 'It runs, and is ready.',
    Missing: 'It has no pod.',
    Pending: 'Its pod is not on a node yet, or its containers are not made.',
    Starting: 'It runs, and is not ready yet.',
    Restarting: 'Its container has ended, and is started again.',
    Terminating: 'Its pod is being deleted.',
    NodeLost: 'The node of its pod is gone, or not ready for too long.',
    Ended: 'Its pod has ended.',
  },
  UpToDate: {
    UpToDate: 'It runs as the spec of now wants it.',
    Outdated: 'Its pod was made from something else.',
    NoPod: 'It has no pod that can serve.',
  },
} satisfies Readonly<Record<string, Meanings>>;

export const serverReasons: Readonly<Record<string, Meanings>> = ofServer;

/** Reasons in status.diskSets[].conditions, and in the FilerDiskSet’s. */
export const diskSetReasons: Readonly<Record<string, Meanings>> = { Served: served, AtHome: atHome };

type KeysOf<T> = T extends unknown ? keyof T : never;

/** What a condition of a FilerPair, its servers and its disk sets may have as its reason: one that is not listed does not compile. */
export type Reason =
  | KeysOf<(typeof ofPair)[keyof typeof ofPair]>
  | KeysOf<(typeof ofServer)[keyof typeof ofServer]>
  | keyof typeof served
  | keyof typeof atHome;

export const isOpenFailure = (reason: string): reason is keyof typeof openFailures => reason in openFailures;
export const isTakeoverCheck = (reason: string): reason is keyof typeof takeoverChecks =>
  reason in takeoverChecks;

/** State of a pair that the console shows, wherever it was read: in a cluster, or from two servers on this machine. */

export interface ShownServer {
  readonly name: string;
  /** Is its process there? null: not known. */
  readonly up: boolean | null;
  /** A few words: `Running`, `Pod nas-a: ...`. */
  readonly detail: string;
  readonly node: string | null;
}

export interface ShownVolume {
  readonly name: string;
  readonly sizeBytes: number;
  readonly availableBytes: number;
}

/** Figures of one disk set at its owner, between the last two readings. */
export interface Figures {
  readonly callsPerSecond: number;
  readonly readBytesPerSecond: number;
  readonly writtenBytesPerSecond: number;
  /** From the arrival of a call to its reply, ms; null: there was no call. */
  readonly medianMs: number | null;
  readonly p99Ms: number | null;
}

export interface ShownDiskSet {
  /** Its home server. */
  readonly home: string;
  /** null: it has no owner. */
  readonly owner: string | null;
  readonly epoch: number;
  readonly served: boolean;
  /** In one word: `Serving`, `DisksMoving`. */
  readonly state: string;
  /** Connections of clients; null: not known. */
  readonly sessions: number | null;
  readonly volumes: readonly ShownVolume[];
  readonly figures: Figures | null;
}

export interface ShownCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  /** RFC 3339. */
  readonly since: string;
  /** It is as it should be. */
  readonly good: boolean;
}

export interface ShownTransition {
  readonly diskSet: string;
  readonly kind: string;
  readonly cause: string;
  readonly to: string;
  readonly epoch: number;
  /** RFC 3339. */
  readonly time: string;
  readonly durationMs: number;
  readonly phases: readonly {
    readonly name: string;
    readonly offsetMs: number;
    readonly durationMs: number;
  }[];
}

export interface ConsoleState {
  /** `namespace/name`. */
  readonly title: string;
  /** Why what is shown may be old; null: it is of now. */
  readonly problem: string | null;
  readonly servers: readonly ShownServer[];
  readonly diskSets: readonly ShownDiskSet[];
  /** Do the two servers hear each other? null: not known. */
  readonly interconnect: boolean | null;
  readonly conditions: readonly ShownCondition[];
  /** The latest first. */
  readonly transitions: readonly ShownTransition[];
  /** Why there are no figures; null: there are, or will be. */
  readonly withoutFigures: string | null;
}

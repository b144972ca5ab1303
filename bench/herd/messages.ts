/** Between the process that kills the server and those that hold the clients. Times are ms of CLOCK_BOOTTIME. */
export interface HerdRequest {
  readonly clients: number;
  readonly primaryPort: number;
  readonly secondaryPort: number;
  /** Of the exported directory. */
  readonly root: readonly number[];
}

export type ToHerd = { readonly kind: 'start'; readonly request: HerdRequest } | { readonly kind: 'watch' };

export interface HerdFigures {
  /** When each client had the reply to the call that it made while its server was down, in order. */
  readonly servedAtMs: readonly number[];
  /** Connections that were tried after the loss. */
  readonly attempts: number;
}

export type FromHerd =
  | { readonly kind: 'connected' }
  | { readonly kind: 'served'; readonly figures: HerdFigures };

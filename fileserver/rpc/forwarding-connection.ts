/** A connection as the thread that executes its calls knows it. */
import type { Place } from '../callers/connection-order.ts';
import type { ClientKey } from '../callers/origin.ts';

/** A connection whose calls another thread executes. */
export interface ForwardingConnection {
  /** Unique among the connections of its thread. */
  readonly id: number;
  /** Its client's address. */
  readonly host: string;
  readonly port: number;
  readonly place: Place;
  readonly clientKey: ClientKey;
}

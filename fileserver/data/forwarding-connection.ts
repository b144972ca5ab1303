import type { ClientKey } from '../nfs/origin.ts';
import type { Place } from './connection-order.ts';

/** A connection whose calls another thread executes. */
export interface ForwardingConnection {
  /** Of the connections of its thread. */
  readonly id: number;
  /** Its client's address. */
  readonly host: string;
  readonly port: number;
  readonly place: Place;
  readonly clientKey: ClientKey;
}

/**
 * Events that a client tells its program: as an EventEmitter, and on channels of node:diagnostics_channel for those who watch a program
 * from outside. No listener can hold up or break what tells it.
 */
import { channel } from 'node:diagnostics_channel';
import type { EventEmitter } from 'node:events';
import type { ConnectionEvent } from './connection-event.ts';
import { tell } from './listeners.ts';
import type { CallRecord } from './rpc-client.ts';

/** Events of a FilerPairClient, by name with their arguments. */
export type ClientEvents = {
  /** Losses, doubts and adoptions of connections: the failovers as this client sees them. */
  connection: [event: ConnectionEvent];
  /** An answered call with its times. */
  call: [call: CallRecord];
  /** The client has ended. */
  close: [];
};

/** Their messages hold the client, too: `{ client, event }` and `{ client, call }`. */
export const connectionChannel = channel('filerpair:connection');
export const callChannel = channel('filerpair:call');

/**
 * Like emit(), but a listener that throws keeps no other one from being called, and never the emitter from going on: what it
 * throws is an uncaught exception of the process.
 */
export function emitSafely<
  Events extends Record<keyof Events, unknown[]>,
  Name extends keyof Events & string,
>(emitter: EventEmitter<Events>, name: Name, args: Events[Name]): void {
  for (const listener of (emitter as EventEmitter).rawListeners(name)) {
    tell(() => listener.apply(emitter, args), undefined);
  }
}

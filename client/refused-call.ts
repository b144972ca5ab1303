/** Which call it is that the server answers by closing the connection. */
import type { PortRole } from './transport-address.ts';

// A call that no server takes (a record that is too long, a message that is none) would be sent again forever, and all others
// behind it would wait. It is found because calls go out one at a time after a connection has ended without any answer
// (resend-window.ts). The call that was alone on several connections in a row to one port, all of which ended, is the cause. A
// server that has restarted in between has refused connections, which starts the count anew.
//
// Pure: what happened and when goes in.

export interface Suspicion {
  readonly xid: number;
  readonly role: PortRole;
  readonly times: number;
  readonly atMs: number;
}

const TIMES_MAX = 5;
/** Longest time from one end to the next. The search pauses for half a second at most, and machines are busy. Ms. */
const ROW_MS = 10_000;

/** After a connection on which this call was the only one has ended. */
export function suspect(before: Suspicion | null, xid: number, role: PortRole, now: number): Suspicion {
  const again = before !== null && before.xid === xid && before.role === role && now - before.atMs < ROW_MS;
  return { xid, role, times: again ? before.times + 1 : 1, atMs: now };
}

/** After an attempt to connect to the port has failed. */
export function afterFailure(before: Suspicion | null, role: PortRole): Suspicion | null {
  return before?.role === role ? null : before;
}

export function isRefused(suspicion: Suspicion): boolean {
  return suspicion.times >= TIMES_MAX;
}

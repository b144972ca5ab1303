/**
 * Decides where the connections of the kernel's NFS client to one virtual address go. Pure: what happened goes in, what is to be
 * done comes out; finder.ts finds the server, virtual-address.ts executes.
 */
import type { TcpState } from './netlink/socket-table.ts';
import type { AddressAndPort } from './ruleset.ts';

// A server is searched for by the finder alone. The director answers one question: what happens to connections that are there, or
// that come, while the finder has a server, has none, or has another one than before.
//
//   serve  -- the finder loses the server --> hold         new connections go to the holder, which never answers
//   serve  -- silent for SILENCE_MS --> doubt              the same, but established connections stay: it may be only slow
//   hold   -- the finder has a server --> serve            everything that hangs on another server is broken, then the
//                                                          holder resets what it has: the clients connect again, to the right one
//   serve  -- a connection lies in the holder, and the server answers what it was asked after that --> it is released
//
// Never is a server left that answers: only the finder's news changes the server, and it changes on a proof of the other port
// (attempts.ts). Packets of a cut connection that arrive late therefore change nothing.

export type Phase = 'starting' | 'serve' | 'doubt' | 'hold';

export interface DirectorState {
  readonly phase: Phase;
  /** The server that the finder had last. */
  readonly target: AddressAndPort | null;
  /** When the newest connection came to the holder; null: it has none. Ms of any monotonic clock. */
  readonly heldAtMs: number | null;
}

export type DirectorInput =
  | { readonly kind: 'Found'; readonly target: AddressAndPort }
  | { readonly kind: 'Lost' }
  /** The server has not answered for SILENCE_MS, and its connection is open. */
  | { readonly kind: 'Silent' }
  /** It answers again. */
  | { readonly kind: 'Heard' }
  /** A client's connection came to the holder. */
  | { readonly kind: 'Held'; readonly atMs: number }
  /** The server has answered a call that was sent at `sentAtMs`. */
  | { readonly kind: 'Answered'; readonly sentAtMs: number }
  /** A process that was here before has left these rules. */
  | { readonly kind: 'Resumed'; readonly target: AddressAndPort };

export type DirectorEffect =
  /** Writes where new connections go. `forgive`: a diversion that is in force ends. */
  | {
      readonly kind: 'Route';
      readonly target: AddressAndPort | null;
      readonly hold: boolean;
      readonly forgive: boolean;
    }
  /** Deletes the entries of all connections to the server: it is gone, they are dead. */
  | { readonly kind: 'ForgetServer' }
  /** Looks at each socket of a client, and does with it what socketAction() says. */
  | { readonly kind: 'MoveSockets'; readonly moved: boolean }
  /** The holder resets what it has. */
  | { readonly kind: 'Release' }
  /** The server is asked at once whether it answers. */
  | { readonly kind: 'Ask' };

export interface DirectorStep {
  readonly state: DirectorState;
  /** To be executed in this order. */
  readonly effects: readonly DirectorEffect[];
}

/** How long a server may be silent before new connections wait for what comes. Ms. */
export const SILENCE_MS = 1000;

export const INITIAL_DIRECTOR: DirectorState = { phase: 'starting', target: null, heldAtMs: null };

export function stepDirector(state: DirectorState, input: DirectorInput): DirectorStep {
  switch (input.kind) {
    case 'Found':
      return found(state, input.target);
    case 'Lost':
      return lost(state);
    case 'Silent':
      return silent(state);
    case 'Heard':
      return heard(state);
    case 'Held':
      return held(state, input.atMs);
    case 'Answered':
      return answered(state, input.sentAtMs);
    case 'Resumed':
      return state.phase === 'starting' ? unchanged({ ...state, target: input.target }) : unchanged(state);
  }
}

function found(state: DirectorState, target: AddressAndPort): DirectorStep {
  // A connection of the time when the server was lost has no entry any more, even if it is the same server that is back.
  const isOther = state.target !== null && !isSame(state.target, target);
  const moved = isOther || state.phase === 'hold';
  return {
    state: { phase: 'serve', target, heldAtMs: null },
    effects: [
      { kind: 'Route', target, hold: false, forgive: true },
      { kind: 'MoveSockets', moved },
      // Last: from here on new connections come, and their entries must not be touched.
      { kind: 'Release' },
    ],
  };
}

function lost(state: DirectorState): DirectorStep {
  if (state.phase === 'starting' || state.phase === 'hold') return unchanged(state);
  return {
    state: { ...state, phase: 'hold' },
    effects: [
      { kind: 'Route', target: state.target, hold: true, forgive: false },
      { kind: 'ForgetServer' },
      { kind: 'MoveSockets', moved: false },
    ],
  };
}

function silent(state: DirectorState): DirectorStep {
  if (state.phase !== 'serve') return unchanged(state);
  return {
    state: { ...state, phase: 'doubt' },
    effects: [{ kind: 'Route', target: state.target, hold: true, forgive: false }],
  };
}

function heard(state: DirectorState): DirectorStep {
  if (state.phase !== 'doubt') return unchanged(state);
  return {
    state: { ...state, phase: 'serve', heldAtMs: null },
    effects: [
      { kind: 'Route', target: state.target, hold: false, forgive: true },
      { kind: 'MoveSockets', moved: false },
      { kind: 'Release' },
    ],
  };
}

function held(state: DirectorState, atMs: number): DirectorStep {
  // The kernel was right to send it there, or the server has ended one connection and is well: an answer will tell.
  return {
    state: { ...state, heldAtMs: atMs },
    effects: state.phase === 'serve' ? [{ kind: 'Ask' }] : [],
  };
}

function answered(state: DirectorState, sentAtMs: number): DirectorStep {
  if (state.phase !== 'serve' || state.heldAtMs === null) return unchanged(state);
  if (sentAtMs <= state.heldAtMs) return { state, effects: [{ kind: 'Ask' }] };
  return {
    state: { ...state, heldAtMs: null },
    effects: [{ kind: 'Route', target: state.target, hold: false, forgive: true }, { kind: 'Release' }],
  };
}

export type SocketAction = 'leave' | 'deleteEntry' | 'destroy';

/**
 * Action for one socket of a client when its address gets another route. `moved`: new connections go to another server
 * than before. `isHeld`: it is connected to the holder.
 */
export function socketAction(state: TcpState, isHeld: boolean, moved: boolean): SocketAction {
  if (isHeld || state === 'TIME_WAIT' || state === 'CLOSE') return 'leave';
  // It repeats its request within a second, and without an entry that is translated anew. One that is destroyed would wait for
  // three seconds.
  if (state === 'SYN_SENT' || state === 'SYN_RECV') return 'deleteEntry';
  if (state === 'ESTABLISHED') return moved ? 'destroy' : 'leave';
  // Half-closed: a FIN that nobody answers blocks the client for a minute.
  return 'destroy';
}

export function isSame(a: AddressAndPort, b: AddressAndPort): boolean {
  return a.address === b.address && a.port === b.port;
}

function unchanged(state: DirectorState): DirectorStep {
  return { state, effects: [] };
}

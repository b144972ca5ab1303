/**
 * Who a connection's calls come from: the client's address, and the user of each call's credential, squashed as the
 * export says. Remembers the last credential: a connection rarely has many.
 */
import { AUTH_NONE, AUTH_SYS, type CallHeader, decodeAuthSys } from '../../protocol/rpc.ts';
import type { XdrReader } from '../../protocol/xdr.ts';
import { keyOfAddress, keyOfIdentity } from '../callers/client-key.ts';
import type { ClientKey, Origin, Sender } from '../callers/origin.ts';
import type { GroupDirectory } from '../groups/group-directory.ts';
import type { Export } from '../storage/files/export.ts';
import type { Identity } from '../system/thread-identity.ts';
import { isGroup, isUser, NO_ID } from '../system/user-ids.ts';

/** Whose call it is, by export: the squashed credential. `notAllowed`: the export is not for that client. */
export type UserOf = (tree: Export) => Identity | 'notAllowed';

/** The client behind a call. */
export interface Caller extends Sender {
  /** The client's address. */
  readonly host: string;
  /** The client's port. */
  readonly port: number;
  /** Is the export for the client's address and port? */
  allowed(tree: Export): boolean;
  /** The user of the call's credential, squashed as the export wants it. */
  identity(tree: Export): Identity;
  /** Both, of the present call, for as long as that takes: exports may change meanwhile, and the next call has another user. */
  userOf(): UserOf;
  /** The client says who it is. */
  identify(identity: Uint8Array): void;
}

interface Credential {
  /** Null: AUTH_NONE, nobody in particular. */
  readonly user: Identity | null;
  readonly byExport: Map<Export, Identity>;
  /** See Caller.hasOwnStamp. */
  readonly hasOwnStamp: boolean;
  /** See Caller.userOf(). */
  readonly userOf: UserOf;
}

/** Smaller ones are constants, or counted. */
const OWN_STAMP_MIN = 2 ** 16;
/** Credentials remembered for a connection, with a key of their bytes. */
const REMEMBERED_MAX = 64;
/** Users of the thread, so that one user is one object whichever connection the call came by. */
const INTERNED_MAX = 4096;
const interned = new Map<string, Identity>();

function intern(uid: number, gid: number, groups: readonly number[]): Identity {
  const key = `${uid}:${gid}:${groups.join(',')}`;
  const known = interned.get(key);
  if (known !== undefined) return known;
  if (interned.size >= INTERNED_MAX) interned.clear();
  const identity: Identity = { uid, gid, groups };
  interned.set(key, identity);
  return identity;
}

export class ConnectionCaller implements Caller {
  /** The client's address. */
  readonly host: string;
  /** The client's port. */
  readonly port: number;
  readonly origin: Origin;
  #key: ClientKey;
  /** It stays: it is in use, or the client has said who it is. */
  #hasKey: boolean;
  readonly #allowedExports: Map<Export, boolean>;
  readonly #remembered: Map<string, Credential>;
  readonly #nobodyInParticular: Credential;
  #credential: Credential;
  /** Bytes of `credential`. */
  #lastBody: Uint8Array;
  /** Where groups are looked up on the server; null: the client's word counts. */
  readonly #groups: GroupDirectory | null;
  /** Of `groups`, when what is remembered here was right. */
  #generation: number;
  /** User whose groups have to be waited for (GroupDirectory.wait) before the call that was taken; -1: nobody's. */
  waitsFor: number;

  constructor(
    host: string,
    port: number,
    origin: Origin,
    groups: GroupDirectory | null,
    clientKey: ClientKey = keyOfAddress(host),
  ) {
    this.host = host;
    this.port = port;
    this.origin = origin;
    this.#key = clientKey;
    this.#hasKey = false;
    this.#groups = groups;
    this.#generation = 0;
    this.waitsFor = -1;
    this.#allowedExports = new Map();
    this.#remembered = new Map();
    this.#nobodyInParticular = this.#credentialOf(null, false);
    this.#credential = this.#nobodyInParticular;
    this.#lastBody = new Uint8Array(0);
  }

  #credentialOf(user: Identity | null, hasOwnStamp: boolean): Credential {
    const userOf: UserOf = (tree) => (this.allowed(tree) ? squashed(credential, tree) : 'notAllowed');
    const credential = { user, byExport: new Map<Export, Identity>(), hasOwnStamp, userOf };
    return credential;
  }

  get clientKey(): ClientKey {
    this.#hasKey = true;
    return this.#key;
  }

  /** The client says who it is. */
  identify(identity: Uint8Array): void {
    if (this.#hasKey) return;
    this.#hasKey = true;
    this.#key = keyOfIdentity(identity);
  }

  /** The exports have changed. */
  forget(): void {
    this.#allowedExports.clear();
    this.#remembered.clear();
    this.#credential = this.#nobodyInParticular;
    this.#lastBody = new Uint8Array(0);
  }

  /** Takes the credential of the call that comes now. false: it is not one that this server accepts. */
  take(r: XdrReader, header: CallHeader): boolean {
    this.waitsFor = -1;
    if (this.#groups !== null && this.#groups.generation !== this.#generation) {
      this.#generation = this.#groups.generation;
      this.#remembered.clear();
      this.#lastBody = new Uint8Array(0);
    }
    if (header.credFlavor === AUTH_NONE) {
      this.#credential = this.#nobodyInParticular;
      this.#lastBody = new Uint8Array(0);
      return true;
    }
    if (header.credFlavor !== AUTH_SYS) return false;
    const { credStart, credSize } = header;
    if (credSize > 0 && sameBytes(this.#lastBody, r.bytes, credStart, credSize)) return true;
    return this.#takeNew(r, credStart, credSize);
  }

  #takeNew(r: XdrReader, start: number, size: number): boolean {
    const body = r.bytes.slice(start, start + size);
    const key = Buffer.from(body.buffer).toString('latin1');
    let credential = this.#remembered.get(key);
    if (credential === undefined) {
      const parms = decodeAuthSys(r, start, size);
      if (parms === null) return false;
      const gids = this.#groupsOf(parms.uid, parms.gids);
      if (gids === null) {
        this.waitsFor = parms.uid;
        return true;
      }
      const hasOwnStamp = parms.stamp >= OWN_STAMP_MIN;
      credential = this.#credentialOf(intern(parms.uid, parms.gid, gids), hasOwnStamp);
      if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
      this.#remembered.set(key, credential);
    }
    this.#credential = credential;
    this.#lastBody = body;
    return true;
  }

  /** Supplementary groups; null: they have to be waited for. Root needs none. */
  #groupsOf(uid: number, claimed: readonly number[]): readonly number[] | null {
    if (this.#groups === null || uid === 0) return claimed;
    const known = this.#groups.find(uid);
    return known === undefined ? null : (known ?? claimed);
  }

  allowed(tree: Export): boolean {
    let allowed = this.#allowedExports.get(tree);
    if (allowed === undefined) {
      allowed = tree.isFor(this.host, this.port);
      this.#allowedExports.set(tree, allowed);
    }
    return allowed;
  }

  get hasOwnStamp(): boolean {
    return this.#credential.hasOwnStamp;
  }

  identity(tree: Export): Identity {
    return squashed(this.#credential, tree);
  }

  userOf(): UserOf {
    return this.#credential.userOf;
  }
}

function squashed({ user, byExport }: Credential, tree: Export): Identity {
  if (user === null) return tree.anonymous;
  let identity = byExport.get(tree);
  if (identity === undefined) {
    identity = squash(user, tree);
    byExport.set(tree, identity);
  }
  return identity;
}

/**
 * Root squash: root becomes the anonymous user; group root, also among the supplementary ones, the anonymous group.
 * Ids of -1, and those that do not exist in the server's user namespace, become the anonymous ones in any case: the kernel
 * would not take them on, and not say so.
 */
function squash(user: Identity, tree: Export): Identity {
  const { gid: anonymousGid } = tree.anonymous;
  const root = tree.squash === 'None' ? NO_ID : 0;
  if (tree.squash === 'All' || user.uid === root || !isUser(user.uid)) return tree.anonymous;
  const group = (gid: number): number => (gid === root || !isGroup(gid) ? anonymousGid : gid);
  return intern(user.uid, group(user.gid), user.groups.map(group));
}

function sameBytes(known: Uint8Array, bytes: Uint8Array, start: number, size: number): boolean {
  if (known.length !== size) return false;
  for (let i = 0; i < size; i++) if (known[i] !== bytes[start + i]) return false;
  return true;
}

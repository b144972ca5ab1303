/** Who a client says it is: AUTH_SYS (RFC 5531 appendix A), a user, its groups and a machine name. */
import { randomInt } from 'node:crypto';
import { hostname } from 'node:os';
import {
  AUTH_SYS_GIDS_MAX,
  AUTH_SYS_MACHINENAME_SIZE_MAX,
  authSysCredential,
  type opaque_auth,
} from '../protocol/rpc.ts';
import { XdrWriter } from '../protocol/xdr.ts';

/** The largest ID that a user or group can have: 2^32 - 1 means "none" to every Unix. */
export const ID_MAX = 0xfffffffe;

/** The user as whom calls are made (AUTH_SYS, RFC 5531 appendix A). */
export interface Identity {
  /** 0 to 2^32 - 2. */
  readonly uid: number;
  /** 0 to 2^32 - 2. */
  readonly gid: number;
  /** Further groups; AUTH_SYS carries sixteen. */
  readonly gids: readonly number[];
}

/** The user of this process; root where the system has no users. */
export function processIdentity(): Identity {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const groups = process.getgroups?.() ?? [];
  return { uid, gid, gids: groups.filter((each) => each !== gid).slice(0, AUTH_SYS_GIDS_MAX) };
}

/**
 * The credential of all calls of one client. Its stamp is random, and above the small ones that others have in common. Servers
 * tell resent calls from new ones by XID and contents, and two clients of one machine may well come up with the same XID.
 */
export function credentialOf(identity: Identity): opaque_auth {
  const machinename = Buffer.from(hostname()).subarray(0, AUTH_SYS_MACHINENAME_SIZE_MAX);
  const { uid, gid } = identity;
  const stamp = randomInt(2 ** 16, 2 ** 32);
  return authSysCredential({ stamp, machinename, uid, gid, gids: [...identity.gids] }, new XdrWriter(512));
}

/** Mounting: which export holds a path, its root's file handle, and what sizes its server likes. */
import { type exportnode, MNT3_OK, MNT3ERR_NOENT, MOUNT_PROGRAM, MOUNT_V3 } from '../protocol/mount.ts';
import type { nfs_fh3 } from '../protocol/nfs3.ts';
import type { ConnectionEvent } from './connection-event.ts';
import { MountError } from './errors.ts';
import type { Nfs3Client } from './nfs3-client.ts';
import type { Operation } from './operation.ts';
import { MOUNT_EXPORT, MOUNT_MNT } from './procedures.ts';
import { RpcClient, type RpcClientOptions } from './rpc-client.ts';
import type { NfsUrl } from './url.ts';

/** Largest READ and WRITE that we ask for, whatever the server offers. Bytes. */
const IO_SIZE_MAX = 1024 * 1024;

export interface Mounted {
  readonly root: nfs_fh3;
  /** The export's own path on the server, without a trailing slash. */
  readonly exportPath: string;
  /** Path that the URL names below the export. */
  readonly subPath: string;
}

/** Bytes. */
export interface IoSizes {
  readonly readSize: number;
  readonly writeSize: number;
  /** Size of one reply of READDIRPLUS. */
  readonly listingSize: number;
}

/**
 * A FilerPair serves MOUNT on its NFS port, and by the same connection, so that both come from one server. Other servers
 * may have a port of its own for it.
 */
export async function mount(
  target: NfsUrl,
  nfs: RpcClient,
  options: RpcClientOptions,
  operation: Operation,
): Promise<Mounted> {
  if (target.mountPort === undefined) return mountBy(nfs, target.path, operation);
  const { address } = target.endpoints.primary;
  const primary = { address, discriminator: { kind: 'TcpPort', port: target.mountPort } } as const;
  // Mounting is over before anybody could follow its connection; only that it waits is news.
  const onEvent = (event: ConnectionEvent) => event.kind === 'Waiting' && options.onEvent?.(event);
  const own = { endpoints: { primary, secondary: null }, identity: undefined, onEvent, onCall: undefined };
  const rpc = new RpcClient({ ...options, ...own, program: MOUNT_PROGRAM, version: MOUNT_V3 });
  try {
    return await mountBy(rpc, target.path, operation);
  } finally {
    rpc.close();
  }
}

export async function ioSizes(nfs: Nfs3Client, root: nfs_fh3, operation: Operation): Promise<IoSizes> {
  const info = await nfs.fsinfo(root, operation);
  const size = (preferred: number, max: number) =>
    Math.min(preferred || max || 4096, max || 4096, IO_SIZE_MAX);
  return {
    readSize: size(info.rtpref, info.rtmax),
    writeSize: size(info.wtpref, info.wtmax),
    listingSize: Math.min(Math.max(info.dtpref, 4096), 64 * 1024),
  };
}

async function mountBy(rpc: RpcClient, path: string, operation: Operation): Promise<Mounted> {
  const exportPath = await exportOf(rpc, path, operation);
  const reply = await rpc.call(MOUNT_MNT, Buffer.from(exportPath), operation);
  if (reply.status !== MNT3_OK) throw new MountError(reply.status, exportPath);
  return { root: reply.fhandle.slice(), exportPath, subPath: below(exportPath, path) ?? '' };
}

/** The longest exported path that holds `path`. */
async function exportOf(rpc: RpcClient, path: string, operation: Operation): Promise<string> {
  const exports = (await rpc.call(MOUNT_EXPORT, null, operation)).map((each: exportnode) =>
    Buffer.from(each.ex_dir).toString('utf8').replace(/\/+$/, ''),
  );
  const holding = exports.filter((each) => below(each, path) !== null);
  holding.sort((a, b) => b.length - a.length);
  if (holding[0] !== undefined) return holding[0] === '' ? '/' : holding[0];
  const list = exports.map((each) => each || '/').join(', ');
  const reason =
    exports.length === 0
      ? `${path} is not exported: the server exports nothing to this client`
      : `${path} is not exported; the server exports ${list}`;
  throw new MountError(MNT3ERR_NOENT, path, reason, exports);
}

/** The rest of `path` below `parent` (without a leading slash), or null if it is elsewhere. */
function below(parent: string, path: string): string | null {
  const base = parent.replace(/\/+$/, '');
  if (path === base || path === `${base}/`) return '';
  return path.startsWith(`${base}/`) ? path.slice(base.length + 1) : null;
}

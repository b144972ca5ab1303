/** What must exist before a workload runs: the export mounted, files of the right size written. */

import { randomInt } from 'node:crypto';
import * as mount from '../../protocol/mount.ts';
import * as nfs3 from '../../protocol/nfs3.ts';
import type { opaque_auth } from '../../protocol/rpc.ts';
import { authSysCredential } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { CallConnection } from './call-connection.ts';
import type { RunRequest } from './messages.ts';

/** XIDs restart in each process: the stamp tells its calls from those of the generator before (RFC 5531 appendix A). */
export const rootCredential: opaque_auth = authSysCredential(
  { stamp: randomInt(2 ** 32), machinename: new TextEncoder().encode('bench'), uid: 0, gid: 0, gids: [] },
  new XdrWriter(),
);

export interface Stage {
  root: nfs3.nfs_fh3;
  /** A file to read, and one to write for each connection. */
  file: nfs3.nfs_fh3;
  filesToWrite: nfs3.nfs_fh3[];
  /** Bytes of each of them. */
  fileSize: number;
}

export async function setStage(request: RunRequest): Promise<Stage> {
  const { host, port, mountPort, exportPath, connections, fileSize } = request;
  const mounting = await CallConnection.open(host, mountPort, rootCredential);
  const root = await mountExport(mounting, exportPath);
  mounting.close();
  const nfs = await CallConnection.open(host, port, rootCredential);
  const file = await fileOfSize(nfs, root, 'read', fileSize);
  const filesToWrite: nfs3.nfs_fh3[] = [];
  if (request.workload.startsWith('write')) {
    for (let i = 0; i < connections; i++)
      filesToWrite.push(await fileOfSize(nfs, root, `write-${i}`, fileSize));
  }
  nfs.close();
  return { root, file, filesToWrite, fileSize };
}

export async function mountExport(connection: CallConnection, path: string): Promise<nfs3.nfs_fh3> {
  const result = await connection.call(
    mount.MOUNT_PROGRAM,
    mount.MOUNT_V3,
    mount.MOUNTPROC3_MNT,
    mount.dirpath.encode,
    new TextEncoder().encode(path),
    mount.mountres3.decode,
  );
  if (result.status !== mount.MNT3_OK) {
    throw new Error(`the server does not let us mount ${path}: ${mount.mountstat3Name(result.status)}`);
  }
  return result.fhandle.slice();
}

type Call = <Name extends nfs3.Nfs3Name>(
  name: Name,
  args: nfs3.Nfs3Calls[Name]['args'],
) => Promise<nfs3.Nfs3Calls[Name]['res'] & { status: typeof nfs3.NFS3_OK }>;

function caller(connection: CallConnection): Call {
  return async (name, args) => {
    const codec = nfs3.nfs3Procedures[name];
    const { NFS_PROGRAM, NFS_V3 } = nfs3;
    const res = await connection.call(
      NFS_PROGRAM,
      NFS_V3,
      codec.proc,
      codec.args.encode,
      args,
      codec.res.decode,
    );
    if (res.status !== nfs3.NFS3_OK) throw new Error(`${name}: ${nfs3.nfsstat3Name(res.status)}`);
    return res as typeof res & { status: typeof nfs3.NFS3_OK };
  };
}

async function fileOfSize(
  connection: CallConnection,
  dir: nfs3.nfs_fh3,
  name: string,
  size: number,
): Promise<nfs3.nfs_fh3> {
  const call = caller(connection);
  const where = { dir, name: new TextEncoder().encode(name) };
  const obj_attributes = { ...nfs3.SATTR3_NOTHING, mode: 0o644 };
  await call('CREATE', { where, how: { mode: nfs3.UNCHECKED, obj_attributes } });
  const found = await call('LOOKUP', { what: where });
  const file = found.object.slice();
  const { obj_attributes: attributes } = await call('GETATTR', { object: file });
  if (attributes.size === size) return file;
  const data = new Uint8Array(nfs3.NFS3_IO_SIZE_MAX).fill(0x46);
  for (let offset = 0; offset < size; offset += data.length) {
    await call('WRITE', { file, offset, count: data.length, stable: nfs3.UNSTABLE, data });
  }
  await call('COMMIT', { file, offset: 0, count: 0 });
  return file;
}

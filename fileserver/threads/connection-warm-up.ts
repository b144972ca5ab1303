/**
 * Makes a connection before there is anything to serve. So Node and V8 have loaded and compiled what the first call of a thread needs
 * when the clients of a failed server come.
 */
import { connect } from 'node:net';
import { dirpath, MOUNT_PROGRAM, MOUNT_V3, mountproc3 } from '../../protocol/mount.ts';
import { NFS_PROGRAM, NFS_V3, nfsproc3 } from '../../protocol/nfs3.ts';
import { beginRecord, endRecord } from '../../protocol/record.ts';
import { AUTH_NONE_CREDENTIAL, encodeCallHeader } from '../../protocol/rpc.ts';
import { XdrWriter } from '../../protocol/xdr.ts';
import { ConnectionOrder } from '../callers/connection-order.ts';
import { ConnectionsByAddress } from '../connection-limits/connections-by-address.ts';
import { unpacked } from '../exports/export-specs.ts';
import { Acceptor } from '../rpc/acceptor.ts';
import type { ConnectionMemory } from '../rpc/connection.ts';
import { allocateLeaseTable, LeaseTable } from '../serving-lease/lease-table.ts';
import type { FileTableLimits } from '../storage/files/file-table.ts';
import { bootMs } from '../system/boottime.ts';
import { ConnectionService } from './connection-service.ts';

/** It takes some 20 ms. */
const GIVE_UP_MS = 1000;

/** Calls of a disk set without volumes, over a socket of this machine that is gone afterwards. Never fails. */
export async function warmUpConnection(memory: ConnectionMemory, limits: FileTableLimits): Promise<void> {
  const leases = new LeaseTable(allocateLeaseTable());
  leases.set('local', bootMs() + GIVE_UP_MS);
  const service = new ConnectionService(
    {
      kind: 'attach',
      session: 0,
      diskSet: 'local',
      volumes: [],
      exports: unpacked([]),
      roots: [],
      mounts: [],
      order: ConnectionOrder.allocate(),
    },
    {
      leases,
      memory,
      limits,
      groups: null,
      post: () => {},
      volumeThreads: new Map(),
      meter: null,
      onConnectionEnded: () => {},
    },
  );
  service.attach();
  const connections = new ConnectionsByAddress(2);
  const acceptor = new Acceptor({
    admit: (host) => connections.admit(host, true),
    onLost: () => {},
    onRefused: () => {},
    onAccepted: (fd, host, port, admission) => service.adopt({ fd, host, port, number: 1, admission }),
  });
  try {
    await call(await acceptor.listen('127.0.0.1', 0));
  } catch {
    // Then a client makes the first call.
  }
  acceptor.stop();
  await service.close('fence');
}

/** Resolves when the server has closed the connection, which it does behind its last answer. */
function call(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.setTimeout(GIVE_UP_MS, () => socket.destroy());
    socket.once('error', reject);
    socket.once('close', () => resolve());
    socket.resume();
    socket.end(calls());
  });
}

/** Some that need no volume to be answered. */
function calls(): Uint8Array {
  const w = new XdrWriter();
  write(w, NFS_PROGRAM, NFS_V3, nfsproc3.NULL, () => {});
  write(w, NFS_PROGRAM, NFS_V3, nfsproc3.GETATTR, () => w.opaque(new Uint8Array(32)));
  write(w, MOUNT_PROGRAM, MOUNT_V3, mountproc3.MNT, () => dirpath.encode(w, new Uint8Array(1)));
  return w.bytes.slice(0, w.position);
}

function write(w: XdrWriter, program: number, version: number, procedure: number, args: () => void): void {
  const start = beginRecord(w);
  encodeCallHeader(w, procedure, program, version, procedure, AUTH_NONE_CREDENTIAL);
  args();
  endRecord(w, start);
}

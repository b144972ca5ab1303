/**
 * Calls of one client, each of which succeeds only if all before it were executed exactly once, and their effects are still
 * there. A round begins and ends with nothing.
 */

import type { RpcClient } from '../../fileserver/data-path/rpc-client.fixture.ts';
import * as nfs from '../../protocol/nfs3.ts';

/** What a client knows after its calls so far. */
export interface Known {
  readonly file: Uint8Array;
  readonly ctime: nfs.nfstime3;
}

export const NOTHING_KNOWN: Known = { file: new Uint8Array(0), ctime: { seconds: 0, nseconds: 0 } };

export interface Step {
  readonly name: string;
  /** Sent again with the same XID it gets the same answer, whatever happened in between. */
  readonly once: boolean;
  /** `trouble`: null when the call succeeded. */
  call(client: RpcClient, xid: number, known: Known): Promise<{ trouble: string | null; known: Known }>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const NEW_SIZE = 9;

function troubleOf(status: number): string | null {
  return status === nfs.NFS3_OK ? null : nfs.nfsstat3Name(status);
}

/** `name` is the round's own; its names begin with it. */
export function roundOf(root: Uint8Array, name: string): readonly Step[] {
  const at = (suffix: string): nfs.diropargs3 => ({ dir: root, name: bytes(`${name}${suffix}`) });
  const content = bytes(`${name}, acknowledged and stable`);
  const plain = (
    title: string,
    run: (client: RpcClient, options: { xid: number }, known: Known) => Promise<{ status: number }>,
  ): Step => ({
    name: title,
    once: true,
    call: async (client, xid, known) => ({
      trouble: troubleOf((await run(client, { xid }, known)).status),
      known,
    }),
  });
  const create: Step = {
    name: 'CREATE a',
    once: true,
    call: async (client, xid) => {
      const how = { mode: nfs.GUARDED, obj_attributes: { ...nfs.SATTR3_NOTHING, mode: 0o600, size: 5 } };
      const result = await client.call('CREATE', { where: at('a'), how }, { xid });
      if (result.status !== nfs.NFS3_OK) return { trouble: troubleOf(result.status), known: NOTHING_KNOWN };
      return { trouble: null, known: { file: result.obj!, ctime: result.obj_attributes!.ctime } };
    },
  };
  const write: Step = {
    name: 'WRITE',
    once: false,
    call: async (client, xid, known) => {
      const { file } = known;
      const args = { file, offset: 0, count: content.length, stable: nfs.FILE_SYNC, data: content };
      const result = await client.call('WRITE', args, { xid });
      return {
        trouble: troubleOf(result.status),
        known: { file, ctime: result.file_wcc.after?.ctime ?? known.ctime },
      };
    },
  };
  const read: Step = {
    name: 'READ',
    once: false,
    call: async (client, xid, known) => {
      const result = await client.call('READ', { file: known.file, offset: 0, count: 1000 }, { xid });
      if (result.status !== nfs.NFS3_OK) return { trouble: troubleOf(result.status), known };
      const right = Buffer.from(result.data).equals(content.subarray(0, NEW_SIZE));
      return { trouble: right ? null : `it reads "${Buffer.from(result.data).toString()}"`, known };
    },
  };
  return [
    create,
    write,
    plain('SETATTR with guard', (client, options, { file, ctime }) => {
      const new_attributes = { ...nfs.SATTR3_NOTHING, mode: 0o640, size: NEW_SIZE };
      return client.call('SETATTR', { object: file, new_attributes, guard: ctime }, options);
    }),
    read,
    plain('LINK a b', (client, options, { file }) => client.call('LINK', { file, link: at('b') }, options)),
    plain('RENAME b c', (client, options) => client.call('RENAME', { from: at('b'), to: at('c') }, options)),
    plain('REMOVE a', (client, options) => client.call('REMOVE', { object: at('a') }, options)),
    plain('MKDIR a', (client, options) =>
      client.call('MKDIR', { where: at('a'), attributes: { ...nfs.SATTR3_NOTHING, mode: 0o751 } }, options),
    ),
    plain('RMDIR a', (client, options) => client.call('RMDIR', { object: at('a') }, options)),
    plain('CREATE e', (client, options) => {
      const how = { mode: nfs.GUARDED, obj_attributes: nfs.SATTR3_NOTHING };
      return client.call('CREATE', { where: at('e'), how }, options);
    }),
    plain('RENAME c e', (client, options) => client.call('RENAME', { from: at('c'), to: at('e') }, options)),
    read,
    plain('SYMLINK a', (client, options) => {
      const symlink = { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: bytes('some/where') };
      return client.call('SYMLINK', { where: at('a'), symlink }, options);
    }),
    plain('REMOVE a', (client, options) => client.call('REMOVE', { object: at('a') }, options)),
    plain('REMOVE e', (client, options) => client.call('REMOVE', { object: at('e') }, options)),
  ];
}

/** Features that the kernel's path needs of this machine: tried out in a network namespace of its own, so that nothing here changes. */
import { constants } from 'node:os';
import { attributesIn, decodeAttributes, textIn } from './netlink/attributes.ts';
import { Conntrack } from './netlink/conntrack.ts';
import { type Message, NETFILTER_HEADER_SIZE } from './netlink/message.ts';
import { Nftables } from './netlink/nftables.ts';
import { inScratchNamespace, NetlinkError } from './netlink/socket.ts';
import { SocketTable } from './netlink/socket-table.ts';
import { installTransaction } from './ruleset.ts';

/** Why a kernel has not got it, by the first thing of the table that it refuses. */
const EXPRESSIONS: Readonly<Record<string, string>> = {
  nat: 'address translation (nft_nat, nf_nat)',
  ct: 'connection tracking in rules (nft_ct, nf_conntrack)',
  reject: 'resets (nft_reject)',
  dynset: 'sets that packets change (nf_tables)',
  objref: 'timeout policies of connections (nf_conntrack_timeout)',
};
/** Types of nf_tables' messages that declare something. */
const NEWTABLE = 0;
const NEWSET = 9;
const NEWOBJ = 18;

/** Null: everything is there. Else a sentence on what is missing, that follows "no kernel path here: ". */
export function missingFeature(isV6 = false): string | null {
  if (process.platform !== 'linux') return `it needs Linux, and this is ${process.platform}`;
  try {
    return inScratchNamespace(() => tryEverything(isV6));
  } catch (error) {
    if (!(error instanceof NetlinkError)) return (error as Error).message;
    if (error.errno === constants.errno.EPERM)
      return 'this process may not change the network (run it as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN)';
    return error.message;
  }
}

function tryEverything(isV6: boolean): string | null {
  const nftables = new Nftables();
  const conntrack = new Conntrack();
  const sockets = new SocketTable();
  try {
    return tryTable(nftables, isV6) ?? tryConntrack(conntrack) ?? tryDestroy(sockets);
  } finally {
    for (const each of [nftables, conntrack, sockets]) each.close();
  }
}

function tryTable(nftables: Nftables, isV6: boolean): string | null {
  const transaction = installTransaction(isV6, { address: isV6 ? '::1' : '127.0.0.1', port: 1 });
  try {
    nftables.commit(transaction);
    return null;
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.errno === constants.errno.EPERM) throw error;
    const refused = transaction.messages[error.index];
    return `the kernel refuses ${refused === undefined ? 'nf_tables' : partOf(refused)}: ${error.message}`;
  }
}

function partOf({ type, body }: Message): string {
  switch (type & 0xff) {
    case NEWTABLE:
      return 'nf_tables';
    case NEWSET:
      return 'sets and maps with time-outs (nf_tables)';
    case NEWOBJ:
      return EXPRESSIONS['objref']!;
  }
  const list = decodeAttributes(Buffer.from(body.subarray(NETFILTER_HEADER_SIZE))).get(4);
  const names = list === undefined ? [] : attributesIn(list).map(([, each]) => nameOf(each));
  // The last one counts: the rule is made for it.
  const found = names.reverse().find((name) => name in EXPRESSIONS);
  return found === undefined ? 'a rule of nf_tables' : EXPRESSIONS[found]!;
}

function nameOf(expression: Buffer): string {
  const name = decodeAttributes(expression).get(1);
  return name === undefined ? '' : textIn(name);
}

function tryConntrack(conntrack: Conntrack): string | null {
  try {
    conntrack.entry({ source: '127.0.0.1', sourcePort: 1, destination: '127.0.0.1', destinationPort: 1 });
    return null;
  } catch (error) {
    return `the table of tracked connections cannot be read (nf_conntrack_netlink): ${(error as Error).message}`;
  }
}

/** A socket that does not exist: where sockets can be destroyed, that is the error. */
function tryDestroy(sockets: SocketTable): string | null {
  const id = Buffer.alloc(48);
  id.writeUInt16BE(1, 0);
  id.writeUInt16BE(1, 2);
  id.fill(0xff, 40);
  const nobody = {
    state: 'ESTABLISHED',
    source: '127.0.0.1',
    sourcePort: 1,
    destination: '127.0.0.1',
    id,
  } as const;
  const errno = sockets.destroy(nobody);
  if (errno === constants.errno.ENOENT || errno === 0) return null;
  return `sockets cannot be destroyed (inet_diag with INET_DIAG_DESTROY): ${new NetlinkError('sock_diag', errno).message}`;
}

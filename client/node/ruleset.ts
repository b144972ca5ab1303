/** The one nftables table of a network namespace that sends each virtual address to the server of its disk set. Pure. */
import { isIPv6 } from 'node:net';
import { addressBytes } from './netlink/address.ts';
import { u16be, u32le } from './netlink/attributes.ts';
import {
  bitwise,
  CT_DIRECTIONS,
  CT_KEYS,
  CT_STATE_NEW,
  change,
  compare,
  constant,
  destinationNat,
  type Expression,
  lookup,
  mapped,
  payload,
  REGISTERS,
  readCt,
  readProtocol,
  rejectWithReset,
  useTimeouts,
  verdict,
  writeCt,
} from './netlink/nft-expressions.ts';
import {
  type Chain,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  type SetDeclaration,
  type SetElement,
  Transaction,
} from './netlink/nftables.ts';

// The rules never change while a process of ours runs: what a failover changes are elements of sets, in one transaction.
//
//   targets   virtual address -> address and port of the server that its new connections go to
//   current   the same as triples: connections to anybody else are not watched
//   hold      addresses whose new connections go to the holder (holder.ts), because nobody serves
//   broken    addresses whose server has just ended a connection: set by the rule `in`, for a second. The client's next
//             connection request follows within a millisecond, sooner than any process could tell the kernel, and would be
//             refused. With it the request goes to the holder at once, provided that there is somebody to release it:
//   alive     addresses whose director renews this every second
//   heldPorts address and source port of connections to the holder: they have a conntrack zone of their own, where no entry of an
//             earlier connection from the same port can be in their way
//   marks     what the entries of an address are marked with, so that they can be deleted together
//
// A table is kept over upgrades, since living entries hold its timeout policy. The hook of a chain and the key of a set cannot
// be changed: a new version that needs others gives them other names.

export const TABLE = 'filerpair';
/** The port at a virtual address. */
export const VIRTUAL_PORT = 2049;

/** Which cures are in the rules. Only tests leave one out, to see what it is for. */
export interface Cures {
  /** The kernel itself sends the request that follows a broken connection to the holder. */
  readonly diversion: boolean;
  /** Connections to the holder have a conntrack zone of their own. */
  readonly holderZone: boolean;
  /** Entries of connections that were reset are gone at once. */
  readonly quickClose: boolean;
  /** A client's own end of a connection is no fault. */
  readonly clientClose: boolean;
  /** A packet that is not translated is refused, not sent. */
  readonly guard: boolean;
  /** An address is diverted only while its director lives. */
  readonly alive: boolean;
}

export const ALL_CURES: Cures = {
  diversion: true,
  holderZone: true,
  quickClose: true,
  clientClose: true,
  guard: true,
  alive: true,
};

/** Bits of a mark that say what the connection is. */
const MARK_CLIENT_CLOSED = 1;
const MARK_HELD = 2;
const MARK_KIND = 3;
/** Marks of ours begin with "FP". */
const MARK_BASE = 0x4650_0000;

/** The mark of connections to the server of an address. `index`: 0 to 2^14 - 1, one for each address of a namespace. */
export function markOf(index: number): number {
  return MARK_BASE | (index << 2);
}

/** Entries of one address's connections to its server, also of those that the client has closed. */
export const MARK_MASK_SERVER = 0xffff_fffe;

const BROKEN_MS = 1000;
export const ALIVE_MS = 3000;
const HELD_PORT_MS = 3_600_000;
/** Conntrack zone of connections to the holder. */
export const HOLDER_ZONE = 0x4650;
const QUICK_CLOSE = 'quick-close';

/** TCP flags as bits. */
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;
const FLAGS_AT = 13;

const { r0, r1, r2, r4, r5, r8, r9 } = REGISTERS;

const CHAINS: readonly Chain[] = [
  { name: 'zones', type: 'filter', hook: 'output', priority: -300 },
  { name: 'entries', type: 'filter', hook: 'output', priority: -150 },
  { name: 'targets', type: 'nat', hook: 'output', priority: -100 },
  { name: 'guard', type: 'filter', hook: 'output', priority: 0 },
  // After the translation of answers (100): they come from the virtual address here.
  { name: 'ends', type: 'filter', hook: 'input', priority: 110 },
];

/** Types are named for people who look with nft. */
const TYPE_IPV4 = 7;
const TYPE_IPV6 = 8;
const TYPE_PORT = 13;
const TYPE_MARK = 19;
const concatenated = (...types: number[]): number => types.reduce((all, each) => (all << 6) | each);

function sets(family: Family): SetDeclaration[] {
  const { type, size } = family;
  const timed = { keyType: type, keySize: size, sizeMax: 4096 };
  return [
    { name: 'addresses', keyType: type, keySize: size },
    { name: 'marks', keyType: type, keySize: size, value: { type: TYPE_MARK, size: 4 } },
    {
      name: 'targets',
      keyType: type,
      keySize: size,
      value: { type: concatenated(type, TYPE_PORT), size: size + 4 },
    },
    { name: 'current', keyType: concatenated(type, type, TYPE_PORT), keySize: 2 * size + 4 },
    { name: 'hold', keyType: type, keySize: size },
    { name: 'broken', ...timed, timeoutMs: BROKEN_MS },
    { name: 'alive', ...timed, timeoutMs: ALIVE_MS },
    {
      name: 'heldPorts',
      keyType: concatenated(type, TYPE_PORT),
      keySize: size + 4,
      timeoutMs: HELD_PORT_MS,
      sizeMax: 65_536,
    },
  ];
}

/** Sizes and places that differ between the two versions of IP. */
interface Family {
  readonly isV6: boolean;
  readonly type: number;
  /** Size of an address. Bytes. */
  readonly size: number;
  readonly sourceAt: number;
  readonly destinationAt: number;
  /** Registers behind an address in r0, and behind one in r4. */
  readonly afterR0: number;
  readonly afterR4: number;
}

const V4: Family = {
  isV6: false,
  type: TYPE_IPV4,
  size: 4,
  sourceAt: 12,
  destinationAt: 16,
  afterR0: r1,
  afterR4: r5,
};
const V6: Family = {
  isV6: true,
  type: TYPE_IPV6,
  size: 16,
  sourceAt: 8,
  destinationAt: 24,
  afterR0: r4,
  afterR4: r8,
};

export const familyNumber = (isV6: boolean): number => (isV6 ? NFPROTO_IPV6 : NFPROTO_IPV4);

export interface AddressAndPort {
  readonly address: string;
  readonly port: number;
}

const keyOf = ({ address, port }: AddressAndPort): Buffer =>
  Buffer.concat([addressBytes(address), u16be(port), Buffer.alloc(2)]);

/** Makes the table, or brings that of an earlier process up to date; its sets keep what is in them. */
export function installTransaction(
  isV6: boolean,
  holder: AddressAndPort,
  cures: Cures = ALL_CURES,
): Transaction {
  const family = isV6 ? V6 : V4;
  const transaction = new Transaction(familyNumber(isV6), TABLE).addTable();
  sets(family).forEach((set, index) => void transaction.addSet(set, index + 1));
  if (cures.quickClose) transaction.addTimeoutPolicy(QUICK_CLOSE, 0);
  for (const chain of CHAINS) transaction.addChain(chain).flushChain(chain.name);
  for (const [chain, rule] of rules(family, holder, cures)) transaction.addRule(chain, rule);
  return transaction;
}

/** How many rules a whole table has. */
export function ruleCount(isV6: boolean, cures: Cures = ALL_CURES): number {
  return rules(isV6 ? V6 : V4, { address: isV6 ? '::1' : '127.0.0.1', port: 1 }, cures).length;
}

type Rule = readonly [chain: string, expressions: Expression[]];

function rules(family: Family, holder: AddressAndPort, cures: Cures): Rule[] {
  const { size, sourceAt, destinationAt, afterR0, afterR4 } = family;
  const destination = payload('network', destinationAt, size, r0);
  const isTcp = [readProtocol(r9), compare(r9, Buffer.of(6))];
  const notOurs = [destination, lookup('addresses', r0, 'not in'), verdict('accept')];
  const flags = (mask: number, is: number, operator: 'equal' | 'different' = 'equal') => [
    payload('transport', FLAGS_AT, 1, r9),
    bitwise(r9, Buffer.of(mask), Buffer.of(0)),
    compare(r9, Buffer.of(is), operator),
  ];
  const isSyn = flags(FIN | SYN | RST | ACK, SYN);
  const endsIt = flags(FIN | RST, 0, 'different');
  const sourcePort = payload('transport', 0, 2, afterR0);
  const isBroken = [lookup('broken', r0), ...(cures.alive ? [lookup('alive', r0)] : [])];
  const hold = change('heldPorts', 'update', r0, HELD_PORT_MS);
  const mark = (kind: number) => [
    mapped('marks', r0, r9),
    ...(kind === 0 ? [] : [bitwise(r9, u32le(0xffff_ffff), u32le(kind))]),
    writeCt(CT_KEYS.mark, r9),
  ];
  const atPort = [payload('transport', 2, 2, r9), compare(r9, u16be(VIRTUAL_PORT))];
  const toHolder = [
    ...mark(MARK_HELD),
    constant(r4, addressBytes(holder.address)),
    constant(afterR4, u16be(holder.port)),
    destinationNat(family.isV6, r4, afterR4),
  ];
  const list: Rule[] = [
    ['zones', notOurs],
    ['zones', [...isTcp, ...isSyn, destination, sourcePort, change('heldPorts', 'delete', r0)]],
    ['zones', [...isTcp, ...isSyn, destination, sourcePort, lookup('hold', r0), hold]],
  ];
  if (cures.diversion) list.push(['zones', [...isTcp, ...isSyn, destination, sourcePort, ...isBroken, hold]]);
  if (cures.holderZone) {
    const zone = [
      constant(r9, Buffer.from(u32le(HOLDER_ZONE).subarray(0, 2))),
      writeCt(CT_KEYS.zone, r9, CT_DIRECTIONS.original),
    ];
    list.push(['zones', [...isTcp, destination, sourcePort, lookup('heldPorts', r0), ...zone]]);
  }
  list.push(['entries', notOurs]);
  if (cures.clientClose) {
    const closed = bitwise(r9, u32le(~MARK_CLIENT_CLOSED), u32le(MARK_CLIENT_CLOSED));
    list.push([
      'entries',
      [...isTcp, ...endsIt, readCt(CT_KEYS.mark, r9), closed, writeCt(CT_KEYS.mark, r9)],
    ]);
  }
  if (cures.quickClose) {
    const isNew = [
      readCt(CT_KEYS.state, r9),
      bitwise(r9, u32le(CT_STATE_NEW), u32le(0)),
      compare(r9, u32le(0), 'different'),
    ];
    list.push(['entries', [...isTcp, ...isNew, useTimeouts(QUICK_CLOSE)]]);
  }
  // The rules translate only the first segment of a connection. One from its middle is never adopted: `guard` gets it.
  if (cures.diversion)
    list.push(['targets', [...isTcp, ...isSyn, ...atPort, destination, ...isBroken, ...toHolder]]);
  list.push(
    ['targets', [...isTcp, ...isSyn, ...atPort, destination, lookup('hold', r0), ...toHolder]],
    [
      'targets',
      [
        ...[...isTcp, ...isSyn, ...atPort, destination, ...mark(0), mapped('targets', r0, r4)],
        destinationNat(family.isV6, r4, afterR4),
      ],
    ],
  );
  if (cures.guard) {
    list.push(
      ['guard', notOurs],
      ['guard', [...isTcp, rejectWithReset]],
      ['guard', [destination, lookup('addresses', r0), verdict('drop')]],
    );
  }
  if (cures.diversion) list.push(['ends', endOfServer(family, sourceAt, endsIt)]);
  return list;
}

/** The server of an address ends a connection that the client still wants. */
function endOfServer(family: Family, sourceAt: number, endsIt: readonly Expression[]): Expression[] {
  const { size, isV6 } = family;
  // The key of `current`: virtual address, the server's address, its port.
  const server = r0 + size / 4;
  const port = server + size / 4;
  const last = isV6 ? r9 : r2 + 1;
  return [
    ...[readProtocol(last), compare(last, Buffer.of(6))],
    ...endsIt,
    payload('network', sourceAt, size, r0),
    lookup('addresses', r0),
    readCt(CT_KEYS.mark, last),
    bitwise(last, u32le(MARK_KIND), u32le(0)),
    compare(last, u32le(0)),
    readCt(isV6 ? CT_KEYS.sourceIp6 : CT_KEYS.sourceIp, server, CT_DIRECTIONS.reply),
    readCt(CT_KEYS.protocolSource, port, CT_DIRECTIONS.reply),
    lookup('current', r0),
    change('broken', 'update', r0, BROKEN_MS),
  ];
}

/** Where new connections to one virtual address go now. */
export interface Route {
  readonly virtual: string;
  /** Result of markOf(). */
  readonly mark: number;
  /** The server that was found last; null: none yet. */
  readonly target: AddressAndPort | null;
  /** New connections go to the holder. */
  readonly hold: boolean;
  /** The next connection request goes where the rules say, even if the server has just ended one. */
  readonly forgive: boolean;
}

/** Elements of the table for an address, besides that its director lives: by the name of their set. */
function elementsOf({ virtual, mark, target, hold }: Route): Record<RouteSet, SetElement | null> {
  const key = addressBytes(virtual);
  return {
    addresses: { key },
    marks: { key, value: u32le(mark) },
    targets: target === null ? null : { key, value: keyOf(target) },
    current: target === null || hold ? null : { key: Buffer.concat([key, keyOf(target)]) },
    hold: hold ? { key } : null,
  };
}

const ROUTE_SETS = ['addresses', 'marks', 'targets', 'current', 'hold'] as const;
type RouteSet = (typeof ROUTE_SETS)[number];

/** The state of all addresses of the namespace, of one family, whatever the table says of them. */
export function routesTransaction(isV6: boolean, routes: readonly Route[]): Transaction {
  const own = routes.filter((route) => isIPv6(route.virtual) === isV6);
  const elements = own.map(elementsOf);
  const transaction = new Transaction(familyNumber(isV6), TABLE);
  for (const set of ROUTE_SETS) transaction.flushSet(set);
  for (const set of ROUTE_SETS)
    transaction.addElements(
      set,
      elements.flatMap((each) => each[set] ?? []),
    );
  takeOut(
    transaction,
    'broken',
    own.filter((route) => route.forgive).map(({ virtual }) => ({ key: addressBytes(virtual) })),
  );
  return addAlive(transaction, own);
}

/**
 * All that a failover of one address changes, however many others there are. `before`: what the table says of it; null: nothing.
 * `after`: null if it is taken out. Fails, and changes nothing, if the table says something else.
 */
export function routeTransaction(before: Route | null, after: Route | null): Transaction {
  const route = (after ?? before)!;
  const transaction = new Transaction(familyNumber(isIPv6(route.virtual)), TABLE);
  const old = before === null ? null : elementsOf(before);
  const next = after === null ? null : elementsOf(after);
  for (const set of ROUTE_SETS) {
    const [from, to] = [old?.[set] ?? null, next?.[set] ?? null];
    if (isSameElement(from, to)) continue;
    if (from !== null) transaction.deleteElements(set, [{ key: from.key }]);
    if (to !== null) transaction.addElements(set, [to]);
  }
  const key = addressBytes(route.virtual);
  if (route.forgive || after === null) takeOut(transaction, 'broken', [{ key }]);
  takeOut(transaction, 'alive', [{ key }]);
  return after === null ? transaction : transaction.addElements('alive', [{ key, timeoutMs: ALIVE_MS }]);
}

function isSameElement(a: SetElement | null, b: SetElement | null): boolean {
  if (a === null || b === null) return a === b;
  const [valueOfA, valueOfB] = [a.value ?? Buffer.alloc(0), b.value ?? Buffer.alloc(0)];
  return Buffer.compare(a.key, b.key) === 0 && Buffer.compare(valueOfA, valueOfB) === 0;
}

/** To delete an element that is not there would be an error. */
function takeOut(transaction: Transaction, set: string, elements: readonly SetElement[]): void {
  transaction.addElements(set, elements).deleteElements(set, elements);
}

/** The directors of these addresses live, for ALIVE_MS. */
export function aliveTransaction(isV6: boolean, routes: readonly Route[]): Transaction {
  return addAlive(
    new Transaction(familyNumber(isV6), TABLE),
    routes.filter((route) => isIPv6(route.virtual) === isV6),
  );
}

/** To add an element that is there leaves its time as it is (until Linux 6.13): it would expire between two renewals. */
function addAlive(transaction: Transaction, routes: readonly Route[]): Transaction {
  return transaction.flushSet('alive').addElements(
    'alive',
    routes.map(({ virtual }) => ({ key: addressBytes(virtual), timeoutMs: ALIVE_MS })),
  );
}

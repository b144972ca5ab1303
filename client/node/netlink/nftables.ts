/** nf_tables over netlink: transactions of tables, chains, sets, rules and elements, and what of them is there. */
import {
  type Attribute,
  attributesIn,
  decodeAttributes,
  text,
  u8,
  u16be,
  u32be,
  u64be,
} from './attributes.ts';
import {
  type Message,
  NETFILTER_HEADER_SIZE,
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  netfilterMessage,
} from './message.ts';
import type { Expression } from './nft-expressions.ts';
import { NETLINK_NETFILTER, NetlinkError, NetlinkSocket } from './socket.ts';

export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

const ENOENT = 2;
const NFNL_SUBSYS_NFTABLES = 10;
const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;

const NEWTABLE = 0;
const DELTABLE = 2;
const NEWCHAIN = 3;
const NEWRULE = 6;
const GETRULE = 7;
const DELRULE = 8;
const NEWSET = 9;
const NEWSETELEM = 12;
const GETSETELEM = 13;
const DELSETELEM = 14;
const GETGEN = 16;
const NEWOBJ = 18;

const SET_FLAGS = { map: 0x8, timeout: 0x10, dynamic: 0x20 };
const LIST_ELEMENT = 1;
const DATA_VALUE = 1;
const OBJECT_CT_TIMEOUT = 7;
/** CTA_TIMEOUT_TCP_CLOSE. */
const TIMEOUT_TCP_CLOSE = 8;
const IPPROTO_TCP = 6;

export const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

export interface Chain {
  readonly name: string;
  readonly type: 'filter' | 'nat';
  readonly hook: keyof typeof HOOKS;
  readonly priority: number;
}

/** Sizes in bytes, each part of a key or value padded to four. */
export interface SetDeclaration {
  readonly name: string;
  /** As the program nft numbers types: it is for its users, the kernel does not use it. */
  readonly keyType: number;
  readonly keySize: number;
  readonly value?: { readonly type: number; readonly size: number };
  /** Elements expire; packets may add some. */
  readonly timeoutMs?: number;
  /** Elements at most, where packets add them. */
  readonly sizeMax?: number;
}

export interface SetElement {
  readonly key: Uint8Array;
  readonly value?: Uint8Array;
  readonly timeoutMs?: number;
}

/** Changes to one table, which the kernel makes all at once or not at all. */
export class Transaction {
  readonly family: number;
  readonly table: string;
  readonly #messages: Message[] = [];

  constructor(family: number, table: string) {
    this.family = family;
    this.table = table;
  }

  get messages(): readonly Message[] {
    return this.#messages;
  }

  get isEmpty(): boolean {
    return this.#messages.length === 0;
  }

  /** Nothing changes if it is there. */
  addTable(): this {
    return this.#add(NEWTABLE, NLM_F_CREATE, [[1, text(this.table)]]);
  }

  deleteTable(): this {
    return this.#add(DELTABLE, 0, [[1, text(this.table)]]);
  }

  addChain({ name, type, hook, priority }: Chain): this {
    return this.#add(NEWCHAIN, NLM_F_CREATE, [
      [1, text(this.table)],
      [3, text(name)],
      [
        4,
        [
          [1, u32be(HOOKS[hook])],
          [2, u32be(priority)],
        ],
      ],
      [5, u32be(1)],
      [7, text(type)],
    ]);
  }

  /** Nothing changes if it is there with the same key. */
  addSet({ name, keyType, keySize, value, timeoutMs, sizeMax }: SetDeclaration, id: number): this {
    const isDynamic = timeoutMs !== undefined;
    const flags = (value ? SET_FLAGS.map : 0) | (isDynamic ? SET_FLAGS.timeout | SET_FLAGS.dynamic : 0);
    const attributes: Attribute[] = [
      [1, text(this.table)],
      [2, text(name)],
      [3, u32be(flags)],
      [4, u32be(keyType)],
      [5, u32be(keySize)],
    ];
    if (value) attributes.push([6, u32be(value.type)], [7, u32be(value.size)]);
    if (sizeMax !== undefined) attributes.push([9, [[1, u32be(sizeMax)]]]);
    attributes.push([10, u32be(id)]);
    if (isDynamic) attributes.push([11, u64be(timeoutMs)]);
    return this.#add(NEWSET, NLM_F_CREATE, attributes);
  }

  addRule(chain: string, expressions: readonly Expression[]): this {
    return this.#add(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, [
      [1, text(this.table)],
      [2, text(chain)],
      [4, expressions.map((each): Attribute => [LIST_ELEMENT, each])],
    ]);
  }

  /** The chain stays, its rules go. */
  flushChain(chain: string): this {
    return this.#add(DELRULE, 0, [
      [1, text(this.table)],
      [2, text(chain)],
    ]);
  }

  addElements(set: string, elements: readonly SetElement[]): this {
    return elements.length === 0 ? this : this.#elements(NEWSETELEM, NLM_F_CREATE, set, elements);
  }

  /** Fails with ENOENT if one of them is not there. */
  deleteElements(set: string, elements: readonly SetElement[]): this {
    return elements.length === 0 ? this : this.#elements(DELSETELEM, 0, set, elements);
  }

  flushSet(set: string): this {
    return this.#add(DELSETELEM, 0, [
      [1, text(this.table)],
      [2, text(set)],
    ]);
  }

  /** A policy after which the entry of a TCP connection that was reset lives for `closeSeconds`. */
  addTimeoutPolicy(name: string, closeSeconds: number): this {
    const l3Protocol = u16be(this.family);
    const policy: Attribute[] = [
      [1, l3Protocol],
      [2, u8(IPPROTO_TCP)],
      [3, [[TIMEOUT_TCP_CLOSE, u32be(closeSeconds)]]],
    ];
    return this.#add(NEWOBJ, NLM_F_CREATE, [
      [1, text(this.table)],
      [2, text(name)],
      [3, u32be(OBJECT_CT_TIMEOUT)],
      [4, policy],
    ]);
  }

  #elements(type: number, flags: number, set: string, elements: readonly SetElement[]): this {
    const list = elements.map(({ key, value, timeoutMs }): Attribute => {
      const element: Attribute[] = [[1, [[1, key]]]];
      if (value) element.push([2, [[1, value]]]);
      if (timeoutMs !== undefined) element.push([4, u64be(timeoutMs)]);
      return [LIST_ELEMENT, element];
    });
    return this.#add(type, flags, [
      [1, text(this.table)],
      [2, text(set)],
      [3, list],
    ]);
  }

  #add(type: number, flags: number, attributes: readonly Attribute[]): this {
    this.#messages.push(netfilterMessage(messageType(type), flags, this.family, attributes));
    return this;
  }
}

function messageType(type: number): number {
  return (NFNL_SUBSYS_NFTABLES << 8) | type;
}

/** All that is sent for a transaction. The last of its messages asks for an acknowledgement: it comes after the commit. */
export function batch(messages: readonly Message[]): Message[] {
  const last = messages.length - 1;
  return [
    netfilterMessage(NFNL_MSG_BATCH_BEGIN, 0, 0, [], NFNL_SUBSYS_NFTABLES),
    ...messages.map((each, index) => (index === last ? { ...each, flags: each.flags | NLM_F_ACK } : each)),
    netfilterMessage(NFNL_MSG_BATCH_END, 0, 0, [], NFNL_SUBSYS_NFTABLES),
  ];
}

/** One element of a set that is there. */
export interface FoundElement {
  readonly key: Buffer;
  readonly value: Buffer | null;
  /** Null: it does not expire. */
  readonly expiresMs: number | null;
}

/** The elements in one message of a dump of a set. */
export function decodeElements(body: Buffer): FoundElement[] {
  const list = decodeAttributes(body.subarray(NETFILTER_HEADER_SIZE)).get(3);
  if (list === undefined) return [];
  return attributesIn(list).flatMap(([, each]) => {
    const element = decodeAttributes(each);
    const valueIn = (type: number) => {
      const data = element.get(type);
      return data === undefined ? undefined : decodeAttributes(data).get(DATA_VALUE);
    };
    const key = valueIn(1);
    const expires = element.get(5);
    if (key === undefined) return [];
    const expiresMs = expires === undefined ? null : Number(expires.readBigUInt64BE());
    return [{ key: Buffer.from(key), value: valueIn(2) ?? null, expiresMs }];
  });
}

/** The tables of one network namespace. */
export class Nftables {
  readonly #netlink: NetlinkSocket;

  constructor(namespace: string | null = null) {
    this.#netlink = new NetlinkSocket(NETLINK_NETFILTER, namespace);
  }

  /** Throws NetlinkError: nothing has changed. `index` counts the messages of the transaction. */
  commit(transaction: Transaction): void {
    if (transaction.isEmpty) return;
    const reply = this.#netlink.request(batch(transaction.messages));
    const failure = reply.failures[0];
    if (failure !== undefined) {
      throw new NetlinkError(`nftables table ${transaction.table}`, failure.errno, failure.index - 1);
    }
    if (!reply.isComplete) throw new Error(`nftables table ${transaction.table}: no acknowledgement`);
  }

  /** A number that grows with every transaction of anybody. Throws NetlinkError. */
  generation(): number {
    const request = netfilterMessage(messageType(GETGEN), 0, 0, []);
    const { messages, failures } = this.#netlink.request([request]);
    if (messages[0] === undefined)
      throw new NetlinkError('nftables generation', failures[0]?.errno ?? ENOENT);
    const id = decodeAttributes(messages[0].body.subarray(NETFILTER_HEADER_SIZE)).get(1);
    return id?.readUInt32BE(0) ?? 0;
  }

  /** Null: there is no such set, or no such table. Throws NetlinkError. */
  elements(family: number, table: string, set: string): FoundElement[] | null {
    const { messages, failures } = this.#netlink.request([
      netfilterMessage(messageType(GETSETELEM), NLM_F_DUMP, family, [
        [1, text(table)],
        [2, text(set)],
      ]),
    ]);
    const errno = failures[0]?.errno ?? 0;
    if (errno === ENOENT) return null;
    if (errno !== 0) throw new NetlinkError(`nftables set ${set}`, errno);
    return messages.flatMap(({ body }) => decodeElements(body));
  }

  /** How many rules the table has; 0 also if it is not there. Throws NetlinkError. */
  ruleCount(family: number, table: string): number {
    const request = netfilterMessage(messageType(GETRULE), NLM_F_DUMP, family, [[1, text(table)]]);
    const { messages, failures } = this.#netlink.request([request]);
    const errno = failures[0]?.errno ?? 0;
    if (errno !== 0 && errno !== ENOENT) throw new NetlinkError(`nftables table ${table}`, errno);
    return messages.length;
  }

  close(): void {
    this.#netlink.close();
  }
}

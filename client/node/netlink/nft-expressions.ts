/** The expressions that nftables' rules are made of, as attributes. Pure; each is one instruction of the kernel's machine. */
import { type Attribute, type AttributeValue, text, u32be, u64be } from './attributes.ts';

// Names and numbers are those of linux/netfilter/nf_tables.h. A register holds four bytes; a longer value takes those behind it
// too. The first of them is NFT_REG32_00.

const EXPRESSION_NAME = 1;
const EXPRESSION_DATA = 2;

/** Registers, each of four bytes. */
export const REGISTERS = { r0: 8, r1: 9, r2: 10, r3: 11, r4: 12, r5: 13, r6: 14, r7: 15, r8: 16, r9: 17 };
export type Register = number;
export const { r0: REGISTER_0 } = REGISTERS;

const VERDICT_REGISTER = 0;
const NF_ACCEPT = 1;
const NF_DROP = 0;

const DATA_VALUE = 1;
const DATA_VERDICT = 2;
const VERDICT_CODE = 1;

/** ct keys (enum nft_ct_keys) that are used here. */
export const CT_KEYS = {
  state: 0,
  mark: 3,
  protocolSource: 11,
  zone: 17,
  sourceIp: 19,
  sourceIp6: 21,
};
export const CT_DIRECTIONS = { original: 0, reply: 1 };
/** Value of ct state for a connection without an entry yet. */
export const CT_STATE_NEW = 8;

const META_L4PROTO = 16;

export type Expression = readonly Attribute[];

function expression(name: string, data: readonly Attribute[]): Expression {
  return [
    [EXPRESSION_NAME, text(name)],
    [EXPRESSION_DATA, data],
  ];
}

const value = (bytes: Uint8Array): AttributeValue => [[DATA_VALUE, bytes]];

/** Bytes of the packet into a register. */
export function payload(
  base: 'network' | 'transport',
  offset: number,
  size: number,
  into: Register,
): Expression {
  return expression('payload', [
    [1, u32be(into)],
    [2, u32be(base === 'network' ? 1 : 2)],
    [3, u32be(offset)],
    [4, u32be(size)],
  ]);
}

/** The rule goes on if the register is, or is not, `bytes`. */
export function compare(
  register: Register,
  bytes: Uint8Array,
  operator: 'equal' | 'different' = 'equal',
): Expression {
  return expression('cmp', [
    [1, u32be(register)],
    [2, u32be(operator === 'equal' ? 0 : 1)],
    [3, value(bytes)],
  ]);
}

/** register = (register & mask) ^ xor. */
export function bitwise(register: Register, mask: Uint8Array, xor: Uint8Array): Expression {
  return expression('bitwise', [
    [1, u32be(register)],
    [2, u32be(register)],
    [3, u32be(mask.length)],
    [4, value(mask)],
    [5, value(xor)],
  ]);
}

/** The rule goes on if the registers' value is, or is not, in the set. */
export function lookup(set: string, key: Register, is: 'in' | 'not in' = 'in'): Expression {
  const data: Attribute[] = [
    [1, text(set)],
    [2, u32be(key)],
  ];
  if (is === 'not in') data.push([5, u32be(1)]);
  return expression('lookup', data);
}

/** The value that the map has for the key, into registers; the rule ends if it has none. */
export function mapped(map: string, key: Register, into: Register): Expression {
  return expression('lookup', [
    [1, text(map)],
    [2, u32be(key)],
    [3, u32be(into)],
  ]);
}

/** Changes a set while packets pass. `timeoutMs`: of the element. */
export function change(
  set: string,
  operation: 'add' | 'update' | 'delete',
  key: Register,
  timeoutMs?: number,
): Expression {
  const data: Attribute[] = [
    [1, text(set)],
    [3, u32be({ add: 0, update: 1, delete: 2 }[operation])],
    [4, u32be(key)],
  ];
  if (timeoutMs !== undefined) data.push([6, u64be(timeoutMs)]);
  return expression('dynset', data);
}

export function readCt(key: number, into: Register, direction?: number): Expression {
  const data: Attribute[] = [
    [1, u32be(into)],
    [2, u32be(key)],
  ];
  // One byte, unlike everything around it.
  if (direction !== undefined) data.push([3, Buffer.of(direction)]);
  return expression('ct', data);
}

export function writeCt(key: number, from: Register, direction?: number): Expression {
  const data: Attribute[] = [[2, u32be(key)]];
  if (direction !== undefined) data.push([3, Buffer.of(direction)]);
  data.push([4, u32be(from)]);
  return expression('ct', data);
}

export function readProtocol(into: Register): Expression {
  return expression('meta', [
    [1, u32be(into)],
    [2, u32be(META_L4PROTO)],
  ]);
}

export function constant(register: Register, bytes: Uint8Array): Expression {
  return expression('immediate', [
    [1, u32be(register)],
    [2, value(bytes)],
  ]);
}

export function verdict(what: 'accept' | 'drop'): Expression {
  return expression('immediate', [
    [1, u32be(VERDICT_REGISTER)],
    [2, [[DATA_VERDICT, [[VERDICT_CODE, u32be(what === 'accept' ? NF_ACCEPT : NF_DROP)]]]]],
  ]);
}

/** The connection goes to this address and port instead. `isV6`: of the address. */
export function destinationNat(isV6: boolean, address: Register, port: Register): Expression {
  return expression('nat', [
    [1, u32be(1)],
    [2, u32be(isV6 ? 10 : 2)],
    [3, u32be(address)],
    [5, u32be(port)],
  ]);
}

/** The connection's source becomes an address of this machine. */
export const masquerade: Expression = expression('masq', []);

export const rejectWithReset: Expression = expression('reject', [[1, u32be(1)]]);

const OBJECT_CT_TIMEOUT = 7;

/** The entry of this connection gets the time-outs of the policy with this name. */
export function useTimeouts(policy: string): Expression {
  return expression('objref', [
    [1, u32be(OBJECT_CT_TIMEOUT)],
    [2, text(policy)],
  ]);
}

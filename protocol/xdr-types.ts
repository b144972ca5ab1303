/** XDR types (RFC 4506 §4) as values: each describes one type once, for the side that encodes it and the side that decodes it. */

import type { XdrReader, XdrWriter } from './xdr.ts';

// Decoders return views of the record for opaque data: valid as long as the record's buffer. A decoder reads its type and no
// further; a caller that expects the message to end there calls XdrReader.expectEnd(). Absent is null.

export interface Xdr<T> {
  readonly encode: (w: XdrWriter, value: T) => void;
  /** Throws XdrError. */
  readonly decode: (r: XdrReader) => T;
}

/** The TypeScript type of an XDR type. */
export type Value<X> = X extends Xdr<infer T> ? T : never;

// biome-ignore lint/suspicious/noExplicitAny: fields of one struct have different types.
type Fields = Readonly<Record<string, Xdr<any>>>;
export type Struct<F extends Fields> = { -readonly [Name in keyof F]: Value<F[Name]> };

/** Longest opaque whose limit is left to the reader of the message: the record's end bounds it. */
export const UNLIMITED = 0xffff_ffff;

export const u32: Xdr<number> = { encode: (w, value) => w.u32(value), decode: (r) => r.u32() };
export const bool: Xdr<boolean> = { encode: (w, value) => w.bool(value), decode: (r) => r.bool() };
/** Identifiers that use all 64 bits. */
export const u64: Xdr<bigint> = { encode: (w, value) => w.u64(value), decode: (r) => r.u64() };
/** Offsets: exact, as a number where one can hold it. */
export const offset: Xdr<number | bigint> = {
  encode: (w, value) => w.u64(value),
  decode: (r) => r.u64Exact(),
};
/** Sizes, for show: saturated at 2^53 - 1. */
export const size: Xdr<number> = { encode: (w, value) => w.u64(value), decode: (r) => r.u64Saturated() };

export const opaque = (lengthMax: number = UNLIMITED): Xdr<Uint8Array> => ({
  encode: (w, value) => w.opaque(value),
  decode: (r) => r.opaque(lengthMax),
});

export const opaqueFixed = (length: number): Xdr<Uint8Array> => ({
  encode: (w, value) => w.opaqueFixed(value),
  decode: (r) => r.opaqueFixed(length),
});

export const enumWithin = <T extends number>(name: string, first: T, last: T): Xdr<T> => ({
  encode: (w, value) => w.u32(value),
  decode: (r) => r.enumWithin(name, first, last) as T,
});

/** RFC 4506 §4.19. */
export const optional = <T>(type: Xdr<T>): Xdr<T | null> => ({
  encode: (w, value) => {
    w.bool(value !== null);
    if (value !== null) type.encode(w, value);
  },
  decode: (r) => (r.bool() ? type.decode(r) : null),
});

/** A linked list: "one more follows" before each element. The record that holds it bounds its length. */
export const list = <T>(type: Xdr<T>): Xdr<T[]> => ({
  encode: (w, values) => {
    for (const value of values) {
      w.u32(1);
      type.encode(w, value);
    }
    w.u32(0);
  },
  decode: (r) => {
    const values: T[] = [];
    while (r.bool()) values.push(type.decode(r));
    return values;
  },
});

/** A variable-length array. The count is only claimed: decoding ends with an XdrError where the record ends. */
export const array = <T>(type: Xdr<T>): Xdr<T[]> => ({
  encode: (w, values) => {
    w.u32(values.length);
    for (const value of values) type.encode(w, value);
  },
  decode: (r) => {
    const values: T[] = [];
    for (let left = r.u32(); left > 0; left--) values.push(type.decode(r));
    return values;
  },
});

/** Fields in the order in which they are written down. */
export function struct<F extends Fields>(fields: F): Xdr<Struct<F>> {
  const names = Object.keys(fields);
  const types = Object.values(fields);
  return {
    encode: (w, value) => {
      for (let i = 0; i < names.length; i++) types[i]!.encode(w, value[names[i]!]);
    },
    decode: (r) => decodeInto({}, names, types, r) as Struct<F>,
  };
}

/** A union over a status, RFC 1813 §1.4: fields of success, and those of every failure, listed in the RFC or not. */
export type Result<Status extends number, Ok extends Fields, Failed extends Fields> =
  | ({ status: 0 } & Struct<Ok>)
  | ({ status: Exclude<Status, 0> } & Struct<Failed>);

/**
 * The codec of a {@link Result}: the status, then the fields of `ok` where it is 0, else those of `failed`. A status that is not
 * in the
 * RFC decodes like any failure.
 */
export function result<Status extends number, Ok extends Fields, Failed extends Fields>(
  ok: Ok,
  failed: Failed,
): Xdr<Result<Status, Ok, Failed>> {
  const arms = [ok, failed].map((fields) => ({
    names: Object.keys(fields),
    types: Object.values(fields),
    arm: struct(fields),
  }));
  return {
    encode: (w, value) => {
      w.u32(value.status);
      arms[value.status === 0 ? 0 : 1]!.arm.encode(w, value as never);
    },
    decode: (r) => {
      const status = r.u32();
      const { names, types } = arms[status === 0 ? 0 : 1]!;
      return decodeInto({ status }, names, types, r) as Result<Status, Ok, Failed>;
    },
  };
}

function decodeInto(
  value: Record<string, unknown>,
  names: readonly string[],
  types: readonly Xdr<unknown>[],
  r: XdrReader,
): unknown {
  for (let i = 0; i < names.length; i++) value[names[i]!] = types[i]!.decode(r);
  return value;
}

/** Byte for byte: each procedure's arguments and results against the layout of RFC 1813 §3.3, in both directions. */

import { describe, expect, test } from 'vitest';
import type { WireItem } from '../testing/wire.ts';
import { ascii, wire } from '../testing/wire.ts';
import { XdrReader, XdrWriter } from '../xdr.ts';
import type { Xdr } from '../xdr-types.ts';
import type { fattr3, sattr3, wcc_data } from './attributes.ts';
import { SATTR3_NOTHING } from './attributes.ts';
import type { nfsstat3_error } from './constants.ts';
import type { Nfs3Calls, Nfs3Name } from './procedures.ts';
import { nfs3Procedures } from './procedures.ts';

const FH = ascii('volume-handle'); // 13 bytes: with padding
const FH2 = ascii('other-handle'); // 12 bytes: without
const VERF = ascii('verifier');

const ATTRIBUTES: fattr3 = {
  type: 1,
  mode: 0o644,
  nlink: 2,
  uid: 1000,
  gid: 100,
  size: 0x1_0000_0001,
  used: 4096,
  rdev: { specdata1: 8, specdata2: 1 },
  fsid: 0xfedcba9876543210n,
  fileid: 0x8000000000000001n,
  atime: { seconds: 1, nseconds: 2 },
  mtime: { seconds: 3, nseconds: 4 },
  ctime: { seconds: 5, nseconds: 999999999 },
};
/** RFC 1813 §2.6, fattr3 field by field. */
const ATTRIBUTES_WIRE = wire(
  1,
  0o644,
  2,
  1000,
  100,
  0x1_0000_0001n,
  4096n,
  8,
  1,
  0xfedcba9876543210n,
  0x8000000000000001n,
  1,
  2,
  3,
  4,
  5,
  999999999,
);
const WCC: wcc_data = {
  before: { size: 7, mtime: { seconds: 1, nseconds: 2 }, ctime: { seconds: 3, nseconds: 4 } },
  after: ATTRIBUTES,
};
const WCC_WIRE = wire(1, 7n, 1, 2, 3, 4, 1, ATTRIBUTES_WIRE);
const WCC_NONE: wcc_data = { before: null, after: null };
const WCC_NONE_WIRE = wire(0, 0);

const SATTR: sattr3 = {
  mode: 0o600,
  uid: null,
  gid: 100,
  size: 5,
  atime: { how: 1 },
  mtime: { how: 2, time: { seconds: 9, nseconds: 8 } },
};
const SATTR_WIRE = wire(1, 0o600, 0, 1, 100, 1, 5n, 1, 2, 9, 8);
const SATTR_NOTHING_WIRE = wire(0, 0, 0, 0, 0, 0);

const WHERE = { dir: FH, name: ascii('name') };
const WHERE_WIRE = wire('volume-handle', 'name');
const fail = (status: number) => status as nfsstat3_error;

interface Vector<Value> {
  name: string;
  value: Value;
  bytes: WireItem[];
}
type Vectors = {
  [Name in Nfs3Name]: {
    args: Vector<Nfs3Calls[Name]['args']>[];
    res: Vector<Nfs3Calls[Name]['res']>[];
  };
};

const createResults: Vector<Nfs3Calls['CREATE']['res']>[] = [
  {
    name: 'resok with handle and attributes',
    value: { status: 0, obj: FH2, obj_attributes: ATTRIBUTES, dir_wcc: WCC },
    bytes: [0, 1, 'other-handle', 1, ATTRIBUTES_WIRE, WCC_WIRE],
  },
  {
    name: 'resok without either',
    value: { status: 0, obj: null, obj_attributes: null, dir_wcc: WCC_NONE },
    bytes: [0, 0, 0, WCC_NONE_WIRE],
  },
  { name: 'resfail', value: { status: fail(17), dir_wcc: WCC }, bytes: [17, WCC_WIRE] },
];

const removeResults: Vector<Nfs3Calls['REMOVE']['res']>[] = [
  { name: 'resok', value: { status: 0, dir_wcc: WCC }, bytes: [0, WCC_WIRE] },
  { name: 'resfail', value: { status: fail(2), dir_wcc: WCC_NONE }, bytes: [2, WCC_NONE_WIRE] },
];

const vectors: Vectors = {
  GETATTR: {
    args: [{ name: '§3.3.1', value: { object: FH }, bytes: ['volume-handle'] }],
    res: [
      { name: 'resok', value: { status: 0, obj_attributes: ATTRIBUTES }, bytes: [0, ATTRIBUTES_WIRE] },
      { name: 'failure has only the status', value: { status: fail(70) }, bytes: [70] },
    ],
  },
  SETATTR: {
    args: [
      {
        name: '§3.3.2 with guard',
        value: { object: FH, new_attributes: SATTR, guard: { seconds: 4, nseconds: 5 } },
        bytes: ['volume-handle', SATTR_WIRE, 1, 4, 5],
      },
      {
        name: '§3.3.2 without guard, all fields left alone',
        value: { object: FH2, new_attributes: SATTR3_NOTHING, guard: null },
        bytes: ['other-handle', SATTR_NOTHING_WIRE, 0],
      },
    ],
    res: [
      { name: 'resok', value: { status: 0, obj_wcc: WCC }, bytes: [0, WCC_WIRE] },
      { name: 'resfail', value: { status: fail(10002), obj_wcc: WCC_NONE }, bytes: [10002, 0, 0] },
    ],
  },
  LOOKUP: {
    args: [{ name: '§3.3.3', value: { what: WHERE }, bytes: [WHERE_WIRE] }],
    res: [
      {
        name: 'resok',
        value: { status: 0, object: FH2, obj_attributes: ATTRIBUTES, dir_attributes: null },
        bytes: [0, 'other-handle', 1, ATTRIBUTES_WIRE, 0],
      },
      {
        name: 'resfail with the directory',
        value: { status: fail(2), dir_attributes: ATTRIBUTES },
        bytes: [2, 1, ATTRIBUTES_WIRE],
      },
    ],
  },
  ACCESS: {
    args: [{ name: '§3.3.4', value: { object: FH, access: 0x3f }, bytes: ['volume-handle', 0x3f] }],
    res: [
      {
        name: 'resok',
        value: { status: 0, obj_attributes: ATTRIBUTES, access: 0x21 },
        bytes: [0, 1, ATTRIBUTES_WIRE, 0x21],
      },
      { name: 'resfail', value: { status: fail(13), obj_attributes: null }, bytes: [13, 0] },
    ],
  },
  READLINK: {
    args: [{ name: '§3.3.5', value: { symlink: FH }, bytes: ['volume-handle'] }],
    res: [
      {
        name: 'resok',
        value: { status: 0, symlink_attributes: null, data: ascii('../target') },
        bytes: [0, 0, '../target'],
      },
      {
        name: 'resfail',
        value: { status: fail(22), symlink_attributes: ATTRIBUTES },
        bytes: [22, 1, ATTRIBUTES_WIRE],
      },
    ],
  },
  READ: {
    args: [
      {
        name: '§3.3.6',
        value: { file: FH, offset: 0x1_0000_0000, count: 4096 },
        bytes: ['volume-handle', 0x1_0000_0000n, 4096],
      },
    ],
    res: [
      {
        name: 'resok',
        value: { status: 0, file_attributes: ATTRIBUTES, count: 5, eof: true, data: ascii('hello') },
        bytes: [0, 1, ATTRIBUTES_WIRE, 5, 1, 'hello'],
      },
      { name: 'resfail', value: { status: fail(21), file_attributes: null }, bytes: [21, 0] },
    ],
  },
  WRITE: {
    args: [
      {
        name: '§3.3.7',
        value: { file: FH, offset: 3, count: 5, stable: 2, data: ascii('hello') },
        bytes: ['volume-handle', 3n, 5, 2, 'hello'],
      },
    ],
    res: [
      {
        name: 'resok',
        value: { status: 0, file_wcc: WCC, count: 5, committed: 2, verf: VERF },
        bytes: [0, WCC_WIRE, 5, 2, VERF],
      },
      { name: 'resfail', value: { status: fail(28), file_wcc: WCC }, bytes: [28, WCC_WIRE] },
    ],
  },
  CREATE: {
    args: [
      {
        name: '§3.3.8 UNCHECKED',
        value: { where: WHERE, how: { mode: 0, obj_attributes: SATTR } },
        bytes: [WHERE_WIRE, 0, SATTR_WIRE],
      },
      {
        name: '§3.3.8 GUARDED',
        value: { where: WHERE, how: { mode: 1, obj_attributes: SATTR3_NOTHING } },
        bytes: [WHERE_WIRE, 1, SATTR_NOTHING_WIRE],
      },
      {
        name: '§3.3.8 EXCLUSIVE',
        value: { where: WHERE, how: { mode: 2, verf: VERF } },
        bytes: [WHERE_WIRE, 2, VERF],
      },
    ],
    res: createResults,
  },
  MKDIR: {
    args: [{ name: '§3.3.9', value: { where: WHERE, attributes: SATTR }, bytes: [WHERE_WIRE, SATTR_WIRE] }],
    res: createResults,
  },
  SYMLINK: {
    args: [
      {
        name: '§3.3.10',
        value: { where: WHERE, symlink: { symlink_attributes: SATTR, symlink_data: ascii('to/there') } },
        bytes: [WHERE_WIRE, SATTR_WIRE, 'to/there'],
      },
    ],
    res: createResults,
  },
  MKNOD: {
    args: [
      {
        name: '§3.3.11 character device',
        value: {
          where: WHERE,
          what: { type: 4, dev_attributes: SATTR, spec: { specdata1: 5, specdata2: 1 } },
        },
        bytes: [WHERE_WIRE, 4, SATTR_WIRE, 5, 1],
      },
      {
        name: '§3.3.11 FIFO',
        value: { where: WHERE, what: { type: 7, pipe_attributes: SATTR } },
        bytes: [WHERE_WIRE, 7, SATTR_WIRE],
      },
      { name: '§3.3.11 void arm', value: { where: WHERE, what: { type: 1 } }, bytes: [WHERE_WIRE, 1] },
    ],
    res: createResults,
  },
  REMOVE: {
    args: [{ name: '§3.3.12', value: { object: WHERE }, bytes: [WHERE_WIRE] }],
    res: removeResults,
  },
  RMDIR: {
    args: [{ name: '§3.3.13', value: { object: WHERE }, bytes: [WHERE_WIRE] }],
    res: removeResults,
  },
  RENAME: {
    args: [
      {
        name: '§3.3.14',
        value: { from: WHERE, to: { dir: FH2, name: ascii('other') } },
        bytes: [WHERE_WIRE, 'other-handle', 'other'],
      },
    ],
    res: [
      {
        name: 'resok',
        value: { status: 0, fromdir_wcc: WCC, todir_wcc: WCC_NONE },
        bytes: [0, WCC_WIRE, WCC_NONE_WIRE],
      },
      {
        name: 'resfail',
        value: { status: fail(66), fromdir_wcc: WCC_NONE, todir_wcc: WCC },
        bytes: [66, WCC_NONE_WIRE, WCC_WIRE],
      },
    ],
  },
  LINK: {
    args: [{ name: '§3.3.15', value: { file: FH2, link: WHERE }, bytes: ['other-handle', WHERE_WIRE] }],
    res: [
      {
        name: 'resok',
        value: { status: 0, file_attributes: ATTRIBUTES, linkdir_wcc: WCC },
        bytes: [0, 1, ATTRIBUTES_WIRE, WCC_WIRE],
      },
      {
        name: 'resfail',
        value: { status: fail(31), file_attributes: null, linkdir_wcc: WCC_NONE },
        bytes: [31, 0, WCC_NONE_WIRE],
      },
    ],
  },
  READDIR: {
    args: [
      {
        name: '§3.3.16',
        value: { dir: FH, cookie: 2n ** 63n + 1n, cookieverf: VERF, count: 4096 },
        bytes: ['volume-handle', 2n ** 63n + 1n, VERF, 4096],
      },
    ],
    res: [
      {
        name: 'resok with two entries',
        value: {
          status: 0,
          dir_attributes: ATTRIBUTES,
          cookieverf: VERF,
          entries: [
            { fileid: 2n ** 64n - 1n, name: ascii('.'), cookie: 1n },
            { fileid: 3n, name: ascii('hello'), cookie: 2n ** 63n },
          ],
          eof: true,
        },
        bytes: [0, 1, ATTRIBUTES_WIRE, VERF, 1, 2n ** 64n - 1n, '.', 1n, 1, 3n, 'hello', 2n ** 63n, 0, 1],
      },
      { name: 'resfail', value: { status: fail(10003), dir_attributes: null }, bytes: [10003, 0] },
    ],
  },
  READDIRPLUS: {
    args: [
      {
        name: '§3.3.17',
        value: { dir: FH, cookie: 0n, cookieverf: VERF, dircount: 1000, maxcount: 32768 },
        bytes: ['volume-handle', 0n, VERF, 1000, 32768],
      },
    ],
    res: [
      {
        name: 'resok with a full and a bare entry',
        value: {
          status: 0,
          dir_attributes: null,
          cookieverf: VERF,
          entries: [
            { fileid: 3n, name: ascii('a'), cookie: 1n, name_attributes: ATTRIBUTES, name_handle: FH2 },
            { fileid: 4n, name: ascii('b'), cookie: 2n, name_attributes: null, name_handle: null },
          ],
          eof: false,
        },
        bytes: [
          0,
          0,
          VERF,
          1,
          3n,
          'a',
          1n,
          1,
          ATTRIBUTES_WIRE,
          1,
          'other-handle',
          1,
          4n,
          'b',
          2n,
          0,
          0,
          0,
          0,
        ],
      },
      {
        name: 'resfail',
        value: { status: fail(10005), dir_attributes: ATTRIBUTES },
        bytes: [10005, 1, ATTRIBUTES_WIRE],
      },
    ],
  },
  FSSTAT: {
    args: [{ name: '§3.3.18', value: { fsroot: FH }, bytes: ['volume-handle'] }],
    res: [
      {
        name: 'resok',
        value: {
          status: 0,
          obj_attributes: null,
          tbytes: 2 ** 40,
          fbytes: 2 ** 39,
          abytes: 2 ** 38,
          tfiles: 1000,
          ffiles: 900,
          afiles: 800,
          invarsec: 7,
        },
        bytes: [0, 0, 2n ** 40n, 2n ** 39n, 2n ** 38n, 1000n, 900n, 800n, 7],
      },
      { name: 'resfail', value: { status: fail(5), obj_attributes: null }, bytes: [5, 0] },
    ],
  },
  FSINFO: {
    args: [{ name: '§3.3.19', value: { fsroot: FH }, bytes: ['volume-handle'] }],
    res: [
      {
        name: 'resok',
        value: {
          status: 0,
          obj_attributes: ATTRIBUTES,
          rtmax: 1,
          rtpref: 2,
          rtmult: 3,
          wtmax: 4,
          wtpref: 5,
          wtmult: 6,
          dtpref: 7,
          maxfilesize: 2 ** 44,
          time_delta: { seconds: 0, nseconds: 1 },
          properties: 0x1b,
        },
        bytes: [0, 1, ATTRIBUTES_WIRE, 1, 2, 3, 4, 5, 6, 7, 2n ** 44n, 0, 1, 0x1b],
      },
      { name: 'resfail', value: { status: fail(10001), obj_attributes: null }, bytes: [10001, 0] },
    ],
  },
  PATHCONF: {
    args: [{ name: '§3.3.20', value: { object: FH }, bytes: ['volume-handle'] }],
    res: [
      {
        name: 'resok',
        value: {
          status: 0,
          obj_attributes: null,
          linkmax: 65000,
          name_max: 255,
          no_trunc: true,
          chown_restricted: true,
          case_insensitive: false,
          case_preserving: true,
        },
        bytes: [0, 0, 65000, 255, 1, 1, 0, 1],
      },
      { name: 'resfail', value: { status: fail(70), obj_attributes: null }, bytes: [70, 0] },
    ],
  },
  COMMIT: {
    args: [{ name: '§3.3.21', value: { file: FH, offset: 0, count: 0 }, bytes: ['volume-handle', 0n, 0] }],
    res: [
      { name: 'resok', value: { status: 0, file_wcc: WCC, verf: VERF }, bytes: [0, WCC_WIRE, VERF] },
      { name: 'resfail', value: { status: fail(5), file_wcc: WCC_NONE }, bytes: [5, WCC_NONE_WIRE] },
    ],
  },
};

function checkVector<Value>(vector: Vector<Value>, type: Xdr<Value>): void {
  const expected = wire(...vector.bytes);
  const w = new XdrWriter(0);
  w.bytes.fill(0xee);
  type.encode(w, vector.value);
  expect(new Uint8Array(w.written())).toEqual(expected);
  const r = new XdrReader(expected);
  expect(type.decode(r)).toEqual(vector.value);
  r.expectEnd();
}

describe.each(Object.keys(vectors) as Nfs3Name[])('%s', (name) => {
  // One procedure's types cannot be told apart in a loop over all: the table above was checked by its type.
  const procedure = nfs3Procedures[name] as (typeof nfs3Procedures)['GETATTR'];
  const { args, res } = vectors[name] as Vectors['GETATTR'];
  test.each(args)('arguments: $name', (vector) => {
    checkVector(vector, procedure.args);
  });
  test.each(res)('results: $name', (vector) => {
    checkVector(vector, procedure.res);
  });
});

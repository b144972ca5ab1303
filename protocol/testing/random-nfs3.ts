/** Random but well-formed arguments and results of every NFSv3 procedure, for round trips and mutation tests. */

import type { SeededRandom } from '../../testing/seeded-random.ts';
import type * as nfs3 from '../nfs3.ts';

type Generators = {
  [Name in nfs3.Nfs3Name]: {
    args(random: SeededRandom): nfs3.Nfs3Calls[Name]['args'];
    res(random: SeededRandom): nfs3.Nfs3Calls[Name]['res'];
  };
};

const STATUSES = [1, 2, 5, 13, 17, 20, 21, 28, 63, 66, 70, 10001, 10008] as nfs3.nfsstat3_error[];

const wide = (random: SeededRandom): bigint => (BigInt(random.word()) << 32n) | BigInt(random.word());
const size = (random: SeededRandom): number => random.below(0x20_0000) * 0x1_0000_0000 + random.word();
const handle = (random: SeededRandom): Uint8Array => random.bytes(random.below(65));
const name = (random: SeededRandom): Uint8Array => random.bytes(random.below(40));
const verifier = (random: SeededRandom): Uint8Array => random.bytes(8);
const time = (random: SeededRandom): nfs3.nfstime3 => ({
  seconds: random.word(),
  nseconds: random.below(1e9),
});
const failure = (random: SeededRandom): nfs3.nfsstat3_error => random.pick(STATUSES);
const flag = (random: SeededRandom): boolean => random.chance(1 / 2);
const optional = <T>(random: SeededRandom, make: (random: SeededRandom) => T): T | null =>
  random.chance(1 / 2) ? make(random) : null;
const list = <T>(random: SeededRandom, make: (random: SeededRandom) => T): T[] =>
  Array.from({ length: random.below(6) }, () => make(random));
const device = (random: SeededRandom): nfs3.specdata3 => ({
  specdata1: random.word(),
  specdata2: random.word(),
});

function fattr3(random: SeededRandom): nfs3.fattr3 {
  return {
    type: (1 + random.below(7)) as nfs3.ftype3,
    mode: random.below(0o10000),
    nlink: random.word(),
    uid: random.word(),
    gid: random.word(),
    size: size(random),
    used: size(random),
    rdev: device(random),
    fsid: wide(random),
    fileid: wide(random),
    atime: time(random),
    mtime: time(random),
    ctime: time(random),
  };
}

function wcc(random: SeededRandom): nfs3.wcc_data {
  const before = optional(random, () => ({ size: size(random), mtime: time(random), ctime: time(random) }));
  return { before, after: optional(random, fattr3) };
}

function setTime(random: SeededRandom): nfs3.set_time {
  const how = random.below(3);
  return how === 2 ? { how, time: time(random) } : { how: how as 0 | 1 };
}

function sattr3(random: SeededRandom): nfs3.sattr3 {
  return {
    mode: optional(random, (r) => r.word()),
    uid: optional(random, (r) => r.word()),
    gid: optional(random, (r) => r.word()),
    size: optional(random, size),
    atime: setTime(random),
    mtime: setTime(random),
  };
}

function where(random: SeededRandom): nfs3.diropargs3 {
  return { dir: handle(random), name: name(random) };
}

function createhow3(random: SeededRandom): nfs3.createhow3 {
  const mode = random.below(3);
  if (mode === 2) return { mode, verf: verifier(random) };
  return { mode: mode as 0 | 1, obj_attributes: sattr3(random) };
}

function mknoddata3(random: SeededRandom): nfs3.mknoddata3 {
  const type = (1 + random.below(7)) as nfs3.ftype3;
  if (type === 3 || type === 4) return { type, dev_attributes: sattr3(random), spec: device(random) };
  if (type === 6 || type === 7) return { type, pipe_attributes: sattr3(random) };
  return { type };
}

function entry3(random: SeededRandom): nfs3.entry3 {
  return { fileid: wide(random), name: name(random), cookie: wide(random) };
}

function entryplus3(random: SeededRandom): nfs3.entryplus3 {
  return {
    ...entry3(random),
    name_attributes: optional(random, fattr3),
    name_handle: optional(random, handle),
  };
}

function created(random: SeededRandom): nfs3.Nfs3Calls['CREATE']['res'] {
  if (flag(random)) return { status: failure(random), dir_wcc: wcc(random) };
  const obj = optional(random, handle);
  return { status: 0, obj, obj_attributes: optional(random, fattr3), dir_wcc: wcc(random) };
}

function removed(random: SeededRandom): nfs3.Nfs3Calls['REMOVE']['res'] {
  return { status: flag(random) ? 0 : failure(random), dir_wcc: wcc(random) };
}

export const randomNfs3: Generators = {
  GETATTR: {
    args: (r) => ({ object: handle(r) }),
    res: (r) => (flag(r) ? { status: 0, obj_attributes: fattr3(r) } : { status: failure(r) }),
  },
  SETATTR: {
    args: (r) => ({ object: handle(r), new_attributes: sattr3(r), guard: optional(r, time) }),
    res: (r) => ({ status: flag(r) ? 0 : failure(r), obj_wcc: wcc(r) }),
  },
  LOOKUP: {
    args: (r) => ({ what: where(r) }),
    res: (r) => {
      const dir_attributes = optional(r, fattr3);
      if (flag(r)) return { status: failure(r), dir_attributes };
      return { status: 0, object: handle(r), obj_attributes: optional(r, fattr3), dir_attributes };
    },
  },
  ACCESS: {
    args: (r) => ({ object: handle(r), access: r.word() }),
    res: (r) => {
      const obj_attributes = optional(r, fattr3);
      return flag(r)
        ? { status: failure(r), obj_attributes }
        : { status: 0, obj_attributes, access: r.word() };
    },
  },
  READLINK: {
    args: (r) => ({ symlink: handle(r) }),
    res: (r) => {
      const symlink_attributes = optional(r, fattr3);
      return flag(r)
        ? { status: failure(r), symlink_attributes }
        : { status: 0, symlink_attributes, data: name(r) };
    },
  },
  READ: {
    args: (r) => ({ file: handle(r), offset: size(r), count: r.word() }),
    res: (r) => {
      const file_attributes = optional(r, fattr3);
      if (flag(r)) return { status: failure(r), file_attributes };
      return { status: 0, file_attributes, count: r.word(), eof: flag(r), data: r.bytes(r.below(300)) };
    },
  },
  WRITE: {
    args: (r) => ({
      file: handle(r),
      offset: size(r),
      count: r.word(),
      stable: r.below(3) as nfs3.stable_how,
      data: r.bytes(r.below(300)),
    }),
    res: (r) => {
      const file_wcc = wcc(r);
      if (flag(r)) return { status: failure(r), file_wcc };
      const committed = r.below(3) as nfs3.stable_how;
      return { status: 0, file_wcc, count: r.word(), committed, verf: verifier(r) };
    },
  },
  CREATE: { args: (r) => ({ where: where(r), how: createhow3(r) }), res: created },
  MKDIR: { args: (r) => ({ where: where(r), attributes: sattr3(r) }), res: created },
  SYMLINK: {
    args: (r) => ({
      where: where(r),
      symlink: { symlink_attributes: sattr3(r), symlink_data: name(r) },
    }),
    res: created,
  },
  MKNOD: { args: (r) => ({ where: where(r), what: mknoddata3(r) }), res: created },
  REMOVE: { args: (r) => ({ object: where(r) }), res: removed },
  RMDIR: { args: (r) => ({ object: where(r) }), res: removed },
  RENAME: {
    args: (r) => ({ from: where(r), to: where(r) }),
    res: (r) => ({ status: flag(r) ? 0 : failure(r), fromdir_wcc: wcc(r), todir_wcc: wcc(r) }),
  },
  LINK: {
    args: (r) => ({ file: handle(r), link: where(r) }),
    res: (r) => ({
      status: flag(r) ? 0 : failure(r),
      file_attributes: optional(r, fattr3),
      linkdir_wcc: wcc(r),
    }),
  },
  READDIR: {
    args: (r) => ({ dir: handle(r), cookie: wide(r), cookieverf: verifier(r), count: r.word() }),
    res: (r) => {
      const dir_attributes = optional(r, fattr3);
      if (flag(r)) return { status: failure(r), dir_attributes };
      return { status: 0, dir_attributes, cookieverf: verifier(r), entries: list(r, entry3), eof: flag(r) };
    },
  },
  READDIRPLUS: {
    args: (r) => ({
      dir: handle(r),
      cookie: wide(r),
      cookieverf: verifier(r),
      dircount: r.word(),
      maxcount: r.word(),
    }),
    res: (r) => {
      const dir_attributes = optional(r, fattr3);
      if (flag(r)) return { status: failure(r), dir_attributes };
      return {
        status: 0,
        dir_attributes,
        cookieverf: verifier(r),
        entries: list(r, entryplus3),
        eof: flag(r),
      };
    },
  },
  FSSTAT: {
    args: (r) => ({ fsroot: handle(r) }),
    res: (r) => {
      const obj_attributes = optional(r, fattr3);
      if (flag(r)) return { status: failure(r), obj_attributes };
      const bytes = { tbytes: size(r), fbytes: size(r), abytes: size(r) };
      const files = { tfiles: size(r), ffiles: size(r), afiles: size(r) };
      return { status: 0, obj_attributes, ...bytes, ...files, invarsec: r.word() };
    },
  },
  FSINFO: {
    args: (r) => ({ fsroot: handle(r) }),
    res: (r) => {
      const obj_attributes = optional(r, fattr3);
      if (flag(r)) return { status: failure(r), obj_attributes };
      return {
        status: 0,
        obj_attributes,
        rtmax: r.word(),
        rtpref: r.word(),
        rtmult: r.word(),
        wtmax: r.word(),
        wtpref: r.word(),
        wtmult: r.word(),
        dtpref: r.word(),
        maxfilesize: size(r),
        time_delta: time(r),
        properties: r.word(),
      };
    },
  },
  PATHCONF: {
    args: (r) => ({ object: handle(r) }),
    res: (r) => {
      const obj_attributes = optional(r, fattr3);
      if (flag(r)) return { status: failure(r), obj_attributes };
      return {
        status: 0,
        obj_attributes,
        linkmax: r.word(),
        name_max: r.word(),
        no_trunc: flag(r),
        chown_restricted: flag(r),
        case_insensitive: flag(r),
        case_preserving: flag(r),
      };
    },
  },
  COMMIT: {
    args: (r) => ({ file: handle(r), offset: size(r), count: r.word() }),
    res: (r) => {
      const file_wcc = wcc(r);
      return flag(r) ? { status: failure(r), file_wcc } : { status: 0, file_wcc, verf: verifier(r) };
    },
  },
};

/** What an NFS client and the kernel do for one operation, each on its own tree: one method for each kind of operation. */
import { constants } from 'node:os';
import * as nfs from '../../protocol/nfs3.ts';
import type { SeededRandom } from '../../testing/seeded-random.ts';
import * as calls from '../system/file-calls.ts';
import { OPEN } from '../system/open-gate.fixture.ts';
import * as statx from '../system/statx.ts';
import { accessOf, R_OK, W_OK, X_OK } from '../system/thread-identity.ts';
import {
  as,
  changeModeLocal,
  localAttributes,
  namesIn,
  readLocal,
  type Twin,
  truncateLocal,
  type User,
  writeLocal,
} from './kernel-oracle.fixture.ts';
import type { RpcClient } from './rpc-client.fixture.ts';

const { errno: E } = constants;
const { nfsstat3 } = nfs;

/** What both sides say that is not a status or an attribute: names of a listing, bytes of a file. */
export type Content = string | null;

export interface Answer {
  readonly status: number;
  readonly wcc: readonly (nfs.wcc_data | null)[];
  readonly content: Content;
}

export type SettableTime = 'atime' | 'mtime';

export interface Plan {
  readonly what: string;
  /** Whose handles the call carries; `wcc` of the answer is theirs, in this order. */
  readonly about: readonly Twin[];
  readonly remote: () => Promise<Answer>;
  readonly local: () => { readonly result: number; readonly content?: Content };
  /** Where an object may have been made: it is compared, and remembered. */
  readonly made?: { readonly dir: Twin; readonly name: Uint8Array };
  /** Times that the call sets to a value of the client's: if it succeeds, both sides have that value. */
  readonly exactTimes?: readonly SettableTime[];
  readonly hasLongName?: boolean;
  /** Where two things may be wrong at once, and this is what the kernel finds second. */
  readonly or?: number;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

export const NAMES: readonly Uint8Array[] = [
  ...['a', 'b', 'c', 'd', 'e', 'f', ' ', '\n', 'Grüße', '.hidden', 'n'.repeat(255)].map(bytes),
  new Uint8Array([0xff, 0xfe, 0x80]),
  bytes('t'.repeat(256)),
];
const MODES = [0o777, 0o755, 0o700, 0o644, 0o600, 0o000, 0o1777, 0o2775, 0o4755, 0o6711, 0o2770, 0o444];
/** Made with random numbers of a seed. */
export class TwinOperations {
  readonly #client: RpcClient;
  readonly #random: SeededRandom;
  readonly #users: readonly User[];
  /** For a RENAME's other directory. */
  readonly #anyDirectory: () => Twin;

  constructor(client: RpcClient, random: SeededRandom, users: readonly User[], anyDirectory: () => Twin) {
    this.#client = client;
    this.#random = random;
    this.#users = users;
    this.#anyDirectory = anyDirectory;
  }

  #label(who: User, what: string, detail: unknown): string {
    const { uid, gid, groups } = who.identity;
    return `${what} as ${uid}:${gid}[${groups.join()}] ${JSON.stringify(detail)}`;
  }

  readonly #nameOf = (name: Uint8Array): string => Buffer.from(name).toString('latin1').slice(0, 12);

  create(who: User, dir: Twin, name: Uint8Array): Plan {
    const random = this.#random;
    const mode = random.pick(MODES);
    const checked = random.chance(1 / 2);
    const cut = random.chance(1 / 2) ? 0 : null;
    const obj_attributes = { ...nfs.SATTR3_NOTHING, mode, size: cut };
    const how = { mode: checked ? nfs.GUARDED : nfs.UNCHECKED, obj_attributes };
    return {
      what: this.#label(who, checked ? 'CREATE' : 'CREATE-UNCHECKED', {
        name: this.#nameOf(name),
        mode,
        cut,
      }),
      about: [dir],
      remote: () => this.#changed('CREATE', { where: { dir: dir.handle, name }, how }, who),
      local: () => ({ result: this.#createLocal(who, dir, name, mode, checked, cut) }),
      made: { dir, name },
    };
  }

  #createLocal(
    who: User,
    dir: Twin,
    name: Uint8Array,
    mode: number,
    checked: boolean,
    cut: number | null,
  ): number {
    const flags = calls.O_EXCL | calls.O_RDWR | calls.O_NOFOLLOW;
    const fd = as(who.identity, () => calls.createAt(OPEN, dir.fd, name, flags, mode));
    if (fd >= 0) calls.close(fd);
    if (fd !== -E.EEXIST || checked) return fd;
    const pathFd = as(who.identity, () => calls.openAt(dir.fd, name, calls.O_PATH | calls.O_NOFOLLOW));
    if (pathFd < 0) return pathFd;
    // RFC 1813 §3.3.8: an existing regular file is taken, and of its attributes only the size counts.
    const isFile = localAttributes(pathFd).type === nfs.NF3REG;
    const result = !isFile ? -E.EEXIST : cut === null ? 0 : truncateLocal(who, pathFd, cut);
    calls.close(pathFd);
    return result;
  }

  mkdir(who: User, dir: Twin, name: Uint8Array): Plan {
    const mode = this.#random.pick(MODES);
    const attributes = { ...nfs.SATTR3_NOTHING, mode };
    return {
      what: this.#label(who, 'MKDIR', { name: this.#nameOf(name), mode }),
      about: [dir],
      remote: () => this.#changed('MKDIR', { where: { dir: dir.handle, name }, attributes }, who),
      local: () => ({ result: as(who.identity, () => calls.makeDirectoryAt(OPEN, dir.fd, name, mode)) }),
      made: { dir, name },
    };
  }

  symlink(who: User, dir: Twin, name: Uint8Array): Plan {
    const random = this.#random;
    const target = random.chance(1 / 3)
      ? bytes('../'.repeat(1 + random.below(300)))
      : random.bytes(1 + random.below(60));
    for (let i = 0; i < target.length; i++) target[i] ||= 1;
    const symlink = { symlink_attributes: nfs.SATTR3_NOTHING, symlink_data: target };
    return {
      what: this.#label(who, 'SYMLINK', { name: this.#nameOf(name), size: target.length }),
      about: [dir],
      remote: () => this.#changed('SYMLINK', { where: { dir: dir.handle, name }, symlink }, who),
      local: () => ({ result: as(who.identity, () => calls.makeSymbolicLinkAt(OPEN, target, dir.fd, name)) }),
      made: { dir, name },
    };
  }

  mknod(who: User, dir: Twin, name: Uint8Array): Plan {
    const random = this.#random;
    const mode = random.pick(MODES);
    const [major, minor] = [random.below(4096), random.below(1 << 20)];
    const sattr = { ...nfs.SATTR3_NOTHING, mode };
    const spec = { specdata1: major, specdata2: minor };
    const kinds: [number, nfs.mknoddata3][] = [
      [statx.S_IFIFO, { type: nfs.NF3FIFO, pipe_attributes: sattr }],
      [statx.S_IFSOCK, { type: nfs.NF3SOCK, pipe_attributes: sattr }],
      [statx.S_IFCHR, { type: nfs.NF3CHR, dev_attributes: sattr, spec }],
      [statx.S_IFBLK, { type: nfs.NF3BLK, dev_attributes: sattr, spec }],
    ];
    const [type, what] = random.pick(kinds);
    return {
      what: this.#label(who, 'MKNOD', { name: this.#nameOf(name), type, mode }),
      about: [dir],
      remote: () => this.#changed('MKNOD', { where: { dir: dir.handle, name }, what }, who),
      local: () => ({
        result: as(who.identity, () => calls.makeNodeAt(OPEN, dir.fd, name, type | mode, major, minor)),
      }),
      made: { dir, name },
    };
  }

  remove(who: User, dir: Twin, name: Uint8Array): Plan {
    return {
      what: this.#label(who, 'REMOVE', this.#nameOf(name)),
      about: [dir],
      remote: () => this.#changed('REMOVE', { object: { dir: dir.handle, name } }, who),
      local: () => ({ result: as(who.identity, () => calls.unlinkAt(OPEN, dir.fd, name, 0)) }),
    };
  }

  rmdir(who: User, dir: Twin, name: Uint8Array): Plan {
    return {
      what: this.#label(who, 'RMDIR', this.#nameOf(name)),
      about: [dir],
      remote: () => this.#changed('RMDIR', { object: { dir: dir.handle, name } }, who),
      local: () => {
        const result = as(who.identity, () => calls.unlinkAt(OPEN, dir.fd, name, calls.AT_REMOVEDIR));
        return { result: result === -E.EEXIST ? -E.ENOTEMPTY : result };
      },
    };
  }

  rename(who: User, dir: Twin, name: Uint8Array): Plan {
    const random = this.#random;
    const to = random.chance(1 / 2) ? dir : this.#anyDirectory();
    const toName = random.pick(NAMES);
    const args = { from: { dir: dir.handle, name }, to: { dir: to.handle, name: toName } };
    return {
      what: this.#label(who, 'RENAME', {
        name: this.#nameOf(name),
        same: to === dir,
        toName: this.#nameOf(toName),
      }),
      about: [dir, to],
      remote: async () => {
        const res = await this.#client.call('RENAME', args, who);
        return { status: res.status, wcc: [res.fromdir_wcc, res.todir_wcc], content: null };
      },
      local: () => ({ result: as(who.identity, () => calls.renameAt(OPEN, dir.fd, name, to.fd, toName)) }),
      made: { dir: to, name: toName },
      hasLongName: name.length > 255 || toName.length > 255,
      // There is no such name, and the other directory is closed to the user.
      or: nfsstat3.NFS3ERR_NOENT,
    };
  }

  link(who: User, file: Twin, dir: Twin, name: Uint8Array): Plan {
    const args = { file: file.handle, link: { dir: dir.handle, name } };
    return {
      what: this.#label(who, 'LINK', this.#nameOf(name)),
      about: [file, dir],
      remote: async () => {
        const res = await this.#client.call('LINK', args, who);
        return { status: res.status, wcc: [null, res.linkdir_wcc], content: null };
      },
      local: () => ({ result: as(who.identity, () => calls.linkFrom(OPEN, file.fd, dir.fd, name)) }),
      made: { dir, name },
    };
  }

  #setattr(who: User, object: Twin, what: string, given: Partial<nfs.sattr3>, local: () => number): Plan {
    const new_attributes = { ...nfs.SATTR3_NOTHING, ...given };
    return {
      what: this.#label(who, what, given),
      about: [object],
      remote: async () => {
        const res = await this.#client.call(
          'SETATTR',
          { object: object.handle, new_attributes, guard: null },
          who,
        );
        return { status: res.status, wcc: [res.obj_wcc], content: null };
      },
      local: () => ({ result: local() }),
    };
  }

  setMode(who: User, object: Twin): Plan {
    const mode = this.#random.pick(MODES);
    return this.#setattr(who, object, 'SETATTR-MODE', { mode }, () => changeModeLocal(who, object.fd, mode));
  }

  setOwner(who: User, object: Twin): Plan {
    const random = this.#random;
    const ids = [
      ...new Set(this.#users.flatMap(({ identity: { uid, gid, groups } }) => [uid, gid, ...groups])),
    ];
    const uid = random.chance(1 / 2) ? random.pick(ids) : null;
    const gid = uid === null || random.chance(1 / 2) ? random.pick(ids) : null;
    const change = (): number =>
      calls.changeOwner(OPEN, object.fd, uid ?? calls.ID_UNCHANGED, gid ?? calls.ID_UNCHANGED);
    return this.#setattr(who, object, 'SETATTR-OWNER', { uid, gid }, () => as(who.identity, change));
  }

  setSize(who: User, object: Twin): Plan {
    const size = this.#random.pick([0, 1, 4095, 4096, 100_000, 2 ** 33, 2 ** 43, 2 ** 50]);
    return this.#setattr(who, object, 'SETATTR-SIZE', { size }, () => {
      const { type } = localAttributes(object.fd);
      if (type === nfs.NF3DIR) return -E.EISDIR;
      if (type !== nfs.NF3REG) return -E.EINVAL;
      return truncateLocal(who, object.fd, size);
    });
  }

  setTimes(who: User, object: Twin): Plan {
    const random = this.#random;
    const choose = (): nfs.set_time => {
      const how = random.below(3);
      // The years 1970 to 2038, which every file system has.
      const time = { seconds: random.below(0x7fffffff), nseconds: random.below(1e9) };
      return how === nfs.SET_TO_CLIENT_TIME ? { how, time } : ({ how } as nfs.set_time);
    };
    const [atime, mtime] = [choose(), choose()];
    const seconds = (set: nfs.set_time): number =>
      set.how === nfs.SET_TO_CLIENT_TIME ? set.time.seconds : 0;
    const nano = (set: nfs.set_time): number => {
      if (set.how === nfs.SET_TO_CLIENT_TIME) return set.time.nseconds;
      return set.how === nfs.DONT_CHANGE ? calls.UTIME_OMIT : calls.UTIME_NOW;
    };
    const change = (): number =>
      atime.how === nfs.DONT_CHANGE && mtime.how === nfs.DONT_CHANGE
        ? 0
        : calls.changeTimes(OPEN, object.fd, seconds(atime), nano(atime), seconds(mtime), nano(mtime));
    const plan = this.#setattr(who, object, 'SETATTR-TIMES', { atime, mtime }, () =>
      as(who.identity, change),
    );
    const given = { atime, mtime };
    const exactTimes = (['atime', 'mtime'] as const).filter(
      (name) => given[name].how === nfs.SET_TO_CLIENT_TIME,
    );
    return { ...plan, exactTimes };
  }

  write(who: User, object: Twin): Plan {
    const random = this.#random;
    const offset = random.pick([0, 1, 4096, 65_537, 2 ** 33, 2 ** 42, 2 ** 52]);
    const data = random.bytes(1 + random.below(9000));
    const stable = random.below(3) as nfs.stable_how;
    const args = { file: object.handle, offset, count: data.length, stable, data };
    return {
      what: this.#label(who, 'WRITE', { offset, size: data.length, stable }),
      about: [object],
      remote: async () => {
        const res = await this.#client.call('WRITE', args, who);
        const content = res.status === nfs.NFS3_OK ? String(res.count) : null;
        return { status: res.status, wcc: [res.file_wcc], content };
      },
      local: () => {
        const result = writeLocal(who, object.fd, data, offset);
        return { result, content: String(result) };
      },
    };
  }

  read(who: User, object: Twin): Plan {
    const random = this.#random;
    const offset = random.pick([0, 1, 4096, 65_536, 2 ** 33]);
    const count = 1 + random.below(70_000);
    return {
      what: this.#label(who, 'READ', { offset, count }),
      about: [object],
      remote: async () => {
        const res = await this.#client.call('READ', { file: object.handle, offset, count }, who);
        const content = res.status === nfs.NFS3_OK ? Buffer.from(res.data).toString('base64') : null;
        return { status: res.status, wcc: [null], content };
      },
      local: () => readLocal(who, object.fd, offset, count),
      hasLongName: false,
      or: nfsstat3.NFS3ERR_ACCES,
    };
  }

  lookup(who: User, dir: Twin, name: Uint8Array): Plan {
    return {
      what: this.#label(who, 'LOOKUP', this.#nameOf(name)),
      about: [dir],
      remote: async () => {
        const { status } = await this.#client.call('LOOKUP', { what: { dir: dir.handle, name } }, who);
        return { status, wcc: [null], content: null };
      },
      local: () => {
        const fd = as(who.identity, () => calls.openAt(dir.fd, name, calls.O_PATH | calls.O_NOFOLLOW));
        if (fd >= 0) calls.close(fd);
        return { result: fd };
      },
    };
  }

  access(who: User, object: Twin): Plan {
    const access = 0x3f;
    return {
      what: this.#label(who, 'ACCESS', ''),
      about: [object],
      remote: async () => {
        const res = await this.#client.call('ACCESS', { object: object.handle, access }, who);
        return {
          status: res.status,
          wcc: [null],
          content: res.status === nfs.NFS3_OK ? String(res.access) : null,
        };
      },
      local: () => {
        const isDir = localAttributes(object.fd).type === nfs.NF3DIR;
        const may = (wanted: number): boolean => as(who.identity, () => accessOf(object.fd, wanted) === 0);
        const change = nfs.ACCESS3_MODIFY | nfs.ACCESS3_EXTEND | (isDir ? nfs.ACCESS3_DELETE : 0);
        let granted = may(R_OK) ? nfs.ACCESS3_READ : 0;
        if (may(W_OK)) granted |= change;
        if (may(X_OK)) granted |= isDir ? nfs.ACCESS3_LOOKUP : nfs.ACCESS3_EXECUTE;
        return { result: 0, content: String(granted) };
      },
    };
  }

  list(who: User, dir: Twin): Plan {
    return {
      what: this.#label(who, 'READDIR', ''),
      about: [dir],
      remote: async () => {
        const names: string[] = [];
        let cookie = 0n;
        let cookieverf: Uint8Array = new Uint8Array(8);
        for (;;) {
          const args = { dir: dir.handle, cookie, cookieverf, dircount: 600, maxcount: 2000 };
          const res = await this.#client.call('READDIRPLUS', args, who);
          if (res.status !== nfs.NFS3_OK) return { status: res.status, wcc: [null], content: null };
          for (const entry of res.entries) names.push(Buffer.from(entry.name).toString('latin1'));
          if (res.eof) break;
          cookie = res.entries.at(-1)!.cookie;
          cookieverf = res.cookieverf.slice();
        }
        return { status: nfs.NFS3_OK, wcc: [null], content: names.sort().join('/') };
      },
      local: () => {
        const fd = as(who.identity, () => calls.reopen(dir.fd, calls.O_RDONLY | calls.O_DIRECTORY));
        if (fd < 0) return { result: fd };
        const names = namesIn(fd);
        calls.close(fd);
        return { result: 0, content: names.sort().join('/') };
      },
    };
  }

  readlink(object: Twin): Plan {
    return {
      what: this.#label(this.#users[0]!, 'READLINK', ''),
      about: [object],
      remote: async () => {
        const res = await this.#client.call('READLINK', { symlink: object.handle });
        const content = res.status === nfs.NFS3_OK ? Buffer.from(res.data).toString('latin1') : null;
        return { status: res.status, wcc: [null], content };
      },
      local: () => {
        // The kernel says ENOENT of a descriptor that is no symbolic link, RFC 1813 §3.3.5 NFS3ERR_INVAL.
        if (localAttributes(object.fd).type !== nfs.NF3LNK) return { result: -E.EINVAL };
        const target = calls.readLink(object.fd);
        if (typeof target === 'number') return { result: target };
        return { result: 0, content: Buffer.from(target).toString('latin1') };
      },
    };
  }

  /** CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR: their results have one shape. */
  async #changed<Name extends 'CREATE' | 'MKDIR' | 'SYMLINK' | 'MKNOD' | 'REMOVE' | 'RMDIR'>(
    name: Name,
    args: nfs.Nfs3Calls[Name]['args'],
    who: User,
  ): Promise<Answer> {
    const res = await this.#client.call(name, args, who);
    return { status: res.status, wcc: [res.dir_wcc], content: null };
  }
}

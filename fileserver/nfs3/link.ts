/**
 * LINK, RFC 1813 §3.3.15.
 *
 * Evidence: the name was absent. If it stands for the file after a crash, this operation made it.
 */

import { constants } from 'node:os';
import { NFS3_OK, type Nfs3Calls, nfs3Procedures } from '../../protocol/nfs3.ts';
import { XdrReader } from '../../protocol/xdr.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { isDot, isDotDot } from '../storage/names/names.ts';
import { linkFrom } from '../system/file-calls.ts';
import { S_IFDIR, S_IFREG, StatBuffer } from '../system/statx.ts';
import { become } from '../system/thread-identity.ts';
import { BeforeAttributes, encodePostOp } from './attributes.ts';
import type { UserOf } from './call.ts';
import { forgetDirectoryAttributes } from './directory-attributes.ts';
import { nfsstat3Of } from './nfs-status.ts';
import { Operation, type OperationRequest, out } from './operation.ts';

const before = new BeforeAttributes();
const dirStat = new StatBuffer();
const { ENOENT } = constants.errno;

export class Link extends Operation {
  readonly operation = 'LINK';
  readonly #args: Nfs3Calls['LINK']['args'];
  #file: OpenFile | null = null;
  #dir: OpenFile | null = null;

  constructor(request: OperationRequest) {
    super(request);
    const r = new XdrReader(request.args);
    this.#args = nfs3Procedures.LINK.args.decode(r);
    r.expectEnd();
  }

  protected bindFiles(userOf: UserOf): VolumeFailure | null {
    this.#file = null;
    this.#dir = null;
    const file = this.bindFile(this.#args.file, userOf);
    if (typeof file === 'string') return file;
    const dir = this.bindFile(this.#args.link.dir, userOf);
    if (typeof dir === 'string') return dir;
    this.#file = file;
    this.#dir = dir;
    return null;
  }

  override get grows(): boolean {
    return true;
  }

  conflictKeys(): readonly string[] {
    return [this.nameKey(this.#dir!, this.#args.link.name), this.#file!.key];
  }

  protected directories(): readonly string[] {
    return [this.#dir!.key];
  }

  examine(): boolean {
    const found = this.#look();
    if (found === null) return true;
    return this.refuseExamined(found === 'same' ? 'exists' : found);
  }

  /** null: the name is free. same: it stands for this very file. Leaves `before` filled. */
  #look(): VolumeFailure | 'same' | null {
    const { diskSet } = this.request.service;
    const dir = this.#dir!;
    const { name } = this.#args.link;
    before.forget();
    const status = diskSet.attributes(dir, dirStat);
    if (status !== 'ok') return status;
    before.take(dirStat);
    if (dirStat.type !== S_IFDIR) return 'notDirectory';
    const refused = diskSet.checkChangeableName(dir, name);
    if (refused !== null) return refused;
    if (isDot(name) || isDotDot(name)) return 'exists';
    const source = diskSet.attributes(this.#file!, this.volume.stat);
    if (source !== 'ok') return source;
    become(this.user);
    const result = this.volume.identity.ofName(dir.pathFd, name);
    if (result === -ENOENT) return null;
    if (result < 0) return this.volume.failure(this.volume.identity.call, result);
    return this.volume.identity.key() === this.#file!.key ? 'same' : 'exists';
  }

  protected evidence(): void {}

  execute(flushes: FlushSet): void {
    forgetDirectoryAttributes();
    const { diskSet } = this.request.service;
    const dir = this.#dir!;
    const file = this.#file!;
    before.forget();
    if (diskSet.attributes(dir, dirStat) === 'ok') before.take(dirStat);
    const pathFd = diskSet.pathFd(file);
    const dirFd = diskSet.pathFd(dir);
    become(this.user);
    const result = pathFd < 0 ? pathFd : linkFrom(this.volume.gate, pathFd, dirFd, this.#args.link.name);
    if (result < 0) {
      this.fail(this.volume.failure('linkat', result));
      return;
    }
    this.#done(flushes);
  }

  #done(flushes: FlushSet): void {
    const { stat } = this.volume;
    flushes.add(this.#dir!);
    if (!this.volume.orderedMetadata) {
      const known = this.request.service.diskSet.attributes(this.#file!, stat) === 'ok';
      if (known && stat.type === S_IFREG) flushes.add(this.#file!);
      else flushes.addAll();
    }
    this.#succeed();
  }

  recover(_evidence: XdrReader, flushes: FlushSet): boolean {
    const found = this.#look();
    before.forget();
    if (found !== 'same') return false;
    this.#done(flushes);
    return true;
  }

  #succeed(): void {
    this.#encode(NFS3_OK);
  }

  protected forgetBefore(): void {
    before.forget();
  }

  protected fail(failure: VolumeFailure): void {
    this.#encode(nfsstat3Of(failure));
  }

  /** Success and failure have the same arms: the file's attributes and the directory's wcc_data. */
  #encode(status: number): void {
    const file = this.#file;
    const dir = this.#dir;
    const { diskSet } = this.request.service;
    out.reset();
    out.u32(status);
    if (file === null || dir === null) {
      out.u32(0);
      out.u32(0);
      out.u32(0);
    } else {
      const { stat } = this.volume;
      encodePostOp(out, diskSet.attributes(file, stat) === 'ok' ? stat : null, this.volume);
      before.encode(out);
      encodePostOp(out, diskSet.attributes(dir, dirStat) === 'ok' ? dirStat : null, this.volume);
    }
    this.takeResults();
  }
}

/** Attributes of a file that exists are changed: SETATTR, and CREATE UNCHECKED where it cuts the file that it finds. */
import type { XdrReader, XdrWriter } from '../../protocol/xdr.ts';
import type { VolumeFailure } from '../storage/failures/status.ts';
import { GradualTruncation, truncatesMuch } from '../storage/files/gradual-truncation.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import {
  type AttributeChanges,
  applyAttributeChanges,
  checkAttributeChanges,
} from '../storage/files/set-attributes.ts';
import type { FlushSet } from '../storage/flush/flush-set.ts';
import { S_IFDIR, S_IFREG, type StatBuffer } from '../system/statx.ts';
import type { Target } from './journaled-procedure.ts';

// State before: the object's ctime. Every step of the change moves it on, and no other operation could touch the object. What is missing
// after a crash is applied: the values are absolute.

export interface ChangeOfFile {
  readonly file: OpenFile;
  /** S_IF... */
  readonly type: number;
  readonly changes: AttributeChanges;
  readonly ctimeSeconds: number;
  readonly ctimeNanoseconds: number;
  /** null: what is cut off is little. */
  readonly truncation: GradualTruncation | null;
}

/** `stat`: the file's attributes, just read; they may be read once more. */
export function planChange(
  on: Target,
  file: OpenFile,
  changes: AttributeChanges,
  stat: StatBuffer,
): ChangeOfFile | VolumeFailure {
  const { type, ctimeSeconds, ctimeNanoseconds } = stat;
  const { size } = changes;
  const truncation = size !== null && truncatesMuch(stat, size) ? new GradualTruncation(file, size) : null;
  const refused = checkAttributeChanges(on.context.diskSet, file, changes, on.user, stat);
  return refused ?? { file, type, changes, ctimeSeconds, ctimeNanoseconds, truncation };
}

export function encodeCtime(w: XdrWriter, seconds: number, nanoseconds: number): void {
  w.u64(BigInt.asUintN(64, BigInt(seconds)));
  w.u32(nanoseconds);
}

/** Has the ctime moved on from what encodeCtime() has written? */
export function hasMoved(r: XdrReader, stat: StatBuffer): boolean {
  const seconds = Number(BigInt.asIntN(64, r.u64()));
  const nanoseconds = r.u32();
  return stat.ctimeSeconds !== seconds || stat.ctimeNanoseconds !== nanoseconds;
}

export function applyChange(
  on: Target,
  file: OpenFile,
  type: number,
  changes: AttributeChanges,
  flushes: FlushSet,
): VolumeFailure | null {
  const between = (): void => on.step('duringExecution');
  if (type === S_IFREG || type === S_IFDIR) flushes.add(file);
  else flushes.addAll();
  return applyAttributeChanges(on.context.diskSet, file, changes, on.user, type, between);
}

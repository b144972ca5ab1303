/** The failure arm that most reading procedures share: the status and the object's attributes, where known. */

import type { VolumeFailure } from '../storage/failures/status.ts';
import type { OpenFile } from '../storage/files/open-file.ts';
import { encodePostOp } from './attributes.ts';
import type { NfsCall, Outcome } from './call.ts';
import { nfsstat3Of } from './nfs-status.ts';

/** file: null if there is none, or if the client may not know of it. */
export function failedWithAttributes(call: NfsCall, failure: VolumeFailure, file: OpenFile | null): Outcome {
  if (failure === 'needsDisk') return 'elsewhere';
  const { w, service } = call;
  w.u32(nfsstat3Of(failure));
  if (file === null) {
    w.u32(0);
    return 'answered';
  }
  const { volume } = file;
  encodePostOp(w, service.diskSet.attributes(file, volume.stat) === 'ok' ? volume.stat : null, volume);
  return 'answered';
}

/** Waits until the volumes that move from node to node are mounted on this one. */
import { basename, dirname, join } from 'node:path';
import type { VolumeSpec } from '../settings/volume-spec.ts';
import { isMountedVolume } from '../storage/volume/mounted-volume.ts';
import { VolumeOpenError } from '../storage/volume/open-failure.ts';
import type { DisksMessage, OpenMessage } from './messages.ts';

/** Between two looks for a volume that is to be mounted. ms */
const LOOK_MS = 20;

/**
 * Resolves with the volumes, at their paths, when every one that moves from node to node is mounted here. Looking costs microseconds and no disk: the
 * root of a mounted file system is in memory. Patience counts the time in which the partner could serve: while it could
 * not, giving up would help nobody.
 */
export async function whenMounted(
  message: OpenMessage,
  disks: () => DisksMessage | null,
  mayGoOn: () => boolean,
): Promise<readonly VolumeSpec[]> {
  const { attachPatienceMs = 0, home } = message;
  let waitedMs = 0;
  let lookedAt = performance.now();
  for (;;) {
    const directory = disks()?.directory ?? null;
    const volumes = placed(message, directory);
    const missing = volumes.find(
      ({ path, reattached }) => reattached === true && (directory === null || !isMountedVolume(path)),
    );
    if (missing === undefined) return volumes;
    if (!mayGoOn())
      throw new VolumeOpenError('RightLost', `${home}: the right to serve ended while waiting for its disks`);
    const now = performance.now();
    if (disks()?.partnerCouldServe === true) waitedMs += now - lookedAt;
    lookedAt = now;
    if (waitedMs >= attachPatienceMs)
      throw new VolumeOpenError(
        'NotAttached',
        `volume ${missing.name} of ${home} has not been mounted at ${missing.path} within ${Math.round(waitedMs / 1000)} s: it is still attached elsewhere, or cannot be attached to this node`,
      );
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/**
 * Volumes that move have a directory of their own for each of their moves: a mount that an earlier one has left
 * behind on this node is never taken for the volume. Without word of the directory nothing is ever found.
 */
function placed({ volumes }: OpenMessage, directory: string | null): readonly VolumeSpec[] {
  if (directory === null) return volumes;
  return volumes.map((volume) =>
    volume.reattached === true
      ? { ...volume, path: join(dirname(volume.path), directory, basename(volume.path)) }
      : volume,
  );
}

/**
 * CSI Node: mounts disks on the node that they are attached to. All commands run in the node's own mount namespace (the pod
 * shares its process namespace), with the node's programs: what is mounted there is mounted for the kubelet too.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { CsiError } from './csi-error.ts';
import type { Disks } from './disks.ts';
import { PLACE } from './identity.ts';
import type { Handlers, Request } from './service.ts';

const execute = promisify(execFile);
const SYSTEM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** $1: image, $2: where, $3: kind of file system. A second mount does nothing. The loop device goes with its last mount, also when the node dies. */
const STAGE = `
  mountpoint -q "$2" && exit 0
  holders=$(losetup --associated "$1" --noheadings --output NAME)
  [ -z "$holders" ] || { echo "it is still in use on" $holders >&2; exit 9; }
  for block in /sys/block/loop*; do
    number=\${block##*/loop}
    [ -e /dev/loop$number ] || mknod /dev/loop$number b 7 $number
  done
  for try in 1 2 3 4 5; do device=$(losetup --find --show "$1") && break; done
  trap 'losetup --detach $device' EXIT
  blkid --probe "$device" >/dev/null || { [ $? = 2 ] && "mkfs.$3" -q "$device"; }
  mkdir -p "$2"
  mount -t "$3" "$device" "$2"`;
const UNSTAGE = 'if mountpoint -q "$1"; then umount "$1"; fi';
/** $1: where it is staged, $2: where the pod has it. */
const PUBLISH = 'mkdir -p "$2"; mountpoint -q "$2" || mount --bind "$1" "$2"';
const UNPUBLISH = 'if mountpoint -q "$1"; then umount "$1"; fi; if [ -d "$1" ]; then rmdir "$1"; fi';

/** $1: where it is mounted. The loop device looks at its file again; the file system then takes what is there, mounted. */
const EXPAND = `
  device=$(findmnt --noheadings --output SOURCE --mountpoint "$1")
  losetup --set-capacity "$device"
  case $(findmnt --noheadings --output FSTYPE --mountpoint "$1") in
    xfs) xfs_growfs "$1" ;;
    *) resize2fs "$device" ;;
  esac`;
const FILE_SYSTEM_DEFAULT = 'ext4';

export function node(disks: Disks, name: string): Handlers {
  return {
    NodeGetCapabilities: () => ({
      capabilities: ['STAGE_UNSTAGE_VOLUME', 'EXPAND_VOLUME'].map((type) => ({ rpc: { type } })),
    }),
    NodeGetInfo: () => ({
      node_id: name,
      max_volumes_per_node: String(disks.limitOf(name)),
      accessible_topology: { segments: { [PLACE]: name } },
    }),
    NodeStageVolume: async ({ volume_id: disk, staging_target_path: staged, volume_capability }: Request) => {
      const attachedTo = disks.attachedTo(disk);
      if (attachedTo !== name)
        throw new CsiError('FAILED_PRECONDITION', `${disk} is attached to ${attachedTo ?? 'no node'}`);
      const kind = volume_capability?.mount?.fs_type || FILE_SYSTEM_DEFAULT;
      await onNode(STAGE, disks.imageOf(disk), staged, kind);
      return {};
    },
    NodeExpandVolume: async ({ volume_path: path }: Request) => {
      await onNode(EXPAND, path);
      return {};
    },
    NodeUnstageVolume: async ({ staging_target_path: staged }: Request) => {
      await onNode(UNSTAGE, staged);
      return {};
    },
    NodePublishVolume: async ({ staging_target_path: staged, target_path: target }: Request) => {
      await onNode(PUBLISH, staged, target);
      return {};
    },
    NodeUnpublishVolume: async ({ target_path: target }: Request) => {
      await onNode(UNPUBLISH, target);
      return {};
    },
  };
}

async function onNode(script: string, ...args: readonly string[]): Promise<void> {
  const command = ['-t', '1', '-m', '--', '/bin/sh', '-e', '-c', script, 'sh', ...args];
  try {
    await execute('nsenter', command, { env: { PATH: SYSTEM_PATH } });
  } catch (error) {
    const { stderr, message, code } = error as { stderr?: string; message: string; code?: unknown };
    throw new CsiError(code === 9 ? 'FAILED_PRECONDITION' : 'INTERNAL', stderr?.trim() || message);
  }
}

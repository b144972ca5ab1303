/** CSI Controller: makes and removes disks, attaches each to one node at a time. */
import { CsiError } from './csi-error.ts';
import type { Disks } from './disks.ts';
import type { Handlers, Request } from './service.ts';

const SIZE_DEFAULT = 1024 ** 3;

const capability = (type: string) => ({ rpc: { type } });

export function controller(disks: Disks): Handlers {
  return {
    ControllerGetCapabilities: () => ({
      capabilities: [
        'CREATE_DELETE_VOLUME',
        'PUBLISH_UNPUBLISH_VOLUME',
        'EXPAND_VOLUME',
        'CREATE_DELETE_SNAPSHOT',
      ].map(capability),
    }),
    CreateVolume: ({
      name,
      capacity_range: range,
      volume_capabilities: capabilities,
      volume_content_source: source,
      parameters,
      accessibility_requirements: places,
    }: Request) => {
      if (!capabilities.every(isPossible))
        throw new CsiError('INVALID_ARGUMENT', 'one node, with a file system: nothing else');
      const size = Number(range?.required_bytes ?? SIZE_DEFAULT);
      if (source?.snapshot != null) disks.restore(name, source.snapshot.snapshot_id, size);
      else disks.create(name, size);
      // Any node sees them all; the StorageClass may ask to have it otherwise.
      const here = parameters?.['reach'] === 'place' ? [places.preferred[0]] : [];
      const more = { content_source: source ?? undefined, accessible_topology: here };
      return { volume: { volume_id: name, capacity_bytes: String(size), ...more } };
    },
    DeleteVolume: ({ volume_id: disk }: Request) => {
      disks.remove(disk);
      return {};
    },
    ControllerPublishVolume: ({ volume_id: disk, node_id: node }: Request) => {
      disks.attach(disk, node);
      return { publish_context: {} };
    },
    ControllerUnpublishVolume: ({ volume_id: disk, node_id: node }: Request) => {
      disks.detach(disk, node);
      return {};
    },
    /** A copy of the disk as it is at this moment, also while it is in use. */
    CreateSnapshot: ({ name, source_volume_id: disk }: Request) => {
      const { size, at } = disks.snapshot(name, disk);
      const seconds = Math.floor(at / 1000);
      return {
        snapshot: {
          snapshot_id: name,
          source_volume_id: disk,
          size_bytes: String(size),
          creation_time: { seconds: String(seconds), nanos: (at % 1000) * 1_000_000 },
          ready_to_use: true,
        },
      };
    },
    DeleteSnapshot: ({ snapshot_id: snapshot }: Request) => {
      disks.removeSnapshot(snapshot);
      return {};
    },
    /** Also while it is attached: the node that has it makes the file system as large afterwards. */
    ControllerExpandVolume: ({ volume_id: disk, capacity_range: range }: Request) => {
      const size = disks.grow(disk, Number(range.required_bytes));
      return { capacity_bytes: String(size), node_expansion_required: true };
    },
    ValidateVolumeCapabilities: ({ volume_id: disk, volume_capabilities: capabilities }: Request) => {
      if (!disks.exists(disk)) throw new CsiError('NOT_FOUND', `there is no disk ${disk}`);
      return capabilities.every(isPossible) ? { confirmed: { volume_capabilities: capabilities } } : {};
    },
  };
}

const isPossible = (one: Request): boolean =>
  one.mount != null && /^SINGLE_NODE/.test(one.access_mode?.mode ?? '');

// CSI Controller: makes and removes disks, attaches each to one node at a time.
import { CsiError } from './csi-error.ts';
import type { Disks } from './disks.ts';
import type { Handlers, Request } from './service.ts';

const SIZE_DEFAULT = 1024 ** 3;

const capability = (type: string) => ({ rpc: { type } });

export function controller(disks: Disks): Handlers {
  return {
    ControllerGetCapabilities: () => ({
      capabilities: ['CREATE_DELETE_VOLUME', 'PUBLISH_UNPUBLISH_VOLUME'].map(capability),
    }),
    CreateVolume: ({ name, capacity_range: range, volume_capabilities: capabilities }: Request) => {
      if (!capabilities.every(isPossible))
        throw new CsiError('INVALID_ARGUMENT', 'one node, with a file system: nothing else');
      const size = Number(range?.required_bytes ?? SIZE_DEFAULT);
      disks.create(name, size);
      return { volume: { volume_id: name, capacity_bytes: String(size) } };
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
    ValidateVolumeCapabilities: ({ volume_id: disk, volume_capabilities: capabilities }: Request) => {
      if (!disks.exists(disk)) throw new CsiError('NOT_FOUND', `there is no disk ${disk}`);
      return capabilities.every(isPossible) ? { confirmed: { volume_capabilities: capabilities } } : {};
    },
  };
}

const isPossible = (one: Request): boolean =>
  one.mount != null && /^SINGLE_NODE/.test(one.access_mode?.mode ?? '');

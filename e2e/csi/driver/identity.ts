/** CSI Identity: who the driver is. */
import type { Handlers } from './service.ts';

export const DRIVER = 'disks.e2e.filerpair.dev';

/** Each node is a place of its own, for disks that can be had in one place only. */
export const PLACE = 'disks.e2e.filerpair.dev/place';

export const identity: Handlers = {
  GetPluginInfo: () => ({ name: DRIVER, vendor_version: '1' }),
  GetPluginCapabilities: () => ({
    capabilities: [
      { service: { type: 'CONTROLLER_SERVICE' } },
      { service: { type: 'VOLUME_ACCESSIBILITY_CONSTRAINTS' } },
      { volume_expansion: { type: 'ONLINE' } },
    ],
  }),
  Probe: () => ({ ready: { value: true } }),
};

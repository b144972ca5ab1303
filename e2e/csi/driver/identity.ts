// CSI Identity: who the driver is.
import type { Handlers } from './service.ts';

export const DRIVER = 'disks.e2e.filerpair.dev';

export const identity: Handlers = {
  GetPluginInfo: () => ({ name: DRIVER, vendor_version: '1' }),
  GetPluginCapabilities: () => ({ capabilities: [{ service: { type: 'CONTROLLER_SERVICE' } }] }),
  Probe: () => ({ ready: { value: true } }),
};

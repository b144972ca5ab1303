/**
 * How the kubelet learns of the driver: it watches a directory for sockets and asks each who is there. (In clusters with an
 * image registry node-driver-registrar does this.)
 */
import { DRIVER } from './identity.ts';
import type { Handlers } from './service.ts';

/** @param endpoint path of the driver's socket as the kubelet sees it */
export const registration = (endpoint: string): Handlers => ({
  GetInfo: () => ({ type: 'CSIPlugin', name: DRIVER, endpoint, supported_versions: ['1.0.0'] }),
  NotifyRegistrationStatus: ({
    plugin_registered: registered,
    error,
  }: {
    plugin_registered: boolean;
    error: string;
  }) => {
    if (!registered) process.stderr.write(`the kubelet does not take the driver: ${error}\n`);
    return {};
  },
});

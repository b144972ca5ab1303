/** The CSI driver of the tests with disks that move: main.ts controller|node. Environment: NODE_NAME (node only). */
import { join } from 'node:path';
import { controller } from './controller.ts';
import { Disks } from './disks.ts';
import { DRIVER, identity } from './identity.ts';
import { node } from './node.ts';
import { registration } from './registration.ts';
import { type Handlers, type Service, serve } from './service.ts';

// Real where it matters: it attaches a disk to one node at a time and refuses every other, makes file systems, mounts, and
// lets go only when told. Not real: a disk is a file, and a node that is cut off from the cluster still reaches it.

const PROTOCOLS = '/app/protocols';
/** In every node, by the cluster's configuration (kind/cluster.ts). */
const DISKS = '/disks';
const CONTROLLER_SOCKET = '/csi/csi.sock';
const NODE_SOCKET = `/var/lib/kubelet/plugins/${DRIVER}/csi.sock`;
const REGISTRATION_SOCKET = `/var/lib/kubelet/plugins_registry/${DRIVER}-reg.sock`;

const csi = (name: string, handlers: Handlers): Service => ({
  proto: join(PROTOCOLS, 'csi.proto'),
  package: 'csi.v1',
  name,
  handlers,
});

async function main(role: string | undefined, nodeName: string | undefined): Promise<void> {
  const disks = new Disks(DISKS);
  if (role === 'controller') {
    await serve(CONTROLLER_SOCKET, [csi('Identity', identity), csi('Controller', controller(disks))]);
  } else if (role === 'node' && nodeName !== undefined) {
    await serve(NODE_SOCKET, [csi('Identity', identity), csi('Node', node(disks, nodeName))]);
    const kubelet: Service = {
      proto: join(PROTOCOLS, 'registration.proto'),
      package: 'pluginregistration',
      name: 'Registration',
      handlers: registration(NODE_SOCKET),
    };
    await serve(REGISTRATION_SOCKET, [kubelet]);
  } else throw new Error('usage: main.ts controller, or NODE_NAME=... main.ts node');
  process.once('SIGTERM', () => process.exit(0));
}

await main(process.argv[2], process.env['NODE_NAME']);

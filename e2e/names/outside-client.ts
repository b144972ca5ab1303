/**
 * A client outside the cluster: a container on the network of the nodes, which is to the cluster what any machine of a
 * company's network is. It has no way to pods and ClusterIPs, and asks the DNS server of the tests for names.
 */
import { randomBytes } from 'node:crypto';
import type { TestEnvironment } from '../environment.ts';
import { type Client, WAITING } from '../harness/client-pod.ts';
import { outcomeOf, run, start, succeeds } from '../machine/command.ts';
import { addressInEngine, dnsServer } from './install.ts';

/** kind's own. */
const NETWORK = 'kind';

export class OutsideClient implements Client {
  readonly name: string;
  readonly address: string;

  private constructor(name: string, address: string) {
    this.name = name;
    this.address = address;
  }

  static async create(environment: TestEnvironment): Promise<OutsideClient> {
    const name = `filerpair-e2e-outside-${randomBytes(4).toString('hex')}`;
    const dns = ['--dns', await dnsServer(environment)];
    // To change its own routes.
    const options = ['--detach', '--rm', '--network', NETWORK, '--cap-add', 'NET_ADMIN', ...dns];
    const [program, ...args] = WAITING;
    const image = environment.images.client;
    await run(['docker', 'run', '--name', name, ...options, '--entrypoint', program!, image, ...args]);
    return new OutsideClient(name, await addressInEngine(name));
  }

  start = async (...command: string[]) => start(['docker', 'exec', '--interactive', this.name, ...command]);

  /** Runs a program in it, whatever comes of it. */
  try(...command: string[]) {
    return outcomeOf(['docker', 'exec', this.name, ...command]);
  }

  /** How it gets to an address: as a router would send it there. */
  async route(address: string, via: string): Promise<void> {
    await run(['docker', 'exec', this.name, 'ip', 'route', 'add', `${address}/32`, 'via', via]);
  }

  async remove(): Promise<void> {
    await succeeds(['docker', 'rm', '--force', this.name]);
  }
}

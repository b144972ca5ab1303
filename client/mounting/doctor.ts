/** Finds the obstacles between this machine and a mount: each thing that a mount needs, looked at one after the other. */

import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { whyNoKernelPath } from '../node/kernel-path-missing.ts';
import { systemNames } from '../system-names.ts';
import { formatAddress, type TransportAddress } from '../transport-address.ts';
import type { NfsUrl } from '../url.ts';

export interface Finding {
  readonly what: string;
  /** Null: it is in order. Else what is wrong, and the way out. */
  readonly trouble: string | null;
  /** In a sentence, where it is in order. */
  readonly detail?: string;
}

/** How long a port may take to answer. Ms. */
const CONNECT_MS = 3000;

/** `url`: the pair that is to be mounted; null: only this machine is looked at. */
export async function examine(url: NfsUrl | null): Promise<Finding[]> {
  const findings = [kernelClient(), mountProgram(), await kernelPath()];
  if (url === null) return findings;
  const { primary, secondary } = url.endpoints;
  const ports = await Promise.all(
    [primary, secondary].flatMap((each) => (each === null ? [] : [look(each)])),
  );
  // Both servers may be of one name.
  findings.push(...new Map(ports.map(({ name }) => [name.what, name])).values());
  findings.push(served(ports));
  return findings;
}

function kernelClient(): Finding {
  const what = "the kernel's NFS client";
  const known = /\bnfs$/m.test(readText('/proc/filesystems'));
  const release = readText('/proc/sys/kernel/osrelease').trim();
  const modules = readText(`/lib/modules/${release}/modules.dep`);
  if (known || /\/nfs\.ko/.test(modules)) return { what, trouble: null };
  return { what, trouble: `this kernel (${release}) has none: install the package with its modules` };
}

function mountProgram(): Finding {
  const found = ['/sbin/mount.nfs', '/usr/sbin/mount.nfs'].some((path) => existsSync(path));
  const trouble = found ? null : 'mount.nfs is missing: install nfs-common (Debian) or nfs-utils (Red Hat)';
  return { what: 'mount.nfs', trouble };
}

async function kernelPath(): Promise<Finding> {
  const what = "the kernel's path";
  const missing = await whyNoKernelPath();
  if (missing === null) return { what, trouble: null };
  return { what, trouble: `${missing}; mounts go through filerpair proxy` };
}

interface Port {
  readonly name: Finding;
  readonly answer: string | null;
  readonly target: TransportAddress;
}

async function look(target: TransportAddress): Promise<Port> {
  const what = `the name ${target.address}`;
  try {
    const addresses = await systemNames.lookup(target.address);
    const name = { what, trouble: null, detail: addresses.join(', ') };
    const { port } = target.discriminator;
    return { name, answer: await answerOf(addresses[0]!, port), target };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const trouble = `does not resolve (${code}): check the server's name and this machine's DNS`;
    return { name: { what, trouble }, answer: 'no address', target };
  }
}

/** Null: the port accepts connections. */
function answerOf(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (answer: string | null) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(CONNECT_MS, () => end(`silent for ${CONNECT_MS / 1000} s`));
    socket.once('connect', () => end(null));
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  });
}

/** One of the two ports is open at a time. */
function served(ports: readonly Port[]): Finding {
  const what = 'a port that serves';
  const open = ports.find(({ answer }) => answer === null);
  if (open) return { what, trouble: null, detail: formatAddress(open.target) };
  const answers = ports.map(({ target, answer }) => `${formatAddress(target)}: ${answer}`).join('; ');
  return { what, trouble: `none (${answers}): check the ports, firewalls, and the pair (filerpair status)` };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

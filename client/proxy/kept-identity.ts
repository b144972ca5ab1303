/**
 * Who the clients of a proxy are to the servers, kept for the proxy that is started in its place. The kernel, whose mounts
 * outlive a proxy, sends its unanswered calls again by that one, and the servers answer a call again only to the client that has
 * sent it.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { IDENTITY_SIZE } from '../../protocol/succession.ts';

// In a directory that is empty after a start of the machine (/run, XDG_RUNTIME_DIR): no mount outlives that.

const { O_CREAT, O_NOFOLLOW, O_RDWR } = constants;

/**
 * That of the proxy at this address, or a new one if there was none. Rejects with an Error whose message says why there is none
 * to be had. directory: made if it is not there. address: HOST:PORT, as the proxy listens.
 */
export async function keptIdentity(directory: string, address: string): Promise<Uint8Array> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, `proxy-${encodeURIComponent(address)}.identity`);
  const file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  try {
    const { uid, mode } = await file.stat();
    // Anyone who knows it could obtain replies recorded for this proxy's clients.
    if (uid !== process.geteuid?.() || (mode & 0o077) !== 0)
      throw new Error(`${path} belongs to another user, or others may read it`);
    const kept = await file.readFile();
    if (kept.length === IDENTITY_SIZE) return new Uint8Array(kept);
    const identity = new Uint8Array(randomBytes(IDENTITY_SIZE));
    await file.truncate();
    await file.write(identity, 0, IDENTITY_SIZE, 0);
    return identity;
  } finally {
    await file.close();
  }
}

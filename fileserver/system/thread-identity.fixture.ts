/** A process that has lost the right to take on users' ids, without knowing: says what become() says, and who it is then. */
import { readFileSync } from 'node:fs';
import { dropCapability } from './capabilities.ts';
import { become, identityCanChange, SERVER_IDENTITY } from './thread-identity.ts';

const CAP_SETGID = 6;
const CAP_SETUID = 7;

/** Of this thread, as the kernel has them: real, effective, saved, and of file system calls. */
function fileSystemUser(): number {
  const [, ids = ''] = /^Uid:\s+(.+)$/m.exec(readFileSync('/proc/thread-self/status', 'utf8')) ?? [];
  return Number(ids.split(/\s+/)[3]);
}

function attempt(uid: number): string {
  try {
    become(uid === 0 ? SERVER_IDENTITY : { uid, gid: 0, groups: [] });
    return 'done';
  } catch (error) {
    return (error as Error).message;
  }
}

const before = { identityCanChange, unmapped: attempt(70_000), known: attempt(1000), user: fileSystemUser() };
become(SERVER_IDENTITY);
dropCapability(CAP_SETGID);
dropCapability(CAP_SETUID);
const lost = { known: attempt(1000), user: fileSystemUser(), again: attempt(1000), server: attempt(0) };
process.stdout.write(JSON.stringify({ before, lost }));

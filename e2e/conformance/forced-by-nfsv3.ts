/**
 * Tests of pjdfstest that succeed on the local file system and cannot succeed through an NFSv3 client of Linux, each with the
 * reason. Whatever else differs is a defect.
 */

export interface ForcedDifference {
  readonly tests: RegExp;
  readonly reason: string;
}

export const FORCED: readonly ForcedDifference[] = [
  {
    tests: /^utimensat::y2038$/,
    reason:
      'The test sets a time of 2^32 s (2106). nfstime3 has 32 bits of seconds (RFC 1813 §2.5). 2^31, which the test sets too, works.',
  },
  {
    tests: /^unlink::open_file_not_freed$/,
    reason:
      'The test wants a link count of 0 for a file that is open and has lost its name. NFSv3 has no open: the client keeps the file by renaming it (`.nfsXXXX`) until it is closed, so it counts 1. Reading and writing it goes on.',
  },
  {
    tests: /^link::link_count_max$/,
    reason:
      "Skipped in the mount: the C library knows each file system's limit by its kind and asks no NFS server. PATHCONF says the served file system's.",
  },
];

export function reasonFor(name: string): string | null {
  return FORCED.find(({ tests }) => tests.test(name))?.reason ?? null;
}

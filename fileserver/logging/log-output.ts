/**
 * Where log lines go: standard output of the process, which may break. Its reader may be gone (EPIPE) or not read any more, or it
 * is a file on a disk that is full (ENOSPC). A line that cannot be written is lost and counted, and the process goes on.
 */
import { Writable } from 'node:stream';

/** Bytes that wait for a reader who does not read, at most. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

let lost = 0;

/** Log lines of this process that could not be written. */
export function lostLogLines(): number {
  return lost;
}

/** For as long as the process lives. */
export function logOutput(): Writable {
  // Lost lines are counted below; without a listener such an error ends the process.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  return new Writable({
    decodeStrings: false,
    write(line: string | Buffer, encoding, done) {
      if (process.stdout.writableLength > WAITING_BYTES_MAX) lost += 1;
      else {
        process.stdout.write(line, encoding, (error) => {
          if (error) lost += 1;
        });
      }
      done();
    },
  });
}

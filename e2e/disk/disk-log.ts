/** What a disk was asked to do, in order, as a recording disk writes it down and as a test reads it. */

/** A write, or the end of a flush that covers all writes before `covers`. */
export type DiskEvent =
  | { readonly kind: 'write'; readonly atMs: number; readonly offset: number; readonly data: Buffer }
  | { readonly kind: 'flushed'; readonly atMs: number; readonly covers: number };

/** ms on CLOCK_MONOTONIC: the same clock in all processes of a machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const HEADER_SIZE = 32;
const WRITE = 1;
const FLUSHED = 2;

/** kind, size of the data, time, offset or count of events covered, data. */
export function encodeEvent(event: DiskEvent): Buffer {
  const size = event.kind === 'write' ? event.data.length : 0;
  const bytes = Buffer.alloc(HEADER_SIZE + size);
  bytes.writeUInt32LE(event.kind === 'write' ? WRITE : FLUSHED, 0);
  bytes.writeUInt32LE(size, 4);
  bytes.writeDoubleLE(event.atMs, 8);
  bytes.writeDoubleLE(event.kind === 'write' ? event.offset : event.covers, 16);
  if (event.kind === 'write') event.data.copy(bytes, HEADER_SIZE);
  return bytes;
}

export function decodeEvents(bytes: Buffer): DiskEvent[] {
  const events: DiskEvent[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readUInt32LE(at + 4);
    const atMs = bytes.readDoubleLE(at + 8);
    const number = bytes.readDoubleLE(at + 16);
    const data = bytes.subarray(at + HEADER_SIZE, at + HEADER_SIZE + size);
    if (bytes.readUInt32LE(at) === WRITE) events.push({ kind: 'write', atMs, offset: number, data });
    else events.push({ kind: 'flushed', atMs, covers: number });
    at += HEADER_SIZE + size;
  }
  return events;
}

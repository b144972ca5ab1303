/**
 * The process behind a recording disk: serves an image as a file through FUSE, writes down what is asked of it, and misbehaves
 * on demand. node recording-disk-main.ts IMAGE TARGET [LOG]; orders come over IPC (recording-disk.ts).
 */
import { fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { constants } from 'node:os';
import { encodeEvent, monotonicMs } from './disk-log.ts';
import { type Disk, serveAsFile } from './fuse-file.ts';
import { type DiskBehaviour, DOOMED, GOOD_DISK } from './recording-disk.ts';

const [image, target, logFile] = process.argv.slice(2);
if (image === undefined || target === undefined) throw new Error('recording-disk-main.ts IMAGE TARGET [LOG]');

class RecordingDisk implements Disk {
  readonly size: number;
  behaviour: DiskBehaviour = GOOD_DISK;
  readonly #image: number;
  readonly #log: number;
  #events = 0;
  /** What came while the disk was stalled. */
  #held: (() => void)[] = [];

  constructor(imageFile: string, log: string | undefined) {
    this.#image = openSync(imageFile, 'r+');
    this.size = fstatSync(this.#image).size;
    this.#log = log === undefined ? -1 : openSync(log, 'w');
  }

  behave(behaviour: DiskBehaviour): void {
    this.behaviour = behaviour;
    if (behaviour.stalled) return;
    const held = this.#held;
    this.#held = [];
    for (const go of held) go();
  }

  read(offset: number, into: Buffer): number {
    readSync(this.#image, into, 0, into.length, offset);
    return 0;
  }

  write(offset: number, data: Buffer): number {
    const { failWrites, failDoomed } = this.behaviour;
    if (failWrites || (failDoomed && data.includes(DOOMED))) return -constants.errno.EIO;
    writeSync(this.#image, data, 0, data.length, offset);
    if (this.#log >= 0) this.#note(encodeEvent({ kind: 'write', atMs: monotonicMs(), offset, data }));
    return 0;
  }

  flush(done: (result: number) => void): void {
    if (this.behaviour.stalled) {
      this.#held.push(() => this.flush(done));
      return;
    }
    const covers = this.#events;
    const { flushMs, failFlushes } = this.behaviour;
    if (failFlushes) done(-constants.errno.EIO);
    else if (flushMs > 0) setTimeout(() => this.#flushed(covers, done), flushMs);
    else this.#flushed(covers, done);
  }

  #flushed(covers: number, done: (result: number) => void): void {
    if (this.#log >= 0) this.#note(encodeEvent({ kind: 'flushed', atMs: monotonicMs(), covers }));
    done(0);
  }

  #note(bytes: Buffer): void {
    writeSync(this.#log, bytes);
    this.#events += 1;
  }
}

const disk = new RecordingDisk(image, logFile);
process.on('message', (behaviour: DiskBehaviour) => {
  disk.behave(behaviour);
  process.send!('done');
});
process.on('disconnect', () => process.exit());
await serveAsFile(disk, target, () => process.send!('ready'));
process.disconnect();

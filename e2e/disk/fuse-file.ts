/**
 * One file of a size that never changes, served through the kernel's FUSE protocol (linux/fuse.h, version 7.31): just as much
 * of it as a loop device on that file needs. Every write and every flush of the loop device passes through here.
 */
import { closeSync, openSync, read, writeSync } from 'node:fs';
import { constants } from 'node:os';
import koffi from 'koffi';

/** The disk behind the file. Errors are negative errnos. */
export interface Disk {
  readonly size: number;
  /** Fills the buffer. */
  read(offset: number, into: Buffer): number;
  /** The data is the caller's again when this returns. */
  write(offset: number, data: Buffer): number;
  /** Calls back when everything written before is durable. */
  flush(done: (result: number) => void): void;
}

const { ENOSYS, ENODEV, ENOENT, EINTR, EAGAIN } = constants.errno;
const opcode = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  access: 34,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
} as const;

const IN_HEADER_SIZE = 40;
const OUT_HEADER_SIZE = 16;
const WRITE_IN_SIZE = 40;
const MAX_WRITE = 1024 * 1024;
const MAX_PAGES = 256;
/** FUSE_ASYNC_READ, FUSE_BIG_WRITES, FUSE_MAX_PAGES: nothing that lets the kernel keep written data back. */
const INIT_FLAGS = 0x1 | 0x20 | 0x400000;
const FOPEN_KEEP_CACHE = 2;
const MODE = 0o100600;

const libc = koffi.load('libc.so.6');
const c_mount = libc.func('int mount(str source, str target, str type, ulong flags, str options)');

/** Serves the disk as the regular file `target`, which exists, until it is unmounted. Resolves at that moment. Root only. */
export function serveAsFile(disk: Disk, target: string, ready: () => void): Promise<void> {
  const device = openSync('/dev/fuse', 'r+');
  const options = `fd=${device},rootmode=${MODE.toString(8)},user_id=0,group_id=0`;
  if (c_mount('recording-disk', target, 'fuse', 0, options) < 0) {
    throw new Error(`mount of ${target} as FUSE failed (errno ${koffi.errno()})`);
  }
  const server = new FuseFile(disk, device, ready);
  return server.serve();
}

class FuseFile {
  readonly #disk: Disk;
  readonly #device: number;
  readonly #ready: () => void;
  readonly #request: Buffer;
  readonly #reply: Buffer;

  constructor(disk: Disk, device: number, ready: () => void) {
    this.#disk = disk;
    this.#device = device;
    this.#ready = ready;
    this.#request = Buffer.alloc(MAX_WRITE + 64 * 1024);
    this.#reply = Buffer.alloc(MAX_WRITE + 4096);
  }

  serve(): Promise<void> {
    return new Promise((resolve, reject) => {
      const next = (): void => {
        read(this.#device, this.#request, 0, this.#request.length, null, (error) => {
          if (error === null) this.#handle();
          else if (error.errno === -ENODEV) {
            closeSync(this.#device);
            resolve();
            return;
          } else if (![-EINTR, -EAGAIN, -ENOENT].includes(error.errno ?? 0)) {
            reject(error);
            return;
          }
          next();
        });
      };
      next();
    });
  }

  #handle(): void {
    const request = this.#request;
    const unique = request.readBigUInt64LE(8);
    const at = IN_HEADER_SIZE;
    switch (request.readUInt32LE(4)) {
      case opcode.init:
        this.#init(unique);
        return;
      case opcode.getattr:
      case opcode.setattr:
        this.#attributes(unique);
        return;
      case opcode.open:
        this.#reply.fill(0, OUT_HEADER_SIZE, OUT_HEADER_SIZE + 16);
        this.#reply.writeUInt32LE(FOPEN_KEEP_CACHE, OUT_HEADER_SIZE + 8);
        this.#answer(unique, 0, 16);
        return;
      case opcode.read:
        this.#read(unique, Number(request.readBigUInt64LE(at + 8)), request.readUInt32LE(at + 16));
        return;
      case opcode.write:
        this.#write(unique, Number(request.readBigUInt64LE(at + 8)), request.readUInt32LE(at + 16));
        return;
      case opcode.fsync:
        this.#disk.flush((result) => this.#answer(unique, result, 0));
        return;
      case opcode.statfs:
        this.#reply.fill(0, OUT_HEADER_SIZE, OUT_HEADER_SIZE + 80);
        this.#answer(unique, 0, 80);
        return;
      case opcode.release:
      case opcode.flush:
      case opcode.access:
      case opcode.destroy:
        this.#answer(unique, 0, 0);
        return;
      case opcode.forget:
      case opcode.batchForget:
      case opcode.interrupt:
        return;
      default:
        this.#answer(unique, -ENOSYS, 0);
    }
  }

  #init(unique: bigint): void {
    const reply = this.#reply;
    const at = OUT_HEADER_SIZE;
    reply.fill(0, at, at + 64);
    reply.writeUInt32LE(7, at);
    reply.writeUInt32LE(31, at + 4);
    reply.writeUInt32LE(128 * 1024, at + 8);
    reply.writeUInt32LE(INIT_FLAGS, at + 12);
    reply.writeUInt16LE(64, at + 16);
    reply.writeUInt16LE(48, at + 18);
    reply.writeUInt32LE(MAX_WRITE, at + 20);
    reply.writeUInt32LE(1, at + 24);
    reply.writeUInt16LE(MAX_PAGES, at + 28);
    this.#answer(unique, 0, 64);
    this.#ready();
  }

  #attributes(unique: bigint): void {
    const reply = this.#reply;
    const disk = this.#disk;
    const at = OUT_HEADER_SIZE;
    reply.fill(0, at, at + 104);
    reply.writeBigUInt64LE(3600n, at);
    const attributes = at + 16;
    reply.writeBigUInt64LE(1n, attributes);
    reply.writeBigUInt64LE(BigInt(disk.size), attributes + 8);
    reply.writeBigUInt64LE(BigInt(disk.size / 512), attributes + 16);
    reply.writeUInt32LE(MODE, attributes + 60);
    reply.writeUInt32LE(1, attributes + 64);
    reply.writeUInt32LE(4096, attributes + 80);
    this.#answer(unique, 0, 104);
  }

  #read(unique: bigint, offset: number, size: number): void {
    const available = Math.max(0, Math.min(size, this.#disk.size - offset));
    const into = this.#reply.subarray(OUT_HEADER_SIZE, OUT_HEADER_SIZE + available);
    const result = available === 0 ? 0 : this.#disk.read(offset, into);
    this.#answer(unique, Math.min(result, 0), result < 0 ? 0 : available);
  }

  #write(unique: bigint, offset: number, size: number): void {
    const from = IN_HEADER_SIZE + WRITE_IN_SIZE;
    const result = this.#disk.write(offset, this.#request.subarray(from, from + size));
    this.#reply.writeUInt32LE(size, OUT_HEADER_SIZE);
    this.#reply.writeUInt32LE(0, OUT_HEADER_SIZE + 4);
    this.#answer(unique, Math.min(result, 0), result < 0 ? 0 : 8);
  }

  #answer(unique: bigint, error: number, size: number): void {
    const reply = this.#reply;
    const length = OUT_HEADER_SIZE + (error < 0 ? 0 : size);
    reply.writeUInt32LE(length, 0);
    reply.writeInt32LE(error, 4);
    reply.writeBigUInt64LE(unique, 8);
    try {
      writeSync(this.#device, reply, 0, length);
    } catch (failure) {
      // ENOENT: who asked was interrupted. ENODEV: unmounted.
      const { code } = failure as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENODEV') throw failure;
    }
  }
}

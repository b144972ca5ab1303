// Where files are copied from and to: this machine or an export, behind one small interface.
import { mkdir, open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { NF3DIR, NF3LNK, NF3REG } from '../../protocol/nfs3.ts';
import type { FilerPairClient } from '../filer-pair-client.ts';
import { CommandError } from './command.ts';

export interface PlaceInfo {
  readonly kind: 'File' | 'Directory' | 'Other';
  readonly size: number;
  /** Permission bits. */
  readonly mode: number;
}

export interface FileSink {
  write(offset: number, data: Uint8Array): Promise<void>;
  /** Resolves when all is on the disk. */
  finish(): Promise<void>;
}

export interface Place {
  /** As people know it, for messages. */
  readonly label: string;
  readonly name: string;
  /** Null if nothing is there. */
  info(): Promise<PlaceInfo | null>;
  child(name: string): Place;
  list(): Promise<string[]>;
  read(): AsyncIterable<Uint8Array>;
  /** Creates or truncates the file. */
  write(mode: number): Promise<FileSink>;
  /** Creates the directory if it is not there. */
  makeDirectory(mode: number): Promise<void>;
}

/** Bytes of one read or write of a local file. */
const LOCAL_IO_SIZE = 1024 * 1024;

export class LocalPlace implements Place {
  readonly label: string;
  readonly name: string;

  constructor(path: string) {
    this.label = path;
    this.name = basename(path);
  }

  async info(): Promise<PlaceInfo | null> {
    try {
      const found = await stat(this.label);
      const kind = found.isFile() ? 'File' : found.isDirectory() ? 'Directory' : 'Other';
      return { kind, size: found.size, mode: found.mode & 0o7777 };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  child(name: string): Place {
    return new LocalPlace(join(this.label, name));
  }

  list(): Promise<string[]> {
    return readdir(this.label);
  }

  async *read(): AsyncGenerator<Uint8Array> {
    const file = await open(this.label, 'r');
    try {
      for (;;) {
        // A buffer of its own for each piece: it is kept until the other side has it on its disk.
        const buffer = Buffer.allocUnsafeSlow(LOCAL_IO_SIZE);
        const { bytesRead } = await file.read(buffer, 0, buffer.length);
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  async write(mode: number): Promise<FileSink> {
    const file = await open(this.label, 'w', mode);
    return {
      async write(offset, data) {
        let written = 0;
        while (written < data.length) {
          written += (await file.write(data, written, data.length - written, offset + written)).bytesWritten;
        }
      },
      finish: () => file.close(),
    };
  }

  async makeDirectory(mode: number): Promise<void> {
    await mkdir(this.label, { mode, recursive: true });
  }
}

export class NfsPlace implements Place {
  readonly label: string;
  readonly name: string;
  private readonly client: FilerPairClient;
  private readonly path: string;

  constructor(client: FilerPairClient, server: string, path: string) {
    this.client = client;
    this.path = path;
    this.server = server;
    this.label = `${server}:${join(client.exportPath, path)}`;
    this.name = basename(path);
  }

  private readonly server: string;

  async info(): Promise<PlaceInfo | null> {
    const found = await this.client.find(this.path);
    if (found === null) return null;
    const { type, size, mode } = found.attributes;
    return { kind: type === NF3REG ? 'File' : type === NF3DIR ? 'Directory' : 'Other', size, mode };
  }

  child(name: string): Place {
    // Names from a server are data, not paths: one with a slash would leave the directory.
    if (name === '' || name === '.' || name === '..' || name.includes('/')) {
      throw new CommandError(`${this.label}: the server lists an impossible name "${name}"`);
    }
    return new NfsPlace(this.client, this.server, join(this.path, name));
  }

  async list(): Promise<string[]> {
    const entries = await this.client.readdir(this.path);
    return entries.filter((each) => each.attributes?.type !== NF3LNK).map((each) => each.name);
  }

  read(): AsyncIterable<Uint8Array> {
    return this.client.read(this.path);
  }

  async write(mode: number): Promise<FileSink> {
    const { handle } = await this.client.create(this.path, 'Unchecked', { mode, size: 0 });
    const writer = this.client.writer(handle, this.label);
    return { write: (offset, data) => writer.write(offset, data), finish: () => writer.commit() };
  }

  async makeDirectory(mode: number): Promise<void> {
    const there = await this.info();
    if (there?.kind === 'Directory') return;
    await this.client.mkdir(this.path, { mode });
  }
}

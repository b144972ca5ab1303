/** Standard input and output as a place to copy from and to: `-`. */
import { once } from 'node:events';
import type { Surroundings } from '../command.ts';
import type { FileSink, Place, PlaceInfo } from './place.ts';

const INFO: PlaceInfo = {
  kind: 'File',
  size: Number.POSITIVE_INFINITY,
  mode: 0o666,
  uid: 0,
  gid: 0,
  mtimeMs: 0,
  atimeMs: 0,
  nlink: 1,
  identity: 'a stream',
};

const impossible = (): never => {
  throw new Error('a stream is no directory');
};

/** `label` as it stands in messages. */
function streamPlace(label: string, own: Pick<Place, 'info' | 'read' | 'createFile'>): Place {
  const place: Place = {
    ...own,
    label,
    name: '',
    followed: async () => place,
    child: impossible,
    entries: impossible,
    readLink: impossible,
    makeLink: impossible,
    makeDirectory: impossible,
    setAttributes: async () => {},
    syncNames: async () => {},
    parent: label,
    parts: async () => ({ parts: [], nowMs: 0 }),
    removePart: async () => {},
  };
  return place;
}

export function standardInput({ input }: Surroundings): Place {
  return streamPlace('standard input', {
    info: async () => INFO,
    read: () => input as AsyncIterable<Uint8Array>,
    createFile: impossible,
  });
}

export function standardOutput({ bytes }: Surroundings): Place {
  return streamPlace('standard output', {
    info: async () => null,
    read: impossible,
    createFile: async (): Promise<FileSink> => ({
      start: 0,
      async write(_offset, data) {
        if (!bytes.write(data)) await once(bytes, 'drain');
      },
      complete: async () => {},
      readBack: impossible,
      finish: async () => {},
      abandon: async () => {},
    }),
  });
}

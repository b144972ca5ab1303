/** An OCI image layout as one archive: blobs by their SHA-256, and an index that leads to them (OCI image specification 1.0). */
import { type Entry, sha256, tar } from './archive.ts';

export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX = 'application/vnd.oci.image.index.v1+json';
export const CONFIG = 'application/vnd.oci.image.config.v1+json';
export const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';
export const IN_TOTO = 'application/vnd.in-toto+json';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly architecture: string; readonly os: string };
}

export class Layout {
  readonly #blobs = new Map<string, Buffer>();

  add(mediaType: string, content: Buffer): Descriptor {
    const digest = sha256(content);
    this.#blobs.set(digest, content);
    return { mediaType, digest: `sha256:${digest}`, size: content.length };
  }

  addJson(mediaType: string, content: object): Descriptor {
    return this.add(mediaType, Buffer.from(JSON.stringify(content)));
  }

  /**
   * @param images manifests of each platform, and what is attested about them
   * @param tag name of the whole inside the archive
   * @returns the archive, and the digest by which registries know the whole
   */
  async pack(
    images: readonly Descriptor[],
    tag: string,
    time: number,
    annotations: Readonly<Record<string, string>>,
  ): Promise<{ archive: Buffer; digest: string }> {
    const all = this.addJson(INDEX, { schemaVersion: 2, mediaType: INDEX, manifests: images, annotations });
    const named = { ...all, annotations: { 'org.opencontainers.image.ref.name': tag } };
    const index = { schemaVersion: 2, mediaType: INDEX, manifests: [named] };
    const entries: Entry[] = [
      { path: 'oci-layout', content: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
      { path: 'index.json', content: Buffer.from(JSON.stringify(index)) },
      ...[...this.#blobs].map(([digest, content]) => ({ path: `blobs/sha256/${digest}`, content })),
    ];
    return { archive: await tar(entries, time), digest: all.digest };
  }
}

/** Puts the images together for each processor, without a container engine and without running anything of another processor. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { BASE_PATH } from '../../e2e/application/base-image.ts';
import { type Entry, entriesOf, gzip, sha256, tar } from './archive.ts';
import { readDockerfile } from './dockerfile.ts';
import { CONFIG, type Descriptor, IN_TOTO, LAYER, Layout, MANIFEST } from './oci-layout.ts';
import type { Parts, Processor } from './parts.ts';
import { ROOT, type Source, timeText } from './source.ts';
import { type BillOfMaterials, billOf, imageMaterials, provenanceOf, type Subject } from './statements.ts';

export const IMAGES = {
  operator: "FilerPair's operator",
  fileserver: "FilerPair's file server, its sentinel, and the client with its proxy",
} as const;
export type ImageName = keyof typeof IMAGES;

interface Layer {
  readonly diffId: string;
  readonly compressed: Buffer;
  readonly from: string;
}

/** Layers that images of one processor share. */
export interface BaseLayers {
  readonly parts: Parts;
  readonly layers: readonly Layer[];
}

const layer = (content: Buffer, from: string): Layer => ({
  diffId: `sha256:${sha256(content)}`,
  compressed: gzip(content),
  from,
});

export async function baseLayers(parts: Parts, time: number): Promise<BaseLayers> {
  return {
    parts,
    layers: [layer(parts.base, "Debian's packages"), layer(await tar(parts.node, time), 'Node')],
  };
}

/**
 * @param context build context of the images (e2e/application/images.ts)
 * @returns an OCI archive with all processors, and its digest
 */
export async function imageArchive(
  name: ImageName,
  bases: ReadonlyMap<Processor, BaseLayers>,
  context: string,
  source: Source,
): Promise<{ archive: Buffer; digest: string }> {
  const layout = new Layout();
  const annotations = {
    'org.opencontainers.image.title': `filerpair-${name}`,
    'org.opencontainers.image.description': IMAGES[name],
    'org.opencontainers.image.licenses': 'Apache-2.0',
    'org.opencontainers.image.version': source.version,
    'org.opencontainers.image.revision': source.commit,
    'org.opencontainers.image.created': timeText(source),
  };
  const manifests: Descriptor[] = [];
  const attested: Descriptor[] = [];
  for (const [processor, base] of bases) {
    const one = await image(layout, name, processor, base, context, source, annotations);
    manifests.push(one.manifest);
    attested.push(one.attestations);
  }
  return layout.pack([...manifests, ...attested], source.version, source.time, annotations);
}

async function image(
  layout: Layout,
  name: ImageName,
  processor: Processor,
  { parts, layers }: BaseLayers,
  context: string,
  source: Source,
  labels: Readonly<Record<string, string>>,
): Promise<{ manifest: Descriptor; attestations: Descriptor }> {
  const { settings, copied } = readDockerfile(readFileSync(join(ROOT, `images/${name}.Dockerfile`), 'utf8'), [
    BASE_PATH,
  ]);
  const bill = imageMaterials(npmBill(context), `filerpair-${name}`, source.version, parts.materials);
  const files = filesOf(context, copied, parts, bill);
  const all = [...layers, layer(await tar(files, source.time), `images/${name}.Dockerfile`)];
  const config = layout.addJson(CONFIG, {
    created: timeText(source),
    architecture: processor,
    os: 'linux',
    config: { ...settings, Labels: labels },
    rootfs: { type: 'layers', diff_ids: all.map(({ diffId }) => diffId) },
    history: all.map(({ from }) => ({ created: timeText(source), created_by: from })),
  });
  const blobs = all.map(({ compressed }) => layout.add(LAYER, compressed));
  const manifest = layout.addJson(MANIFEST, { schemaVersion: 2, mediaType: MANIFEST, config, layers: blobs });
  const subject = { name: `filerpair-${name}`, sha256: manifest.digest.replace('sha256:', '') };
  return {
    manifest: { ...manifest, platform: { architecture: processor, os: 'linux' } },
    attestations: attest(layout, subject, bill, source, parts),
  };
}

/** As BuildKit attaches statements to an image: a manifest of no platform, beside the image's own. */
function attest(
  layout: Layout,
  subject: Subject,
  bill: BillOfMaterials,
  source: Source,
  parts: Parts,
): Descriptor {
  const statements = [billOf(subject, bill), provenanceOf([subject], source, parts.materials)];
  const texts = statements.map((one) => Buffer.from(JSON.stringify(one)));
  const layers = texts.map((text, index) => ({
    ...layout.add(IN_TOTO, text),
    annotations: {
      'in-toto.io/predicate-type': (statements[index] as { predicateType: string }).predicateType,
    },
  }));
  const config = layout.addJson(CONFIG, {
    architecture: 'unknown',
    os: 'unknown',
    config: {},
    rootfs: { type: 'layers', diff_ids: texts.map((text) => `sha256:${sha256(text)}`) },
  });
  return {
    ...layout.addJson(MANIFEST, { schemaVersion: 2, mediaType: MANIFEST, config, layers }),
    platform: { architecture: 'unknown', os: 'unknown' },
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': `sha256:${subject.sha256}`,
    },
  };
}

/** koffi has its library in a package for each processor: the context holds this machine's. */
const KOFFI = 'app/node_modules/@koromix/';
const BILL = 'app/sbom.cdx.json';

const npmBill = (context: string): BillOfMaterials =>
  JSON.parse(readFileSync(join(context, 'sbom.cdx.json'), 'utf8')) as BillOfMaterials;

function filesOf(
  context: string,
  copied: readonly { readonly from: string; readonly to: string }[],
  parts: Parts,
  bill: BillOfMaterials,
): Entry[] {
  const files = copied.flatMap(({ from, to }): Entry[] => {
    const path = join(context, from);
    if (statSync(path).isDirectory()) return entriesOf(path, to);
    return [{ path: to, content: readFileSync(path) }];
  });
  const own = files.filter(({ path }) => !path.startsWith(KOFFI) && path !== BILL);
  const needsKoffi = own.length + 1 < files.length;
  return [
    ...own,
    ...(needsKoffi ? parts.koffi : []),
    { path: BILL, content: Buffer.from(`${JSON.stringify(bill, null, 1)}\n`) },
  ];
}

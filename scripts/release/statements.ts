/** What a release says about itself: bills of materials (CycloneDX) and how it was built (in-toto, SLSA provenance 1.0). */
import type { Material } from './parts.ts';
import type { Source } from './source.ts';

// Without times, serial numbers and names of machines: two builds of one commit say the same. Nothing is signed here: the
// publisher signs the digests.

export interface BillOfMaterials {
  readonly components: readonly object[];
  readonly metadata?: object;
}

/** Adds what an image has besides the packages of npm that are bundled. */
export function imageMaterials(
  npm: BillOfMaterials,
  image: string,
  version: string,
  materials: readonly Material[],
): BillOfMaterials {
  const others = materials.map(({ purl, name, version: its, hash }) => ({
    'bom-ref': purl,
    type: 'library',
    name,
    version: its,
    purl,
    hashes: [hash],
  }));
  return {
    ...npm,
    metadata: { component: { type: 'container', name: image, version } },
    components: [...npm.components, ...others],
  };
}

/** What a statement is about. */
export interface Subject {
  readonly name: string;
  /** SHA-256, hexadecimal. */
  readonly sha256: string;
}

const statement = (subjects: readonly Subject[], predicateType: string, predicate: object): object => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: subjects.map(({ name, sha256 }) => ({ name, digest: { sha256 } })),
  predicateType,
  predicate,
});

export const billOf = (subject: Subject, bill: BillOfMaterials): object =>
  statement([subject], 'https://cyclonedx.org/bom', bill);

/** @param materials what came from others, besides the packages of the commit's lock file */
export function provenanceOf(
  subjects: readonly Subject[],
  source: Source,
  materials: readonly Material[],
): object {
  return statement(subjects, 'https://slsa.dev/provenance/v1', {
    buildDefinition: {
      buildType: 'https://filerpair.dev/make-release/v1',
      externalParameters: { command: 'make release', version: source.version, commit: source.commit },
      internalParameters: { SOURCE_DATE_EPOCH: source.time, changed: source.changed },
      resolvedDependencies: [
        { name: 'filerpair', digest: { gitCommit: source.commit } },
        ...materials.map(({ purl, hash }) => ({
          uri: purl,
          digest: { [hash.alg === 'SHA-256' ? 'sha256' : 'sha512']: hash.content },
        })),
      ],
    },
    runDetails: { builder: { id: 'https://filerpair.dev/make-release' } },
  });
}

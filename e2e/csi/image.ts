/**
 * The image of the CSI driver and its sidecars: TypeScript as it is (Node strips the types), the packages that it needs, the
 * protocol definitions from the modules that publish them, and the Go programs.
 */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { baseImage } from '../application/base-image.ts';
import { type CsiAbilities, csiSidecars, moduleSource } from '../kind/go-programs.ts';
import { KUBERNETES } from '../kind/versions.ts';
import { type Cache, contentHash, directoryInputs } from '../machine/cache.ts';
import { run } from '../machine/command.ts';
import { imageExists } from '../machine/docker-images.ts';
import { stage } from '../machine/stage.ts';

/** Version of the interface between Kubernetes and storage drivers. */
const CSI_SPEC = 'v1.12.0';
const PACKAGES = ['@grpc/grpc-js', '@grpc/proto-loader'];
const PROTOCOLS: readonly {
  readonly file: string;
  readonly module: string;
  readonly version: string;
  readonly path: string;
}[] = [
  {
    file: 'csi.proto',
    module: 'github.com/container-storage-interface/spec',
    version: CSI_SPEC,
    path: 'csi.proto',
  },
  {
    file: 'registration.proto',
    module: 'k8s.io/kubelet',
    version: KUBERNETES.replace(/^v1\./, 'v0.'),
    path: 'pkg/apis/pluginregistration/v1/api.proto',
  },
];

export async function csiImage(cache: Cache, repository: string, abilities: CsiAbilities): Promise<string> {
  const base = await baseImage(cache, repository);
  const sidecars = await csiSidecars(cache, abilities);
  const context = join(repository, '.cache/images/csi');
  rmSync(context, { recursive: true, force: true });
  mkdirSync(join(context, 'programs'), { recursive: true });
  cpSync(join(import.meta.dirname, 'driver'), join(context, 'driver'), { recursive: true });
  for (const { file, module, version, path } of PROTOCOLS) {
    mkdirSync(join(context, 'protocols'), { recursive: true });
    cpSync(join(await moduleSource(module, version), path), join(context, 'protocols', file));
  }
  for (const name of withDependencies(repository, PACKAGES))
    cpSync(join(repository, 'node_modules', name), join(context, 'node_modules', name), { recursive: true });
  const dockerfile = join(import.meta.dirname, 'csi.Dockerfile');
  const inputs = [base, readFileSync(dockerfile), ...directoryInputs(context), ...sidecars.values()];
  const reference = `filerpair/e2e-csi:${contentHash(inputs)}`;
  if (await imageExists(reference)) return reference;
  for (const [name, path] of sidecars) cpSync(path, join(context, 'programs', name));
  const build = ['docker', 'build', '--quiet', '--build-arg', `BASE_IMAGE=${base}`, '--file', dockerfile];
  await stage(`building ${reference}`, () =>
    run([...build, '--tag', reference, context], { variables: { DOCKER_BUILDKIT: '0' } }),
  );
  return reference;
}

/** Names of packages with everything that they need. All lie at the top of node_modules, or the driver would not start. */
function withDependencies(repository: string, names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const add = (name: string): void => {
    const directory = join(repository, 'node_modules', name);
    if (found.has(name) || !existsSync(directory)) return;
    found.add(name);
    const { dependencies = {} } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
      dependencies?: Record<string, string>;
    };
    Object.keys(dependencies).forEach(add);
  };
  names.forEach(add);
  return found;
}

/** Reads our Dockerfiles, so that images without a container engine have the same files and settings as those built by one. */

// Only instructions that copy files and set what a container starts with: with RUN an image could not be put together for a
// processor that this machine does not have.

/** `config` of an image (OCI image specification, "Image Configuration"). */
export interface ImageSettings {
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly ExposedPorts: Readonly<Record<string, object>>;
}

/** A file or directory of the build context, and where it goes. */
export interface Copied {
  readonly from: string;
  readonly to: string;
}

export interface Recipe {
  readonly settings: ImageSettings;
  readonly copied: readonly Copied[];
}

/**
 * @param env what the base image sets already
 * @throws Error on an instruction that is not known here
 */
export function readDockerfile(text: string, env: readonly string[]): Recipe {
  const settings: { -readonly [name in keyof ImageSettings]: ImageSettings[name] } = {
    Env: env,
    Entrypoint: [],
    Cmd: [],
    ExposedPorts: {},
  };
  const copied: Copied[] = [];
  for (const line of text.replaceAll('\\\n', ' ').split('\n')) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === undefined || rest === undefined) {
      if (line === '' || line.startsWith('#')) continue;
      throw new Error(`not an instruction: ${line}`);
    }
    if (name === 'COPY') copied.push(...copies(rest));
    else if (name === 'ENV') settings.Env = [...settings.Env, ...rest.split(/\s+/)];
    else if (name === 'USER') settings.User = rest;
    else if (name === 'WORKDIR') settings.WorkingDir = rest;
    else if (name === 'ENTRYPOINT') settings.Entrypoint = JSON.parse(rest) as string[];
    else if (name === 'CMD') settings.Cmd = JSON.parse(rest) as string[];
    else if (name === 'EXPOSE')
      settings.ExposedPorts = Object.fromEntries(rest.split(/\s+/).map((port) => [`${port}/tcp`, {}]));
    else if (name !== 'ARG' && name !== 'FROM')
      throw new Error(`${name} cannot be carried out without a container engine: ${line}`);
  }
  return { settings, copied };
}

/** A directory's contents go to the target; a file goes into it if that ends with a slash. */
function copies(rest: string): Copied[] {
  const words = rest.split(/\s+/);
  const target = words.pop()!;
  if (words.some((word) => word.startsWith('--'))) throw new Error(`flags of COPY are not known: ${rest}`);
  return words.map((from) => {
    const isFile = !from.endsWith('/');
    const to = isFile && target.endsWith('/') ? `${target}${from.split('/').pop()}` : target;
    return { from: from.replace(/\/$/, ''), to: to.replace(/^\//, '').replace(/\/$/, '') };
  });
}

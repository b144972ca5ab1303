/** The mounts of this machine, as the kernel lists them, and the options with which ours are made. */

export interface MountEntry {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** Of /proc/self/mounts: source, target, type and options, each with \040 for a space. Later lines lie over earlier ones. */
export function parseMounts(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [source, target, type, options = ''] = line.split(' ');
    if (source === undefined || target === undefined || type === undefined) return [];
    return [{ source: unescaped(source), target: unescaped(target), type, options: options.split(',') }];
  });
}

const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));

/** The address or name in `10.0.0.1:/home` or `[fd00::1]:/home`. */
export function hostIn(source: string): string {
  const match = /^\[([^\]]+)\]:|^([^:]+):/.exec(source);
  return match?.[1] ?? match?.[2] ?? '';
}

/** Port of an NFS mount's server; 0: the list does not say it. */
export function portOf({ options }: MountEntry): number {
  return Number(options.find((each) => each.startsWith('port='))?.slice('port='.length) ?? 0);
}

/** `10.0.0.1:/home`, `[fd00::1]:/home`. */
export function sourceOf(host: string, path: string): string {
  return `${host.includes(':') ? `[${host}]` : host}:${path}`;
}

/**
 * All that the kernel must be told so that it asks for nothing but this one port. `hard`: its calls wait through any outage. No
 * locks over the network: they would need a port mapper.
 */
export function mountOptions(port: number, isV6: boolean, given: string | undefined): string {
  const protocol = isV6 ? 'tcp6' : 'tcp';
  const own = [
    'vers=3',
    `proto=${protocol}`,
    `mountproto=${protocol}`,
    `port=${port}`,
    `mountport=${port}`,
    'nolock',
    'hard',
  ];
  // Options that are only for fstab and mount(8) itself do not reach the kernel.
  const others = (given ?? '')
    .split(',')
    .filter((each) => each !== '' && !/^(_netdev|nofail|noauto|x-.*)$/.test(each));
  return [...own, ...others].join(',');
}

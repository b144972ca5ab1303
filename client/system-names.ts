/** Names to addresses as this machine resolves them, so that a name whose name server is silent holds up no other name. */
import { promises as dns } from 'node:dns';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

// getaddrinfo(3) is asked first: it knows everything that this machine is configured for. But it blocks a thread, libuv gives it
// two of its four, and one silent name server keeps a thread for many seconds. So a process asks it about a name once at a time,
// for all callers. When it has not answered for a moment, the file /etc/hosts and the name servers (by c-ares, which needs no
// thread) are asked repeatedly beside it, until one of them answers.

/** After this time without an answer of getaddrinfo the other ways are tried, in ms; then once in the time after that. */
const BESIDE_AFTER_MS = 250;
const BESIDE_INTERVAL_MS = 1000;

/** Where a name may be found. Each rejects, or finds nothing, when it does not know the name. */
export interface NameSources {
  readonly getaddrinfo: (name: string) => Promise<readonly string[]>;
  readonly beside: (name: string) => Promise<readonly string[]>;
}

export class SystemNames {
  readonly #sources: NameSources;
  readonly #asking = new Map<string, Promise<readonly string[]>>();
  /** Questions to getaddrinfo, which may outlast the answer from elsewhere. */
  readonly #running = new Map<string, Promise<readonly string[]>>();

  constructor(sources: NameSources) {
    this.#sources = sources;
  }

  /** All addresses of a name. Rejects with the error of getaddrinfo when there is none. */
  lookup(name: string): Promise<readonly string[]> {
    let found = this.#asking.get(name);
    if (found === undefined) {
      found = this.#ask(name).finally(() => this.#asking.delete(name));
      this.#asking.set(name, found);
    }
    return found;
  }

  async #ask(name: string): Promise<readonly string[]> {
    let first = this.#running.get(name);
    if (first === undefined) {
      first = this.#sources.getaddrinfo(name).finally(() => this.#running.delete(name));
      this.#running.set(name, first);
    }
    const running = first;
    const beside = async (): Promise<readonly string[]> => {
      await delay(BESIDE_AFTER_MS, undefined, { ref: false });
      while (this.#running.get(name) === running) {
        const found = await this.#sources.beside(name).catch(() => []);
        if (found.length > 0) return found;
        await delay(BESIDE_INTERVAL_MS, undefined, { ref: false });
      }
      return running;
    };
    return Promise.race([running, beside()]);
  }
}

async function askSystem(name: string): Promise<readonly string[]> {
  // Every search's attempts go on anyway, so the order is the resolver's own (no preference for IPv4).
  const found = await dns.lookup(name, { all: true, order: 'verbatim' });
  return found.map((each) => each.address);
}

async function askBeside(name: string): Promise<readonly string[]> {
  const hosts = await readFile('/etc/hosts', 'utf8').catch(() => '');
  const found = inHosts(hosts, name);
  return found.length > 0 ? found : askNameServers(name);
}

/** hosts(5): an address and names, `#` begins a comment. */
export function inHosts(text: string, name: string): readonly string[] {
  const wanted = name.replace(/\.$/, '').toLowerCase();
  return text.split('\n').flatMap((line) => {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const matches = names.some((each) => each.toLowerCase() === wanted);
    return matches && address !== undefined && isIP(address) !== 0 ? [address] : [];
  });
}

async function askNameServers(name: string): Promise<readonly string[]> {
  const conf = await readFile('/etc/resolv.conf', 'utf8').catch(() => '');
  const resolver = new dns.Resolver({ timeout: BESIDE_INTERVAL_MS, tries: 1 });
  for (const candidate of searched(conf, name)) {
    const answers = await Promise.allSettled([resolver.resolve4(candidate), resolver.resolve6(candidate)]);
    const found = answers.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
    if (found.length > 0) return found;
  }
  return [];
}

/** resolv.conf(5), `search` and `ndots`: the names to ask for, in order. c-ares leaves that to its caller here. */
export function searched(conf: string, name: string): readonly string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)];
  const domains = /^\s*(?:search|domain)\s+(.+)$/gm;
  const last = [...conf.matchAll(domains)].at(-1)?.[1] ?? '';
  const below = last
    .split(/\s+/)
    .filter((each) => each !== '' && each !== '.')
    .map((domain) => `${name}.${domain}`);
  const ndots = Number(/^\s*options\s.*\bndots:(\d+)/m.exec(conf)?.[1] ?? 1);
  const dots = name.split('.').length - 1;
  return dots >= ndots ? [name, ...below] : [...below, name];
}

/** The names of this process. */
export const systemNames = new SystemNames({ getaddrinfo: askSystem, beside: askBeside });

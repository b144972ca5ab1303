/** A pair whose names are published outside the cluster, and who is asked about them: the DNS server of the tests, directly. */
import { Resolver } from 'node:dns/promises';
import { eventually } from '../../testing/eventually.ts';
import type { TestEnvironment } from '../environment.ts';
import {
  EXPORTS,
  PAIR,
  Pair,
  pairManifest,
  SERVERS,
  type Server,
  SUFFIX,
  serviceOf,
  shareManifests,
} from '../harness/pair.ts';
import { DOMAIN, dnsServer, nsupdate } from './install.ts';

/** external-dns looks once a second, BIND takes moments; the first zone transfer of a cold external-dns takes longer. */
export const PUBLISHED_MS_MAX = 60_000;
export const TTL_S = 5;

/** Both names of both servers: the server's and its failover name. */
export const NAMES = SERVERS.map(serviceOf).flatMap((service) => [service, `${service}${SUFFIX}`]);

export interface NamesSettings {
  /** Below the zone, so that scenarios do not meet in it. */
  readonly label: string;
  /** Further fields of spec; of spec.names. */
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly names?: Readonly<Record<string, unknown>>;
  /** Further fields of one server. */
  readonly server?: (name: Server) => Readonly<Record<string, unknown>>;
  /** Ports in the URL, where they are not the usual ones. */
  readonly ports?: (name: Server) => string;
}

export class NamesPair extends Pair {
  readonly #settings: NamesSettings;
  #resolver: Promise<Resolver> | undefined;
  /** Addresses that may mount; everybody by default. */
  clients: readonly string[] = ['0.0.0.0/0'];

  constructor(environment: TestEnvironment, namespace: string, settings: NamesSettings) {
    super(environment, namespace);
    this.#settings = settings;
  }

  get domain(): string {
    return `${this.#settings.label}.${DOMAIN}`;
  }

  protected override manifest(): object {
    const shared = pairManifest(this.namespace);
    const { spec, names, server } = this.#settings;
    const servers = shared.spec.servers.map((one) => ({ ...one, ...server?.(one.name) }));
    const published = { domain: this.domain, recordTTLSeconds: TTL_S, ...names };
    return { ...shared, spec: { ...shared.spec, servers, names: published, ...spec } };
  }

  override shares(): object[] {
    return shareManifests(this.namespace, this.clients);
  }

  override urlOf(server: Server): string {
    const ports = this.#settings.ports?.(server) ?? '';
    return `nfs://${this.fullName(serviceOf(server))}${ports}${EXPORTS[server]}`;
  }

  fullName(name: string): string {
    return `${name}.${this.domain}`;
  }

  /** Asks BIND and nobody else. */
  #dns(): Promise<Resolver> {
    this.#resolver ??= dnsServer(this.environment).then((address) => {
      const resolver = new Resolver({ timeout: 1_000, tries: 3 });
      resolver.setServers([address]);
      return resolver;
    });
    return this.#resolver;
  }

  /** What BIND answers for one name. */
  async addressesOf(name: string): Promise<{ readonly address: string; readonly ttl: number }[]> {
    return (await this.#dns()).resolve4(this.fullName(name), { ttl: true }).catch(nothing);
  }

  async aliasOf(name: string): Promise<string[]> {
    return (await this.#dns()).resolveCname(this.fullName(name)).catch(nothing);
  }

  /** Grows with every change of any record in the zone. */
  async zoneSerial(): Promise<number> {
    return (await (await this.#dns()).resolveSoa(DOMAIN)).serial;
  }

  /** Waits until all four names answer, and returns what. */
  async published(): Promise<Readonly<Record<string, string>>> {
    let found: Record<string, string> = {};
    const all = async () => {
      const answers = await Promise.all(
        NAMES.map(
          async (name) => [name, (await this.addressesOf(name)).map(({ address }) => address)] as const,
        ),
      );
      found = Object.fromEntries(answers.map(([name, addresses]) => [name, addresses.join(' ')]));
      return answers.every(([, addresses]) => addresses.length > 0);
    };
    await eventually('the DNS answers all four names', PUBLISHED_MS_MAX, all, () => JSON.stringify(found));
    return found;
  }

  /** Has the operator look at the pair now; it asks the DNS rarely while everything is right. */
  async lookAgain(): Promise<void> {
    await this.kubectl.run('annotate', 'filerpair', PAIR, `e2e/look=${performance.now()}`, '--overwrite');
  }

  /** Waits for what the condition NamesPublished says, hurrying the operator, and returns its sentence. */
  async namesAre(reason: string, words = ''): Promise<string> {
    let looked = 0;
    const says = () => this.latest?.status?.conditions?.find(({ type }) => type === 'NamesPublished');
    await eventually(
      `NamesPublished is ${reason}`,
      PUBLISHED_MS_MAX,
      async () => {
        if (says()?.reason === reason && says()?.message.includes(words)) return true;
        // Not sooner than it would ask again.
        if (performance.now() - looked > 5_500) {
          looked = performance.now();
          await this.lookAgain();
        }
        return false;
      },
      () => JSON.stringify(says()),
    );
    return says()!.message;
  }

  /** Changes the zone past external-dns, as an administrator with the key can. */
  change(...lines: readonly string[]): Promise<void> {
    return nsupdate(this.environment, lines);
  }
}

/** No such name, or no such record; anything else is an error. */
function nothing(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOTFOUND' || error.code === 'ENODATA') return [];
  throw error;
}

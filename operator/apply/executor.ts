/** Carries out a plan, action by action. What fails ends the plan: the next decision starts from what there is then. */

import { randomBytes } from 'node:crypto';
import type { FilerPairStatus } from '../../crds/pair/status.ts';
import { ApiError, isAlreadyExists, isConflict, isInvalid, isNotFound } from '../../kubernetes/api-error.ts';
import type { KubernetesClient } from '../../kubernetes/client.ts';
import { labels } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject, Lease, MergePatch } from '../../kubernetes/objects.ts';
import { apiVersionOf, type Resource, resources } from '../../kubernetes/resource.ts';
import type { Action, PairEvent } from '../model/action.ts';
import { fingerprint } from '../model/fingerprint.ts';
import { attachedElsewhere, nodeOfUser, userElsewhere } from '../model/held-elsewhere.ts';
import { FIELD_MANAGER } from '../model/names.ts';
import { volumeHeld } from '../model/node-silence.ts';
import type { FilerPairObject, FilerPairOperationObject, Pod, VolumeAttachment } from '../model/objects.ts';
import type { Problem } from '../model/observed.ts';
import { hasEnded } from '../model/operation-ended.ts';
import type { Secret } from '../watch/certificates.ts';
import { issueCertificate, makeAuthority } from './certificate-authority.ts';
import { FreshReads } from './fresh-reads.ts';

/** Something that will not go away by trying again: it has to be told. */
export class ExecutionProblem extends Error {
  override readonly name = 'ExecutionProblem';
  readonly problem: Problem;

  constructor(problem: Problem, cause?: unknown) {
    super(problem.message, { cause });
    this.problem = problem;
  }
}

export class Executor {
  readonly #client: KubernetesClient;
  readonly #reporter: string;
  readonly #reads = new FreshReads();

  /** @param reporter name of this operator instance, for events. */
  constructor(client: KubernetesClient, reporter: string) {
    this.#client = client;
    this.#reporter = reporter;
  }

  /**
   * Returns the object's new resourceVersion, where the API server tells it. Throws {@link ExecutionProblem}, or ApiError for what
   * may work the next time.
   */
  async execute(action: Action): Promise<string | undefined> {
    try {
      const written = await this.#attempt(action);
      return written?.metadata?.resourceVersion;
    } catch (error) {
      if (!(error instanceof ApiError) || !isLasting(error)) throw error;
      if (action.kind === 'check') throw checkFailed(action, error);
      const what = `${action.kind} ${resources[action.resource].kind} ${nameOf(action)}`;
      throw new ExecutionProblem(
        { reason: reasonOf(error), message: `Could not ${what}: ${error.message}${wayOut(action, error)}` },
        error,
      );
    }
  }

  /** Server-side apply of the whole status. Returns the pair's new resourceVersion. */
  async writeStatus(pair: FilerPairObject, status: FilerPairStatus): Promise<string | undefined> {
    const { name, namespace } = pair.metadata;
    const object = {
      apiVersion: apiVersionOf(resources.filerPairs),
      kind: resources.filerPairs.kind,
      metadata: { name, namespace },
      status,
    } as KubernetesObject;
    const written = await this.#client.apply(resources.filerPairs, object, FIELD_MANAGER, {
      subresource: 'status',
    });
    return written.metadata?.resourceVersion;
  }

  /** Records an event once: about the pair, or about the object that the event names. */
  async recordEvent(pair: FilerPairObject | null, event: PairEvent): Promise<void> {
    const about = event.about?.object ?? pair;
    if (about === null) return;
    const resource = resources[event.about?.resource ?? 'filerPairs'];
    const { name = '', namespace, uid } = about.metadata;
    const object = {
      apiVersion: apiVersionOf(resources.events),
      kind: resources.events.kind,
      metadata: { name: `${name}.${fingerprint([uid, event.reason, event.key])}`, namespace },
      eventTime: `${new Date().toISOString().slice(0, -1)}000Z`,
      reportingController: 'filerpair.dev/operator',
      reportingInstance: this.#reporter.slice(0, 128),
      action: 'Reconcile',
      type: event.type,
      reason: event.reason,
      note: cutToBytes(event.note, NOTE_BYTES_MAX),
      regarding: {
        apiVersion: apiVersionOf(resource),
        kind: resource.kind,
        name,
        namespace,
        uid,
      },
    } as KubernetesObject;
    await this.#client.create(resources.events, object).catch((error: unknown) => {
      if (!isAlreadyExists(error)) throw error;
    });
  }

  /**
   * Server-side apply merges a Service's ports by number. A port whose number somebody has edited would stay beside the one that
   * is applied, with the same name, which is invalid. Then the whole list is replaced first.
   */
  async #apply({ resource, object }: Action & { kind: 'apply' }): Promise<KubernetesObject> {
    const apply = () => this.#client.apply(resources[resource], object, FIELD_MANAGER);
    try {
      return await apply();
    } catch (error) {
      const { ports } = (object as { readonly spec?: { readonly ports?: unknown } }).spec ?? {};
      if (!isInvalid(error) || resource !== 'services' || ports === undefined) throw error;
      const { namespace, name = '' } = object.metadata;
      await this.#client.mergePatch(resources.services, { namespace, name }, { spec: { ports } });
      return apply();
    }
  }

  async #attempt(action: Action): Promise<KubernetesObject | undefined> {
    const resource = resources[action.resource];
    switch (action.kind) {
      case 'apply':
        if (action.expect === 'absent') await this.#expectNothingOfOthers(action);
        return this.#apply(action);
      case 'applyStatus':
        return this.#client.apply(resource, action.object, FIELD_MANAGER, { subresource: 'status' });
      case 'create':
        await this.#client.create(resource, action.object).catch(async (error: unknown) => {
          if (!isAlreadyExists(error)) throw error;
          // The name says what is in it: an attempt whose answer was lost, or is not in the cache yet, has made ours.
          await this.#expectNothingOfOthers(action);
        });
        return;
      case 'check':
        await this.#client.create(resource, action.object, { dryRun: true });
        return;
      case 'confirm':
        await this.#confirm(action);
        return;
      case 'confirmDetached':
        await this.#confirmDetached(action);
        return;
      case 'confirmKept':
        await this.#confirmKept(action);
        return;
      case 'confirmNodeGone':
        await this.#confirmNodeGone(action);
        return;
      case 'confirmReleased':
        await this.#confirmReleased(action);
        return;
      case 'confirmUnended':
        await this.#confirmUnended(action);
        return;
      case 'createSecret': {
        const data = { [action.key]: randomBytes(action.size).toString('base64') };
        const object = { ...action.object, type: 'Opaque', data } as KubernetesObject;
        await this.#createSecret(object);
        return;
      }
      case 'makeAuthority':
        await this.#makeAuthority(action);
        return;
      case 'issueCertificate':
        await this.#issueCertificate(action);
        return;
      case 'patch':
        return this.#client.mergePatch(resource, action, action.patch);
      case 'delete':
        await this.#client.delete(resource, action, { uid: action.uid }).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
        return;
    }
  }

  async #makeAuthority({
    object,
    replaces,
    name,
    lifetimeMs,
    previous,
  }: Action & { kind: 'makeAuthority' }): Promise<void> {
    const made = await makeAuthority(name, Date.now(), lifetimeMs);
    const data = { 'tls.crt': base64(made.certificate), 'tls.key': base64(made.key) };
    if (previous !== 'the one that signs now') {
      const older = previous.length === 0 ? {} : { 'previous.crt': base64(previous.join('')) };
      await this.#putSecret(object, { ...data, ...older }, replaces);
      return;
    }
    const { data: present = {} } = await this.#client.get<Secret>(resources.secrets, nameIn(object));
    const older = { 'previous.crt': present['tls.crt'] ?? '', 'previous.key': present['tls.key'] ?? '' };
    await this.#putSecret(object, { ...data, ...older }, replaces);
  }

  async #issueCertificate(action: Action & { kind: 'issueCertificate' }): Promise<void> {
    const { object, replaces, authority, by, dnsName, lifetimeMs } = action;
    const { namespace } = object.metadata;
    const secret = await this.#client.get<Secret>(resources.secrets, { namespace, name: authority });
    const text = (key: string): string => Buffer.from(secret.data?.[key] ?? '', 'base64').toString();
    const signer =
      by === 'newest'
        ? { certificate: text('tls.crt'), key: text('tls.key') }
        : { certificate: text('previous.crt'), key: text('previous.key') };
    const { certificate, key } = await issueCertificate(signer, dnsName, Date.now(), lifetimeMs);
    const trusted = [text('tls.crt'), text('previous.crt')].join('');
    const data = { 'tls.crt': base64(certificate), 'tls.key': base64(key), 'ca.crt': base64(trusted) };
    await this.#putSecret(object, data, replaces);
  }

  /** `replaces`: resourceVersion of what is there, for a compare-and-swap; null: nothing is. */
  async #putSecret(
    object: KubernetesObject,
    data: Readonly<Record<string, string>>,
    replaces: string | null,
  ): Promise<void> {
    if (replaces === null) {
      await this.#createSecret({ ...object, type: 'kubernetes.io/tls', data } as KubernetesObject);
      return;
    }
    const { labels: wanted, annotations, ownerReferences } = object.metadata;
    const metadata = {
      resourceVersion: replaces,
      ...(wanted === undefined ? {} : { labels: wanted }),
      ...(annotations === undefined ? {} : { annotations }),
      ...(ownerReferences === undefined ? {} : { ownerReferences }),
    };
    await this.#client.mergePatch(resources.secrets, nameIn(object), { metadata, data } as MergePatch);
  }

  /** A Secret that an attempt has made whose answer was lost stays as it is; the next reconcile sees it. */
  async #createSecret(object: KubernetesObject): Promise<void> {
    await this.#client.create(resources.secrets, object).catch(async (error: unknown) => {
      if (!isAlreadyExists(error)) throw error;
      await this.#expectNothingOfOthers({ resource: 'secrets', object });
    });
  }

  async #confirm({ resource, namespace, name, holder, epoch }: Action & { kind: 'confirm' }): Promise<void> {
    const { spec } = await this.#client.get<Lease>(resources[resource], { namespace, name });
    if ((spec?.holderIdentity || null) === holder && (spec?.leaseTransitions ?? 0) === epoch) return;
    throw conflict(`Lease ${name} does not name ${holder ?? 'nobody'} at epoch ${epoch} any more`);
  }

  async #confirmKept({ resource, namespace, name }: Action & { kind: 'confirmKept' }): Promise<void> {
    const claim = await this.#find(resources[resource], { namespace, name });
    if (claim?.metadata.deletionTimestamp === undefined) return;
    throw conflict(`PersistentVolumeClaim ${name} is being deleted, and would go with its last pod`);
  }

  async #confirmNodeGone({ resource, name }: Action & { kind: 'confirmNodeGone' }): Promise<void> {
    if ((await this.#find(resources[resource], { name })) === null) return;
    throw conflict(`Node ${name} is there again`);
  }

  async #confirmReleased({ name, volumes }: Action & { kind: 'confirmReleased' }): Promise<void> {
    const node = await this.#reads.ask(`node ${name}`, () => this.#find(resources.nodes, { name }));
    const used = volumeHeld(node ?? undefined, volumes);
    if (used !== null) throw conflict(`Node ${name} ${used}`);
  }

  async #confirmUnended({ namespace, name, uid }: Action & { kind: 'confirmUnended' }): Promise<void> {
    const operation = await this.#client.get<FilerPairOperationObject>(resources.filerPairOperations, {
      namespace,
      name,
    });
    if (operation.metadata.uid === uid && !hasEnded(operation)) return;
    throw conflict(`FilerPairOperation ${name} has ended, or is another one by now`);
  }

  /** Past the caches; null: there is none. */
  #find(
    resource: Resource,
    at: { readonly namespace?: string | undefined; readonly name: string },
  ): Promise<KubernetesObject | null> {
    return this.#client.get<KubernetesObject>(resource, at).catch((error: unknown) => {
      if (isNotFound(error)) return null;
      throw error;
    });
  }

  async #confirmDetached(action: Action & { kind: 'confirmDetached' }): Promise<void> {
    const { namespace, node } = action;
    const [pods, attachments] = await Promise.all([
      this.#reads.ask(`pods in ${namespace}`, () => this.#client.list<Pod>(resources.pods, { namespace })),
      this.#reads.ask('attachments', () => this.#client.list<VolumeAttachment>(resources.volumeAttachments)),
    ]);
    const user = userElsewhere(pods.items, action);
    if (user !== undefined) {
      const message = `Pod ${user.metadata.name}, on node ${nodeOfUser(user)}, uses a claim that is to be mounted on node ${node}`;
      // One of ours that is not in the cache yet; the next reconcile sees it.
      if (user.metadata.labels?.[labels.attachment] !== undefined) throw conflict(message);
      throw new ExecutionProblem({
        reason: 'ClaimInUse',
        message: `${message}: it has to end first, and the operator ends only pods of its own.`,
      });
    }
    const attached = attachedElsewhere(attachments.items, action);
    if (attached === undefined) return;
    const { metadata, spec } = attached;
    throw conflict(
      `VolumeAttachment ${metadata.name} says that volume ${spec?.source?.persistentVolumeName} is attached to node ${spec?.nodeName}`,
    );
  }

  async #expectNothingOfOthers({
    resource,
    object,
  }: Pick<Action & { kind: 'apply' | 'create' }, 'resource' | 'object'>): Promise<void> {
    const { name = '', namespace } = object.metadata;
    const found = await this.#find(resources[resource], { namespace, name });
    const mine = object.metadata.labels?.[labels.pair];
    const theirs = found?.metadata.labels?.[labels.pair];
    if (found === null || theirs === mine) return;
    // Its label was removed by hand; whose it is stands in its owner reference too.
    const [owner] = object.metadata.ownerReferences ?? [];
    if (owner !== undefined && found.metadata.ownerReferences?.some(({ uid }) => uid === owner.uid)) return;
    throw new ExecutionProblem({
      reason: 'NameTaken',
      message: `${resources[resource].kind} ${name} exists in namespace ${namespace} and ${theirs === undefined ? 'was not made for a FilerPair' : `belongs to FilerPair ${theirs}`}. Rename the server, or remove that ${resources[resource].kind}.`,
    });
  }
}

/** Like a compare-and-swap that was lost: the pair is reconciled again. */
const conflict = (message: string): ApiError =>
  new ApiError({ outcome: 'refused', status: 409, reason: 'Conflict', message });

/** Running servers stay as they are; only the rollout waits. */
function checkFailed({ object }: Action & { kind: 'check' }, error: ApiError): ExecutionProblem {
  const server = object.metadata.labels?.[labels.server];
  const what = server === undefined ? `pod ${object.metadata.name}` : `a new pod for ${server}`;
  const message = `The API server would refuse ${what}, so what runs is left alone: ${error.message}`;
  return new ExecutionProblem({ reason: reasonOf(error), message, concerns: 'rollout' }, error);
}

/** Trying again cannot help: forbidden, invalid, or an object that cannot exist. Conflicts pass. */
const isLasting = (error: ApiError): boolean =>
  error.outcome === 'refused' &&
  !isConflict(error) &&
  error.status !== 429 &&
  error.status !== 404 &&
  !isNamespaceEnding(error);

/** Nothing can be created in a namespace that is being deleted; soon there is nothing left to decide about. */
export const isNamespaceEnding = (error: unknown): boolean =>
  error instanceof ApiError &&
  error.status === 403 &&
  error.message.includes('because it is being terminated');

/** Adds what to do where the API server's own words do not say it. */
function wayOut(action: Action, { message }: ApiError): string {
  const { namespace = '' } = 'object' in action ? action.object.metadata : action;
  const stop = message.endsWith('.') ? '' : '.';
  if (message.includes('violates PodSecurity'))
    return `${stop} File servers need the level privileged: kubectl label --overwrite namespace ${namespace} pod-security.kubernetes.io/enforce=privileged`;
  if (message.includes('exceeded quota'))
    return `${stop} Have the ResourceQuota of namespace ${namespace} raised, or ask for less in spec.podTemplate or spec.volumes`;
  return '';
}

function reasonOf(error: ApiError): 'Forbidden' | 'Rejected' | 'Refused' {
  if (error.status === 403) return 'Forbidden';
  if (error.status === 422) return 'Rejected';
  return 'Refused';
}

/** The API allows 1024 bytes. */
const NOTE_BYTES_MAX = 1024;

/** Text that people wrote may take several bytes a character. */
function cutToBytes(text: string, bytesMax: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= bytesMax) return text;
  let end = bytesMax;
  // Not in the middle of a character.
  while ((bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');

const nameIn = ({ metadata: { namespace, name = '' } }: KubernetesObject) => ({ namespace, name });

export function nameOf(action: Action): string {
  const where = 'object' in action ? action.object.metadata : action;
  return `${where.namespace ?? ''}/${where.name ?? ''}`;
}

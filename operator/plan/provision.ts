/** Objects that have to exist for a pair, in the order in which they are needed, and those that are missing or not as they should be. */

import { amountOf } from '../../crds/quantities.ts';
import {
  type EndpointSlice,
  endpointsOf,
  type FailoverEndpoint,
  shownBy,
} from '../../kubernetes/failover-endpoint.ts';
import { endpointAnnotations, labels } from '../../kubernetes/labels-and-annotations.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';
import type { Assessment } from '../assess/assessment.ts';
import { takenBy } from '../assess/claim-taken.ts';
import { claimsFit } from '../assess/claims-fit.ts';
import { claimWasThere } from '../assess/claims-there.ts';
import { failoverEndpoint } from '../assess/failover-endpoint.ts';
import { mayCreateLease } from '../assess/lease-lost.ts';
import { isClaimOffered, secretsOffered } from '../assess/offered.ts';
import { leasesBelongToPair, podReplacement } from '../assess/pod-replacement.ts';
import { access } from '../desired/access.ts';
import { claimLabels, newClaim } from '../desired/claim.ts';
import { dnsEndpoint, publishesByEndpoint } from '../desired/dns-endpoint.ts';
import { newLease } from '../desired/lease.ts';
import { networkPolicies, networkPolicyNames } from '../desired/network-policies.ts';
import { type Desired, desired, pairLabels } from '../desired/owned.ts';
import { newPod } from '../desired/pod.ts';
import { podPort, portNumbers } from '../desired/ports.ts';
import { renderingOf } from '../desired/rendering.ts';
import { requestedCertificate } from '../desired/requested-certificate.ts';
import { configMap, configMapName, configMapOfPod } from '../desired/server-config.ts';
import { servicePortName, services } from '../desired/services.ts';
import { type Action, deletion, inSequence, patchOf, sideBySide } from '../model/action.ts';
import { recordOf } from '../model/disk-set-record.ts';
import type { LeaseView } from '../model/lease-view.ts';
import { matches, mismatches } from '../model/matches.ts';
import { APPLIED_ANNOTATION, CURRENT_LABEL, LEASE_FINALIZER } from '../model/names.ts';
import { isUsable, type PodFinding } from '../model/pod-state.ts';
import { partnerOf, type ServerView } from '../model/view.ts';
import { reconcileCredentials } from './credentials.ts';
import { disruptionBudget } from './disruption-budget.ts';
import { ownedByOthers } from './lease-upkeep.ts';

/** Objects that a pod needs to start and to be reached. A pod of a dead server is made without them too, and waits. */
export const NEEDED_BY_PODS = 'what pods need';

export function provision(view: Assessment): Action[] {
  const perServer = (make: (server: ServerView) => Action[]): Action[] => view.servers.flatMap(make);
  return [
    ...sideBySide(NEEDED_BY_PODS, [
      ...perServer((server) => access(view, server).flatMap((one) => applyIfDifferent(view, one))),
      ...reconcileCredentials(view).actions,
      ...perServer((server) => requestedCertificates(view, server)),
      ...perServer((server) => newClaims(view, server)),
    ]),
    ...perServer((server) => claimsChanged(view, server)),
    ...perServer((server) => lease(view, server)),
    ...sideBySide(NEEDED_BY_PODS, [
      ...perServer((server) => configMaps(view, server)),
      ...perServer((server) => services(view, server).flatMap((one) => applyIfDifferent(view, one))),
    ]),
    ...perServer((server) => failoverSlice(view, server)),
    ...dns(view),
    ...applyIfDifferent(view, disruptionBudget(view)),
    ...network(view),
    ...perServer((server) => pods(view, server)),
  ];
}

/** Made before the operator was told to make none, they go: they would shut out what comes later. */
function network(view: Assessment): Action[] {
  const wanted = networkPolicies(view);
  if (wanted !== null) return wanted.flatMap((one) => applyIfDifferent(view, one));
  const { name: pair, networkPolicies: there } = view.observed;
  return there
    .filter(({ metadata }) => networkPolicyNames(pair).includes(metadata.name ?? ''))
    .map((one) => deletion('networkPolicies', one, 'the operator is told to make none'));
}

/** Applies what is absent, what was edited by hand, and what we now want otherwise than when we last applied it. */
function applyIfDifferent(view: Assessment, { resource, object }: Desired): Action[] {
  const name = object.metadata.name;
  const observed: readonly KubernetesObject[] = view.observed[resource];
  const actual = observed.find((one) => one.metadata.name === name);
  if (actual !== undefined && matches(object, actual)) return [];
  const changed =
    actual?.metadata.annotations?.[APPLIED_ANNOTATION] !== object.metadata.annotations?.[APPLIED_ANNOTATION];
  const why =
    actual === undefined
      ? 'it is missing'
      : changed
        ? 'the spec wants it otherwise'
        : 'it was edited by hand';
  if (actual === undefined) return [{ kind: 'apply', resource, object, expect: 'absent', why }];
  return [{ kind: 'apply', resource, object, expect: 'ours', differing: mismatches(object, actual), why }];
}

/** Not before the record has been seen: it may know a claim that has vanished. */
function newClaims(view: Assessment, server: ServerView): Action[] {
  if (recordOf(view.observed, server.name) === null) return [];
  return server.claims.flatMap((claim): Action[] => {
    if (claim.is !== 'absent' || claim.volume.claimTemplate === null || claimWasThere(view, server, claim))
      return [];
    if (takenBy(view, claim.name) !== null) return [];
    return [{ kind: 'apply', expect: 'absent', why: 'it is missing', ...newClaim(view, server, claim) }];
  });
}

/** Those that were asked for before, when the spec asked for it, go. */
function requestedCertificates(view: Assessment, server: ServerView): Action[] {
  if (!view.observed.certificatesServed) return [];
  const wanted = requestedCertificate(view, server);
  if (wanted !== null) return applyIfDifferent(view, wanted);
  return view.observed.certificates
    .filter(({ metadata }) => metadata.labels?.[labels.server] === server.name)
    .map((one) => deletion('certificates', one, 'the spec has certificates from elsewhere'));
}

/** No pod waits for this: labels tell people who owns a claim, and a volume that cannot grow is used as it is. */
function claimsChanged(view: Assessment, server: ServerView): Action[] {
  return server.claims.flatMap(({ volume, name, object: claim }): Action[] => {
    if (claim === null || takenBy(view, name) !== null || !isClaimOffered(view, claim)) return [];
    const wanted = claimLabels(view, server, volume);
    const actions: Action[] = [];
    if (!matches(wanted, claim.metadata.labels ?? {})) {
      const why =
        claim.metadata.labels?.[labels.pair] === undefined
          ? 'it is adopted'
          : `${server.lease?.holderServer ?? 'nobody'} owns it at epoch ${server.lease?.epoch ?? 0}`;
      const patch = { metadata: { labels: wanted } };
      actions.push(patchOf('persistentVolumeClaims', claim, patch, why));
    }
    const size = volume.claimTemplate?.spec.resources.requests.storage;
    const asked = (claim.spec?.['resources'] as { requests?: { storage?: string } } | undefined)?.requests
      ?.storage;
    if (size !== undefined && asked !== undefined && amountOf(size) > amountOf(asked)) {
      const patch = { spec: { resources: { requests: { storage: size } } } };
      actions.push(patchOf('persistentVolumeClaims', claim, patch, `it grows to ${size}`));
    }
    return actions;
  });
}

function lease(view: Assessment, home: ServerView): Action[] {
  // The record knows how far epochs have come.
  if (mayCreateLease(view, home) && recordOf(view.observed, home.name) !== null)
    return [{ kind: 'create', resource: 'leases', object: newLease(view, home), why: 'it is missing' }];
  return home.lease === null ? [] : leaseRepaired(view, home, home.lease);
}

/** Repairs the operator's part of a Lease; holder, epoch and acknowledger belong to the servers. */
function leaseRepaired(view: Assessment, home: ServerView, { object }: LeaseView): Action[] {
  const { finalizers = [], ownerReferences = [], resourceVersion, deletionTimestamp } = object.metadata;
  const wanted = newLease(view, home).metadata;
  // One that is being deleted takes no finalizers; one that another FilerPair owns is about to go.
  if (deletionTimestamp !== undefined) return [];
  const metadata = {
    ...(matches(wanted.labels, object.metadata.labels) ? {} : { labels: wanted.labels }),
    ...(finalizers.includes(LEASE_FINALIZER) ? {} : { finalizers: [...finalizers, LEASE_FINALIZER] }),
    ...(ownerReferences.length > 0 ? {} : { ownerReferences: wanted.ownerReferences }),
  };
  if (Object.keys(metadata).length === 0) return [];
  const patch = { metadata: { resourceVersion, ...metadata } };
  return [patchOf('leases', object, patch, 'it was edited by hand')];
}

/** The one for new pods; those that no pod reads any more go. */
function configMaps(view: Assessment, server: ServerView): Action[] {
  const { pods } = view.observed;
  const wanted = configMapName(view, server);
  const inUse = new Set([wanted, ...pods.map(configMapOfPod)]);
  const unused = view.observed.configMaps.filter(
    ({ metadata }) => metadata.labels?.[labels.server] === server.name && !inUse.has(metadata.name ?? ''),
  );
  return [
    ...applyIfDifferent(view, configMap(view, server)),
    ...unused.map((one) => deletion('configMaps', one, 'no pod reads it any more')),
  ];
}

function failoverSlice(view: Assessment, home: ServerView): Action[] {
  const name = home.failoverName;
  const slice = view.observed.endpointSlices.find((one) => one.metadata.name === name) ?? null;
  const endpoint = failoverEndpoint(view, home, slice);
  if (endpoint === null)
    return slice === null ? [] : applyIfDifferent(view, sliceOf(view, home, null, slice));
  const wanted = sliceOf(view, home, endpoint, slice);
  if (slice === null) return applyIfDifferent(view, wanted);
  // addressType cannot be changed: the slice of another address family goes first.
  if ((wanted.object as EndpointSlice).addressType !== slice.addressType && endpoint.address !== null)
    return [deletion('endpointSlices', slice, 'the pod has an address of another family')];
  const who = partnerOf(view, home).name;
  const why = endpoint.open
    ? `${who} serves the disk set of ${home.name} on its secondary port (epoch ${endpoint.epoch})`
    : `${who} does not serve the disk set of ${home.name} (epoch ${endpoint.epoch})`;
  return [{ kind: 'apply', expect: 'ours', why, ...wanted }];
}

/** `endpoint` null: everything but the gate itself, which is as it should be. */
function sliceOf(
  view: Assessment,
  home: ServerView,
  endpoint: FailoverEndpoint | null,
  slice: EndpointSlice | null,
): Desired {
  const address = (endpoint ?? (slice === null ? null : shownBy(slice)))?.address ?? null;
  const pod = partnerOf(view, home).pods.find((one) => one.pod.status?.podIP === address)?.pod;
  const port = (pod && podPort(pod, 'secondary')) ?? view.effective.ports.secondary;
  // Every number of the Service leads to the one on which that pod listens.
  const ports = portNumbers(view, 'secondary').map((number) => ({
    name: servicePortName('secondary', number),
    port,
    protocol: 'TCP',
  }));
  const addressType = endpoint?.address?.includes(':')
    ? 'IPv6'
    : endpoint === null || endpoint.address === null
      ? (slice?.addressType ?? 'IPv4')
      : 'IPv4';
  const gate =
    endpoint === null
      ? { epoch: slice?.metadata.annotations?.[endpointAnnotations.epoch], endpoints: slice?.endpoints ?? [] }
      : { epoch: String(endpoint.epoch), endpoints: endpointsOf(endpoint) };
  const { resource, object } = desired(view, 'endpointSlices', home.failoverName, {
    server: home.name,
    labels: {
      'kubernetes.io/service-name': home.failoverName,
      'endpointslice.kubernetes.io/managed-by': 'filerpair-operator',
    },
    body: { addressType, ports },
  });
  const annotations = {
    ...object.metadata.annotations,
    ...(gate.epoch === undefined ? {} : { [endpointAnnotations.epoch]: gate.epoch }),
  };
  // Compare-and-swap: a server may open or close the gate at this very moment.
  const version = slice === null ? {} : { resourceVersion: slice.metadata.resourceVersion };
  const metadata = { ...object.metadata, annotations, ...version };
  return { resource, object: { ...object, metadata, endpoints: gate.endpoints } as KubernetesObject };
}

function dns(view: Assessment): Action[] {
  if (!view.observed.dnsEndpointsServed) return [];
  const wanted = dnsEndpoint(view);
  if (wanted !== null) return applyIfDifferent(view, wanted);
  if (publishesByEndpoint(view)) return [];
  return view.observed.dnsEndpoints.map((one) =>
    deletion('dnsEndpoints', one, 'the spec publishes no names in this way'),
  );
}

function nodeStillGone({ goneNode: name }: PodFinding): Action[] {
  if (name === undefined) return [];
  const why = 'it has not registered again, so no server runs there';
  return [{ kind: 'confirmNodeGone', resource: 'nodes', name, why }];
}

function pods(view: Assessment, server: ServerView): Action[] {
  const replacement = podReplacement(view, server);
  const actions: Action[] = [];
  for (const { pod } of server.pods) {
    const current = String(pod === server.current?.pod);
    const wanted = pairLabels(view, server.name);
    const known = matches(wanted, pod.metadata.labels);
    if (known && pod.metadata.labels?.[CURRENT_LABEL] === current) continue;
    const patch = { metadata: { labels: { ...(known ? {} : wanted), [CURRENT_LABEL]: current } } };
    const why = !known
      ? 'it was edited by hand'
      : current === 'true'
        ? `the Services of ${server.name} lead to it`
        : `the Services of ${server.name} lead to another pod`;
    actions.push(patchOf('pods', pod, patch, why));
  }
  for (const { pod, why } of replacement.remove) {
    const { name = '', uid = '' } = pod.pod.metadata;
    const event = { key: uid, type: 'Warning' as const, reason: 'PodRemoved', note: `${why}.` };
    const removal = { ...deletion('pods', pod.pod, why), event };
    // A pod that may serve goes only if the API itself says that it owns nothing; what has ended or is lost serves nobody,
    // unless its node has come back.
    const asked = isUsable(pod) ? view.servers.flatMap((home) => ownedByOthers(home, uid)) : [];
    actions.push(...inSequence(`removal of ${name}`, [...asked, ...nodeStillGone(pod), removal]));
  }
  const mayStart = leasesBelongToPair(view) && claimsFit(view) === null && secretsOffered(view) === null;
  if (replacement.create !== null && mayStart) {
    // The Services move to it only when the owner's pod is gone: until then clients are served there or nowhere.
    const object = newPod(view, server, server.current === null, renderingOf(view));
    const event = {
      key: object.metadata.name ?? '',
      type: 'Normal' as const,
      reason: 'PodCreated',
      note: `New pod ${object.metadata.name} for ${server.name}: ${replacement.create}.`,
    };
    actions.push({ kind: 'create', resource: 'pods', object, why: replacement.create, event });
  }
  return actions;
}

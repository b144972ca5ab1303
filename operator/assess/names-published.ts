/**
 * NamesPublished: do the names outside the cluster answer what they should? What counts is what the DNS says, whatever
 * publishes it, as a client would hear it.
 */

import { type DnsRecord, dnsRecords, leadsToNodes } from '../desired/dns-records.ts';
import { type ConditionResult, isFalse, isTrue, isUnknown } from '../model/condition-result.ts';
import { answerKey, type DnsLookup } from '../model/observed.ts';
import { type Assessment, question } from './assessment.ts';

/** Until the names are right they are asked for this often, ms. */
const ASK_AGAIN_WRONG_MS = 10_000;
/** And afterwards. Records change with the Services only, so with hardly anything. ms */
const ASK_AGAIN_RIGHT_MS = 5 * 60_000;

interface Finding {
  readonly record: DnsRecord;
  /** null: not known. */
  readonly found: readonly string[] | null;
}

/** null: nobody asked for names outside the cluster. */
export const namesPublished = question((view: Assessment): ConditionResult | null => {
  const { publishedNames } = view.effective;
  if (publishedNames === null) return null;
  const records = dnsRecords(view);
  const names = view.servers.flatMap(({ serviceName, failoverName }) => [serviceName, failoverName]);
  const pending = names.filter(
    (name) => !records.some(({ dnsName }) => dnsName === `${name}.${publishedNames.domain}`),
  );
  if (pending.length > 0)
    return isFalse('NoAddress', `Service ${pending.join(', ')} has no address yet: ${addressAwaited(view)}.`);
  const findings = records.map((record) => ({ record, found: answerOf(view, record) }));
  const wrong = findings.filter(({ record, found }) => found !== null && !same(found, record.targets));
  // Clients that are led to somebody else are worse off than those that find nobody.
  const worst = wrong.find(({ found }) => found!.length > 0) ?? wrong[0];
  if (worst !== undefined) return wrongAnswer(view, worst);
  const unknown = findings.find(({ found }) => found === null);
  if (unknown !== undefined)
    return isUnknown(
      'DnsUnreachable',
      `What the DNS says of ${unknown.record.dnsName} could not be found out: the DNS servers of the operator's pod do not answer.`,
    );
  return isTrue('Answered', `The DNS answers: ${records.map(recordText).join(', ')}.`);
});

function addressAwaited(view: Assessment): string {
  if (leadsToNodes(view)) return 'the pod that it leads to has no node, or its node names no address';
  return view.effective.exposure.type === 'LoadBalancer'
    ? 'the load balancer has not given it one; see kubectl describe service'
    : 'it is being made';
}

/** Lookups that the question needs. */
export const nameLookups = (view: Assessment): DnsLookup[] =>
  dnsRecords(view).map(({ dnsName, recordType }) => ({ name: dnsName, type: recordType }));

/** When the names are to be asked for again. */
export function namesDueAt(view: Assessment): number | null {
  const verdict = namesPublished(view);
  if (verdict === null) return null;
  return view.now + (verdict.status === 'True' ? ASK_AGAIN_RIGHT_MS : ASK_AGAIN_WRONG_MS);
}

function answerOf(view: Assessment, { dnsName, recordType }: DnsRecord): readonly string[] | null {
  const answer = view.observed.dnsAnswers[answerKey(dnsName, recordType)];
  return answer === undefined || answer === 'unknown' ? null : answer;
}

function wrongAnswer(view: Assessment, { record, found }: Finding): ConditionResult {
  const wanted = recordText(record);
  if (found!.length > 0)
    return isFalse(
      'OtherAnswer',
      `The DNS answers ${record.dnsName} ${record.recordType} ${found!.join(' ')}, and should answer ${wanted}: somebody else has published that name, or a change has not reached the DNS yet.`,
    );
  if (view.effective.publishedNames?.publisher === 'None')
    return isFalse(
      'NotAnswered',
      `The DNS does not know ${record.dnsName}. spec.names.publisher is None, so it is for you to publish: ${wanted}.`,
    );
  if (view.effective.publishedNames?.publisher === 'ServiceAnnotations')
    return isFalse(
      'NotAnswered',
      `The DNS does not know ${record.dnsName} yet. It is in the annotations of Service ${record.dnsName.split('.')[0]}; if that lasts for minutes, see the log of ExternalDNS (its --source=service, --service-type-filter, --domain-filter, --managed-record-types).`,
    );
  if (!view.observed.dnsEndpointsServed)
    return isFalse(
      'NoExternalDns',
      `Nothing publishes ${record.dnsName}: the cluster has no DNSEndpoint (externaldns.k8s.io/v1alpha1). Install ExternalDNS with that definition and --source=crd, or set spec.names.publisher: ServiceAnnotations, or None and publish it yourself: ${wanted}.`,
    );
  return isFalse(
    'NotAnswered',
    `The DNS does not know ${record.dnsName} yet. It is in DNSEndpoint ${view.observed.name}; if that lasts for minutes, see the log of ExternalDNS (its --source=crd, --domain-filter, --managed-record-types).`,
  );
}

const recordText = ({ dnsName, recordType, targets }: DnsRecord): string =>
  `${dnsName} ${recordType} ${targets.join(' ')}`;

/** A set of addresses, in any order; a name with or without its last dot. */
function same(found: readonly string[], targets: readonly string[]): boolean {
  const normal = (all: readonly string[]) =>
    JSON.stringify(all.map((one) => one.toLowerCase().replace(/\.$/, '')).toSorted());
  return normal(found) === normal(targets);
}

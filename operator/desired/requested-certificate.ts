/** The certificate of one server that cert-manager is asked for, where the interconnect has certificates of it. */

import { labels } from '../../kubernetes/labels-and-annotations.ts';
import { certificateDnsName, requestedCertificateName } from '../model/names.ts';
import type { ServerView, View } from '../model/view.ts';
import { type Desired, desired } from './owned.ts';

/** null: certificates come from elsewhere. */
export function requestedCertificate(view: View, server: ServerView): Desired | null {
  const { certificateIssuer: issuerRef } = view.effective;
  if (issuerRef === null) return null;
  const { name: pair, namespace } = view.observed;
  const name = requestedCertificateName(pair, server.name);
  return desired(view, 'certificates', name, {
    server: server.name,
    body: {
      spec: {
        secretName: name,
        // As with every Secret that the pair did not make, its owner says that it may be used.
        secretTemplate: { labels: { [labels.offeredTo]: pair } },
        dnsNames: [certificateDnsName(server.serviceName, namespace)],
        usages: ['digital signature', 'server auth', 'client auth'],
        privateKey: { algorithm: 'ECDSA', size: 256, rotationPolicy: 'Always' },
        issuerRef,
      },
    },
  });
}

/** How clients reach the servers: ports, Services, names. */

import { z } from 'zod';
import { dnsLabel, keyed, objectMetadata, port } from '../fields.ts';
import { withRules } from '../rule.ts';

const listener = withRules(
  z.object({
    name: dnsLabel('Name of the listener.', 15),
    port: port('TCP port on which a server serves its own disk set.').default(2049),
    failoverPort: port(
      'TCP port on which a server serves its partner’s disk set; closed while it does not own it.',
    ).default(2050),
  }),
  [
    {
      cel: 'self.port != self.failoverPort',
      message: 'port and failoverPort must be different: one server may serve both disk sets',
      field: ['failoverPort'],
      holds: (self) => self.port !== self.failoverPort,
    },
  ],
);

/** One for now; several when a listener can have TLS on a port of its own. */
export const listeners = keyed(
  listener,
  'name',
  1,
  1,
  'On which ports NFS is served; the same for both servers.',
).default([{ name: 'nfs', port: 2049, failoverPort: 2050 }]);

export const exposureTypes = ['ClusterIP', 'NodePort', 'LoadBalancer', 'HostNetwork'] as const;

export const exposure = withRules(
  z.object({
    type: z.enum(exposureTypes).default('ClusterIP').meta({
      description:
        'ClusterIP: clients in the cluster. NodePort: also clients outside it, by ports of the nodes (spec.servers[].nodePorts). LoadBalancer: by an address for each Service. HostNetwork: the servers use the network of their nodes, so that clients reach the listeners’ ports at the nodes themselves; the two servers then never share a node.',
    }),
    externalTrafficPolicy: z.enum(['Local', 'Cluster']).optional().meta({
      description:
        'With NodePort and LoadBalancer; absent: Local. Local: only the node of the pod accepts connections, and servers see the addresses of clients, which shares name. Cluster: every node accepts them, and servers see the addresses of nodes.',
    }),
    serviceTemplate: z
      .object({
        metadata: objectMetadata(
          'Labels and annotations of the Services, for instance for a load balancer.',
        ).optional(),
      })
      .optional()
      .meta({ description: 'For the Services that clients use.' }),
  }),
  [
    {
      cel: "!has(self.externalTrafficPolicy) || self.type in ['NodePort', 'LoadBalancer']",
      message: 'externalTrafficPolicy belongs to the types NodePort and LoadBalancer',
      field: ['externalTrafficPolicy'],
      holds: (self) =>
        self.externalTrafficPolicy === undefined || self.type === 'NodePort' || self.type === 'LoadBalancer',
    },
  ],
).meta({ description: 'How clients reach the servers.' });

const SUFFIX_MAX = 15;
/** Longest name of a FilerPair, characters: `<pair>-<server><suffix>` is a DNS label of at most 63. */
export const PAIR_NAME_MAX = 63 - SUFFIX_MAX - 7 - 1;

export const names = withRules(
  z.object({
    failoverSuffix: z
      .string()
      .min(9)
      .max(SUFFIX_MAX)
      .regex(/^-[a-z0-9]+$/, 'must be - and then lower case letters and digits')
      .default('-failover')
      .meta({
        description:
          'Text that clients append to a server’s name to get its failover name, which always resolves to the partner. Cannot be changed.',
      }),
    domain: z
      .string()
      .min(1)
      .max(180)
      .regex(
        /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
        'must be a DNS domain such as nas.example.org',
      )
      .optional()
      .meta({
        description:
          'Domain of the names outside the cluster, `<service>.<domain>` and `<service><failoverSuffix>.<domain>`. They never change at a failover.',
      }),
    publisher: z.enum(['None', 'DNSEndpoint', 'ServiceAnnotations']).optional().meta({
      description:
        'Who publishes these names; absent: DNSEndpoint where there is a domain. None: somebody else does. DNSEndpoint: ExternalDNS, by its own resource (--source=crd). ServiceAnnotations: ExternalDNS, by annotations of the Services (--source=service).',
    }),
    recordTTLSeconds: z
      .int()
      .min(1)
      .max(86_400)
      .optional()
      .meta({ description: 'Time to live of the records, seconds; absent: 30.' }),
  }),
  [
    {
      cel: "has(self.domain) || ((!has(self.publisher) || self.publisher == 'None') && !has(self.recordTTLSeconds))",
      message: 'publisher and recordTTLSeconds need a domain',
      field: ['domain'],
      holds: (self) =>
        self.domain !== undefined ||
        ((self.publisher === undefined || self.publisher === 'None') && self.recordTTLSeconds === undefined),
    },
    {
      cel: "self.failoverSuffix != '-interconnect'",
      message: 'the Services of the interconnect have the suffix -interconnect',
      field: ['failoverSuffix'],
      holds: (self) => self.failoverSuffix !== '-interconnect',
    },
  ],
  [
    {
      cel: 'self.failoverSuffix == oldSelf.failoverSuffix',
      message: 'failoverSuffix cannot be changed: clients compute names with it',
      holds: (self, before) => self.failoverSuffix === before.failoverSuffix,
    },
  ],
).meta({ description: 'Under which names clients find the servers.' });

/** The two servers of a pair. What both have in common stands beside them; here is what only one of them has. */

import { z } from 'zod';
import { dnsLabel, keyed, reference } from '../fields.ts';
import { withRules } from '../rule.ts';
import { podTemplate } from './pod-template.ts';
import { serverVolumes } from './volumes.ts';

/** Longest name of a server, characters. Shorter than every suffix: so no Service's name can be read in two ways. */
export const SERVER_NAME_MAX = 7;

export const serverName = (description: string) =>
  z
    .string()
    .min(1)
    .max(SERVER_NAME_MAX)
    .regex(/^[a-z][a-z0-9]*$/, 'must be lower case letters and digits, first a letter')
    .meta({ description });

const nodePort = (description: string) => z.int().min(1024).max(65535).meta({ description });

const nodePorts = keyed(
  z.object({
    listener: dnsLabel('Name of the listener.'),
    port: nodePort('For the listener’s port, of the Service of the server.').optional(),
    failoverPort: nodePort(
      'For its failoverPort, of the failover Service, which leads to the partner.',
    ).optional(),
  }),
  'listener',
  0,
  8,
  'Ports of the nodes, with exposure.type NodePort or LoadBalancer; in the range that the cluster allows (30000 to 32767). Absent: Kubernetes chooses, once.',
);

const server = withRules(
  z.object({
    name: serverName(
      'Name of the server in its pair, and of its disk set. Its Services are `<pair>-<name>` and `<pair>-<name><failoverSuffix>`. Cannot be changed.',
    ),
    serviceName: dnsLabel(
      'Name of the server’s Service, instead of `<pair>-<name>`. The failover Service is named after it. Cannot be changed: clients know it.',
      48,
    ).optional(),
    volumes: serverVolumes.optional(),
    nodePorts: nodePorts.optional(),
    podTemplate: podTemplate.optional().meta({
      description: 'Over spec.podTemplate, for this server: maps are merged, lists and values replaced.',
    }),
    interconnectCertificateRef: reference(
      'Secret with this server’s certificate for the interconnect, with interconnect.tls.source Secrets: tls.crt, tls.key and ca.crt, DNS name `<service>-interconnect.<namespace>.svc`, for server and client authentication. The Secret must have the label `filerpair.dev/offered-to` with the name of the FilerPair.',
    ).optional(),
  }),
  [],
  [
    {
      cel: 'has(self.serviceName) == has(oldSelf.serviceName) && (!has(self.serviceName) || self.serviceName == oldSelf.serviceName)',
      message: 'serviceName cannot be changed: clients know it',
      holds: (self, before) => self.serviceName === before.serviceName,
    },
  ],
);

export const servers = withRules(
  keyed(server, 'name', 2, 2, 'The two servers; absent: `a` and `b`.'),
  [],
  [
    {
      cel: 'self.all(s, oldSelf.exists(o, o.name == s.name))',
      message: 'the names of the servers cannot be changed: clients and disks know them',
      holds: (self, before) => self.every((one) => before.some(({ name }) => name === one.name)),
    },
  ],
).default([{ name: 'a' }, { name: 'b' }]);

export type Server = z.output<typeof server>;

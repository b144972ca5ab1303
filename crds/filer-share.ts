/** The FilerShare resource: one directory of a volume that clients can mount. */

import { z } from 'zod';
import { conditions, pending } from './condition.ts';
import { dnsLabel, ID_MAX, isAddressOrRange, reference, set } from './fields.ts';
import { apiVersion } from './group.ts';
import { serverName } from './pair/servers.ts';
import { withRules } from './rule.ts';

/** A name of a file that is neither `.` nor `..`. */
const SEGMENT = '([A-Za-z0-9_~-][A-Za-z0-9._~-]*|\\.[A-Za-z0-9_~-][A-Za-z0-9._~-]*|\\.\\.[A-Za-z0-9._~-]+)';

const client = withRules(
  z
    .string()
    .min(1)
    .max(64)
    .regex(/^[0-9a-fA-F:.]+(\/[0-9]{1,3})?$/, 'must be an IP address or a range such as 10.20.0.0/24'),
  [
    {
      cel: 'isIP(self) || isCIDR(self)',
      message: 'must be an IP address or a range such as 10.20.0.0/24',
      holds: isAddressOrRange,
    },
  ],
);

const squash = withRules(
  z.object({
    mode: z.enum(['None', 'Root', 'All']).default('Root').meta({
      description: 'Whose identity becomes the anonymous one: none, that of root, or every one.',
    }),
    anonymousUID: z
      .int()
      .min(0)
      .max(ID_MAX)
      .optional()
      .meta({ description: 'User ID of squashed clients; absent: 65534.', format: 'int64' }),
    anonymousGID: z
      .int()
      .min(0)
      .max(ID_MAX)
      .optional()
      .meta({ description: 'Group ID of squashed clients; absent: 65534.', format: 'int64' }),
  }),
  [
    {
      cel: "self.mode != 'None' || (!has(self.anonymousUID) && !has(self.anonymousGID))",
      message: 'anonymousUID and anonymousGID mean nothing with mode None',
      field: ['mode'],
      holds: (self) =>
        self.mode !== 'None' || (self.anonymousUID === undefined && self.anonymousGID === undefined),
    },
  ],
).meta({ description: 'Which users of clients become the anonymous one.' });

export const filerShareSpec = withRules(
  z.object({
    pairRef: reference('FilerPair of the same namespace. Cannot be changed.'),
    server: serverName('Name of the server whose disk set has the volume. Cannot be changed.'),
    volume: dnsLabel('Name of the volume; absent: `data`. Cannot be changed.', 30).default('data'),
    path: z
      .string()
      .max(255)
      .regex(
        new RegExp(`^(/|(/${SEGMENT})+)$`),
        'must be an absolute path such as /home, without . and .. and without a / at its end',
      )
      .optional()
      .meta({ description: 'Path that clients mount; absent: `/<name>`.' }),
    directory: z
      .string()
      .min(1)
      .max(1024)
      .regex(
        /^(\.|([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+)(\/([^/.][^/]*|\.[^/.][^/]*|\.\.[^/]+))*)$/,
        'must be a relative path without . and .., or . for the root of the volume',
      )
      .optional()
      .meta({
        description:
          'Directory of the volume; absent: `shares/<name>`. `.`: the root of the volume. Cannot be changed.',
      }),
    createDirectory: z
      .object({
        mode: z
          .string()
          .regex(/^[0-7]{3,4}$/, 'must be a mode in octal, such as 0755')
          .default('0755')
          .meta({ description: 'Its mode, octal.' }),
        uid: z.int().min(0).max(ID_MAX).default(0).meta({ description: 'Its owner.', format: 'int64' }),
        gid: z.int().min(0).max(ID_MAX).default(0).meta({ description: 'Its group.', format: 'int64' }),
      })
      .optional()
      .meta({
        description:
          'Creates the directory if it does not exist; absent: it must exist, unless `directory` is absent too.',
      }),
    clients: set(client, 1, 256, 'Addresses and ranges that may mount, such as 10.20.0.0/24.'),
    clientPorts: z.enum(['Reserved', 'Any']).default('Any').meta({
      description:
        'From which ports calls are taken. Reserved: below 1024 only, which takes root on the client’s machine; it keeps its other users from claiming to be somebody else.',
    }),
    access: z
      .enum(['ReadWrite', 'ReadOnly'])
      .default('ReadWrite')
      .meta({ description: 'What clients may do.' }),
    squash: squash.prefault({}),
    deletionPolicy: z.enum(['Retain', 'Delete']).default('Retain').meta({
      description:
        'What becomes of the directory when the FilerShare is deleted. Retain: it stays. Delete: it is deleted with everything in it, unless it is the root of the volume.',
    }),
  }),
  [
    {
      cel: "self.deletionPolicy == 'Retain' || !has(self.directory) || self.directory != '.'",
      message: 'deletionPolicy Delete: the root of a volume cannot be deleted',
      field: ['deletionPolicy'],
      holds: (self) => self.deletionPolicy === 'Retain' || self.directory !== '.',
    },
  ],
  [
    {
      cel: 'self.pairRef.name == oldSelf.pairRef.name && self.server == oldSelf.server && self.volume == oldSelf.volume',
      message: 'pairRef, server and volume cannot be changed: create another FilerShare',
      holds: (self, before) =>
        self.pairRef.name === before.pairRef.name &&
        self.server === before.server &&
        self.volume === before.volume,
    },
    {
      cel: 'has(self.directory) == has(oldSelf.directory) && (!has(self.directory) || self.directory == oldSelf.directory)',
      message: 'directory cannot be changed: create another FilerShare',
      holds: (self, before) => self.directory === before.directory,
    },
  ],
);

export const filerShareStatus = z
  .object({
    observedGeneration: z.int().optional().meta({ format: 'int64' }),
    conditions: conditions(
      'Ready: clients can mount it. Accepted: the pair can serve it. DirectoryDeleted: what has become of the directory of a share that is being deleted with it.',
      [pending('Ready')],
    ),
    path: z.string().optional().meta({ description: 'Path that clients mount.' }),
    server: z.string().optional().meta({ description: 'Name under which clients find it.' }),
  })
  .prefault({});

export const filerShare = z.object({
  apiVersion: z.literal(apiVersion),
  kind: z.literal('FilerShare'),
  metadata: z.looseObject({ name: dnsLabel('Name of the share.') }),
  spec: filerShareSpec,
  status: filerShareStatus.optional(),
});

export type FilerShareSpec = z.output<typeof filerShareSpec>;

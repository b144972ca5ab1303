/** A FilerShare as servers read it: crds/filer-share.ts, with its defaults set by the API server. */
import type { Fields } from '../../kubernetes/kept-fields.ts';
import type { KubernetesObject } from '../../kubernetes/objects.ts';

export interface ShareCondition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

export interface ShareStatus {
  readonly observedGeneration?: number;
  readonly conditions?: readonly ShareCondition[];
  readonly path?: string;
  readonly server?: string;
}

export interface ShareObject extends KubernetesObject {
  readonly spec: {
    readonly pairRef: { readonly name: string };
    readonly server: string;
    readonly volume?: string;
    readonly path?: string;
    readonly directory?: string;
    readonly createDirectory?: { readonly mode?: string; readonly uid?: number; readonly gid?: number };
    readonly clients: readonly string[];
    readonly clientPorts?: 'Reserved' | 'Any';
    readonly access?: 'ReadWrite' | 'ReadOnly';
    readonly squash?: {
      readonly mode?: 'None' | 'Root' | 'All';
      readonly anonymousUID?: number;
      readonly anonymousGID?: number;
    };
    readonly deletionPolicy?: 'Retain' | 'Delete';
  };
  readonly status?: ShareStatus;
}

/** Besides those that identify it. */
export const SHARE_FIELDS: Fields = {
  spec: true,
  status: { observedGeneration: true, conditions: true, path: true, server: true },
};

/** Directory of the volume; null: the root. */
export function directoryOf({ metadata, spec }: ShareObject): string | null {
  const directory = spec.directory ?? `shares/${metadata.name}`;
  return directory === '.' ? null : directory;
}

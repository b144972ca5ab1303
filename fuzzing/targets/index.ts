/** Everything that is fuzzed. */
import type { Target } from '../target.ts';
import { interconnect } from './interconnect.ts';
import { nfs3 } from './nfs3.ts';
import { records } from './records.ts';
import { rpc } from './rpc.ts';
import { tls } from './tls.ts';
import { xdr } from './xdr.ts';

export const targets: readonly Target[] = [xdr, records, rpc, nfs3, interconnect, tls];

// filerpair/client: what programs import.
export type { AttemptsOptions } from './attempts.ts';
export { CallTimeout, ClientClosed, MountError, NfsError, RpcError } from './errors.ts';
export type { ConnectionEvent } from './failover-connection.ts';
export {
  endpointsOf,
  FAILOVER_SUFFIX,
  type FailoverName,
  failoverName,
  type ServerLocation,
} from './failover-name.ts';
export { FileWriter, type FileWriterOptions } from './file-writer.ts';
export { type ClientOptions, FilerPairClient } from './filer-pair-client.ts';
export { type Identity, processIdentity } from './identity.ts';
export {
  type Attributes,
  type CreateMode,
  type DirectoryEntry,
  type FileHandle,
  type Found,
  type Name,
  Nfs3Client,
} from './nfs3-client.ts';
export { type Lookup, Resolver } from './resolver.ts';
export type { CallRecord } from './rpc-client.ts';
export {
  type Discriminator,
  type Endpoints,
  formatAddress,
  type PortRole,
  type TransportAddress,
  tcpAddress,
} from './transport-address.ts';
export { isNfsUrl, type NfsUrl, type ParsedUrl, parseNfsUrl } from './url.ts';

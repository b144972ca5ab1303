/** @filerpair/client: what programs import. */
export { constants } from 'node:fs';
export type { AttemptsOptions } from './attempts-state.ts';
export type { ClientEvents } from './client-events.ts';
export type {
  ClientOptions,
  MkdirOptions,
  ReaddirOptions,
  RmOptions,
  WriteFileOptions,
} from './client-options.ts';
export type { ConnectionEvent } from './connection-event.ts';
export { Dir, Dirent } from './directory.ts';
export {
  AbortError,
  CallTimeout,
  ClientClosed,
  FilerPairError,
  hasCode,
  MountError,
  NfsError,
  RpcError,
} from './errors.ts';
export {
  endpointsOf,
  FAILOVER_SUFFIX,
  type FailoverName,
  failoverName,
  type ServerLocation,
} from './failover-name.ts';
export type { FileData, ReadOptions, Time, WriteOptions } from './file-arguments.ts';
export { FileHandle } from './file-handle.ts';
export { ReadStream, type ReadStreamOptions, WriteStream, type WriteStreamOptions } from './file-streams.ts';
export { FileWriter, type FileWriterOptions } from './file-writer.ts';
export { FilerPairClient } from './filer-pair-client.ts';
export { type Identity, processIdentity } from './identity.ts';
export {
  type Attributes,
  type CallOptions,
  type CreateMode,
  type DirectoryEntry,
  type Found,
  type Name,
  Nfs3Client,
} from './nfs3-client.ts';
export type { OperationOptions } from './operation.ts';
export type { PathLike } from './path.ts';
export { type Lookup, Resolver } from './resolver.ts';
export type { CallRecord } from './rpc-client.ts';
export { BigIntStats, type StatFs, Stats } from './stats.ts';
export {
  type Discriminator,
  type Endpoints,
  formatAddress,
  type PortRole,
  type TransportAddress,
  tcpAddress,
} from './transport-address.ts';
export { isNfsUrl, type NfsUrl, type ParsedUrl, parseNfsUrl } from './url.ts';

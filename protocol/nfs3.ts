/** NFS version 3 (RFC 1813): everything of the codec in one import. The files below nfs3/ hold one concern each. */

export * from './nfs3/attributes.ts';
export * from './nfs3/constants.ts';
export * from './nfs3/listings.ts';
export * from './nfs3/procedures.ts';

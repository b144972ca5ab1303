/** Why there is no kernel path here, for commands that do without it: asked before anything loads native code. */

const NO_PACKAGE =
  'it calls the kernel through the package koffi, which is not here (the single executable has no packages: take filerpair from npm, or from the image of the file server)';

/** Null: there is one. Else a sentence that follows "no kernel path here: ". `isV6`: for addresses of that version of IP. */
export async function whyNoKernelPath(isV6?: boolean): Promise<string | null> {
  const features = await import('./features.ts').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_MODULE_NOT_FOUND' && error.message.includes('koffi')) return null;
    throw error;
  });
  return features === null ? NO_PACKAGE : features.missingFeature(isV6);
}

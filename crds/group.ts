/** The API group and its one version. */

export const GROUP = 'filerpair.dev';
export const VERSION = 'v1beta1';
export const apiVersion = `${GROUP}/${VERSION}`;

/** Version of the definitions, the chart and the package: an older one is not installed over a newer one. */
export const BUNDLE_VERSION = '0.1.0';
export const bundleVersionAnnotation = `${GROUP}/bundle-version`;

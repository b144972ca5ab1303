/** Of a package's files, which go into the images: what runs, and the terms under which it may be passed on. */

const NOT_FOR_RUNNING = /(\.d\.[cm]?ts|\.map|\.md|\.markdown)$/;
const TERMS = /^(licen[cs]e|copying|notice|copyright)/i;

/** `name`: of a file in a package's folder, its licence or what belongs to it. */
export const isLicence = (name: string): boolean => TERMS.test(name);

/** `path`: of a file or a folder. Types, source maps and texts for people stay out. */
export function isKeptInImages(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return isLicence(name) || !NOT_FOR_RUNNING.test(name);
}

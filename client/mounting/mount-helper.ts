/** The command line of /sbin/mount.filerpair, which mount(8) calls for the type filerpair in fstab. Pure. */

/** mount(8) keeps `private` for itself. */
const PRIVATE = 'network=private';

/** `SOURCE DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]` as words of `filerpair`. */
export function mountHelperWords(words: readonly string[]): string[] {
  const operands: string[] = [];
  const options: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === '-o') options.push(...(words[++at] ?? '').split(','));
    else if (word === '-t' || word === '-N') at += 1;
    else if (!word.startsWith('-')) operands.push(word);
  }
  const by = options.find((each) => each.startsWith('by='));
  const isPrivate = options.includes(PRIVATE);
  const ours = [by, '', 'defaults', PRIVATE];
  const others = options.filter((each) => !ours.includes(each));
  return [
    'mount',
    ...operands.map((each, index) => (index === 0 ? urlOf(each) : each)),
    ...(others.length > 0 ? ['--options', others.join(',')] : []),
    ...(isPrivate ? ['--private'] : []),
    ...(by === undefined ? [] : ['--by', by.slice('by='.length)]),
  ];
}

/** `filer-a:/home`, as NFS sources are written, is nfs://filer-a/home. */
function urlOf(source: string): string {
  if (source.includes('://')) return source;
  const match = /^([^/:]+|\[[^\]]+\]):(\/.*)$/.exec(source);
  return match === null ? source : `nfs://${match[1]}${match[2]}`;
}

/** The order of the docs on the site: tutorial, how-to, reference, explanation. A page that is not here comes at the end. */

export interface Entry {
  readonly text: string;
  /** Path below docs/, without .md; `reference/...` is generated, `project/...` comes from the root of the repository. */
  readonly page: string;
}
export interface Section {
  readonly text: string;
  readonly entries: readonly Entry[];
}

const entry = (text: string, page: string): Entry => ({ text, page });

export const contents: readonly Section[] = [
  { text: 'Start', entries: [entry('Is FilerPair for you?', 'index'), entry('Tutorial', 'tutorial')] },
  {
    text: 'How to',
    entries: [
      entry('Install and upgrade', 'install'),
      entry('Run it on Kubernetes', 'operator'),
      entry('Use it as a client', 'client'),
      entry('See it in the browser', 'console'),
      entry('Monitor it', 'monitoring'),
      entry('Read its logs', 'logging'),
      entry('Runbooks', 'runbooks/README'),
    ],
  },
  {
    text: 'Reference',
    entries: [
      entry('Kinds and conditions', 'api'),
      entry('Commands', 'reference/commands'),
      entry('Configuration of a server', 'reference/server-configuration'),
      entry('Values of the chart', 'chart-values'),
      entry('Metrics', 'reference/metrics'),
      entry('Failure modes', 'failure-modes'),
      entry('Conformance', 'conformance'),
      entry('Benchmarks', 'benchmarks'),
      entry('Benchmarks on a cluster', 'benchmarks-cluster'),
      entry('Glossary', 'glossary'),
      entry('Changes', 'project/CHANGELOG'),
    ],
  },
  {
    text: 'Explanation',
    entries: [
      entry('Design and rules', 'design'),
      entry('Why it is safe', 'safety'),
      entry('Moving disks', 'safety-moving-disks'),
      entry('Paused machines', 'safety-paused-machines'),
      entry('WRITE', 'safety-writes'),
      entry('The proof', 'safety-proof'),
      entry('Security', 'security'),
      entry('The method', 'method'),
      entry('Why the API has this shape', 'api-design'),
      entry('The file server', 'fileserver'),
      entry('Exactly once', 'fileserver-exactly-once'),
      entry('Data and disk errors', 'fileserver-data'),
      entry('The pair protocol', 'pair-protocol'),
    ],
  },
  {
    text: 'Inside',
    entries: [
      entry('Architecture', 'architecture'),
      entry('The kernel’s path', 'kernel-path'),
      entry('Life of a CREATE', 'life-of-a-create'),
      entry('Life of a takeover', 'life-of-a-takeover'),
      entry('Life of a reconcile', 'life-of-a-reconcile'),
      entry('Life of a proxied call', 'life-of-a-proxied-call'),
      entry('Testing', 'testing'),
      entry('Testing on clusters', 'testing-clusters'),
      entry('Releasing', 'releasing'),
      entry('Hacking', 'project/HACKING'),
      entry('Contributing', 'project/CONTRIBUTING'),
    ],
  },
];

/** Folders whose pages are listed as they come: one a decision, one an alert. */
export const folders: readonly { readonly text: string; readonly folder: string; readonly below: string }[] =
  [
    { text: 'Decisions', folder: 'adr', below: 'Inside' },
    { text: 'Alerts', folder: 'runbooks', below: 'How to' },
  ];

/** Pages that stand nowhere above, in the order of the alphabet. */
export function unlisted(pages: readonly string[]): string[] {
  const listed = new Set(contents.flatMap(({ entries }) => entries.map(({ page }) => page)));
  const inFolder = (page: string): boolean => folders.some(({ folder }) => page.startsWith(`${folder}/`));
  return pages.filter((page) => !listed.has(page) && !inFolder(page)).toSorted();
}

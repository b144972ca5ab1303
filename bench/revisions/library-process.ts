/**
 * The library of one checkout at work, in a process of its own: `library-process.ts CHECKOUT URL MS`. Prints its figures as JSON.
 */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [checkout, url, ms] = process.argv.slice(2);
const file = pathToFileURL(join(checkout!, 'bench/clients/library.ts')).href;
const { runLibrary } = (await import(file)) as typeof import('../clients/library.ts');
console.log(JSON.stringify([...(await runLibrary(url!, Number(ms)))]));

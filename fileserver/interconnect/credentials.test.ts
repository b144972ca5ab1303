import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { issueCertificate, makeAuthority } from '../../operator/apply/certificate-authority.ts';
import { assertEventually } from '../../testing/assert-eventually.ts';
import { createLog } from '../logging/log.ts';
import { CredentialStore } from './credentials.ts';

const log = createLog({ level: 'error', format: 'text' }, {});
const names = { name: 'filer-a-interconnect.n.svc', partnerName: 'filer-b-interconnect.n.svc' };
let directory: string;
let store: CredentialStore | null = null;
let changes = 0;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'filerpair-credentials-'));
  changes = 0;
});
afterEach(() => {
  store?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const files = () => ({ directory, ...names });

async function issue({ name = names.name, into = directory } = {}): Promise<string> {
  const authority = await makeAuthority('home', Date.now(), 1e9);
  const { certificate, key } = await issueCertificate(authority, name, Date.now(), 1e9);
  mkdirSync(into, { recursive: true });
  writeFileSync(join(into, 'tls.crt'), certificate);
  writeFileSync(join(into, 'tls.key'), key);
  writeFileSync(join(into, 'ca.crt'), authority.certificate);
  return certificate;
}

function watching(files: ConstructorParameters<typeof CredentialStore>[0]): CredentialStore {
  store = new CredentialStore(files, log, 5);
  store.subscribe(() => changes++);
  store.start();
  return store;
}

it('has the new certificate soon after the files were exchanged, and tells of it once', async () => {
  const first = await issue();
  const { current } = watching(files());
  expect(current).toMatchObject({ tls: [{ certificate: first }], problem: null });
  const second = await issue();
  await assertEventually(() => expect(store!.current.tls[0]?.certificate).toBe(second));
  expect(changes).toBe(1);
});

it.each([
  [
    'the key of another certificate',
    async () => void (await issueKeyOnly()),
    /tls.key is not the key of the certificate/,
  ],
  [
    'a certificate of another name',
    async () => void (await issue({ name: 'filer-b-interconnect.n.svc' })),
    /is for DNS:filer-b-interconnect\.n\.svc, and not for DNS:filer-a-interconnect\.n\.svc/,
  ],
  [
    'a certificate for every name of the namespace',
    async () => void (await issue({ name: '*.n.svc' })),
    /is for DNS:\*\.n\.svc, and not for DNS:filer-a-interconnect\.n\.svc/,
  ],
  ['garbage', async () => writeFileSync(join(directory, 'tls.crt'), 'x'), /tls.crt cannot be read/],
  ['no authority', async () => writeFileSync(join(directory, 'ca.crt'), ''), /ca.crt holds no certificate/],
  ['no files', async () => rmSync(directory, { recursive: true }), /ENOENT.*tls.crt/],
])(
  'goes on with what it has when there is %s, says so, and takes what is good again',
  async (_, spoil, sentence) => {
    const first = await issue();
    watching(files());
    await spoil();
    await assertEventually(() => expect(store!.current.problem).toMatch(sentence));
    expect(store!.current.problem).toMatch(/Going on with what was read before\.$/);
    expect(store!.current.tls[0]?.certificate).toBe(first);
    const last = await issue();
    await assertEventually(() =>
      expect(store!.current).toMatchObject({ tls: [{ certificate: last }], problem: null }),
    );
  },
);

async function issueKeyOnly(): Promise<void> {
  const other = join(directory, 'other');
  await issue({ into: other });
  writeFileSync(join(directory, 'tls.key'), readFileSync(join(other, 'tls.key')));
}

it('starts without usable certificates, and takes them when they come', async () => {
  const { current } = watching(files());
  expect(current).toMatchObject({ tls: [], problem: expect.stringMatching(/Waiting for better ones\.$/) });
  await issue();
  await assertEventually(() => expect(store!.current).toMatchObject({ tls: [{}], problem: null }));
});

it('has the certificate of a second issuer while its files are there', async () => {
  const first = await issue();
  const fallbackDirectory = join(directory, 'fallback');
  watching({ ...files(), fallbackDirectory });
  expect(store!.current).toMatchObject({ tls: [{ certificate: first }], problem: null });
  const second = await issue({ into: fallbackDirectory });
  await assertEventually(() =>
    expect(store!.current).toMatchObject({ tls: [{ certificate: first }, { certificate: second }] }),
  );
  rmSync(fallbackDirectory, { recursive: true });
  await assertEventually(() => expect(store!.current.tls).toMatchObject([{ certificate: first }]));
});

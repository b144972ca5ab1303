import { describe, expect, it } from 'vitest';
import { formatAddress } from './transport-address.ts';
import { isNfsUrl, parseNfsUrl } from './url.ts';

const shown = (text: string) => {
  const parsed = parseNfsUrl(text);
  if (!parsed.ok) return parsed.reason;
  const { endpoints, path } = parsed.url;
  return [formatAddress(endpoints.primary), endpoints.secondary && formatAddress(endpoints.secondary), path];
};

describe('nfs:// URL', () => {
  it('names server, ports, export and path', () => {
    expect(shown('nfs://filer-a/home/ada/notes.txt')).toEqual([
      'filer-a:2049',
      'filer-a-failover:2050',
      '/home/ada/notes.txt',
    ]);
    expect(shown('nfs://filer-a:3049/home')).toEqual(['filer-a:3049', 'filer-a-failover:2050', '/home']);
    expect(shown('nfs://filer-a.nas.example.org:3049:3050/home')).toEqual([
      'filer-a.nas.example.org:3049',
      'filer-a-failover.nas.example.org:3050',
      '/home',
    ]);
    expect(shown('nfs://filer-a')).toEqual(['filer-a:2049', 'filer-a-failover:2050', '/']);
  });

  it('takes addresses with an explicit failover host', () => {
    expect(shown('nfs://127.0.0.1:4001:4004/home?failover=127.0.0.1')).toEqual([
      '127.0.0.1:4001',
      '127.0.0.1:4004',
      '/home',
    ]);
    expect(shown('nfs://[::1]:4001:4004/home?failover=[::1]')).toEqual(['[::1]:4001', '[::1]:4004', '/home']);
    expect(shown('nfs://127.0.0.1:4001:4004/home')).toMatch(/no failover name can be computed/);
  });

  it('takes suffix, identity and a plain NFS server', () => {
    const parsed = parseNfsUrl('nfs://nas:2049/srv?uid=1000&gid=100&mountport=20048');
    expect(parsed).toMatchObject({ ok: true, url: { uid: 1000, gid: 100, mountPort: 20048 } });
    expect(shown('nfs://nas/srv?mountport=20048')).toEqual(['nas:2049', null, '/srv']);
    expect(shown('nfs://nas/srv?alone')).toEqual(['nas:2049', null, '/srv']);
    expect(shown('nfs://nas/srv?suffix=-alt')).toEqual(['nas:2049', 'nas-alt:2050', '/srv']);
  });

  it('normalises the path and decodes %XX, so that names may hold ? and #', () => {
    expect(shown('nfs://a//home/./x/')).toEqual(['a:2049', 'a-failover:2050', '/home/x']);
    expect(shown('nfs://a/home/what%3F #1')).toEqual(['a:2049', 'a-failover:2050', '/home/what? #1']);
  });

  it('says what is wrong with a URL', () => {
    expect(shown('http://a/b')).toMatch(/not of the form nfs:/);
    expect(shown('nfs:///home')).toMatch(/"" is not a server name/);
    expect(shown('nfs://a:0/b')).toMatch(/port "0" is not a number in 1..65535/);
    expect(shown('nfs://a:1:2:3/b')).toMatch(/at most two ports/);
    expect(shown('nfs://a:x/b')).toMatch(/port "x"/);
    expect(shown('nfs://a/b?vers=4')).toMatch(/unknown option "vers"; known are failover/);
    expect(shown('nfs://a/b?uid=4294967296')).toMatch(/uid="4294967296"/);
    expect(shown('nfs://a/b%zz')).toMatch(/malformed %XX/);
    expect(shown('nfs://a/b%00')).toMatch(/NUL/);
  });

  it('is told from a local path', () => {
    expect(isNfsUrl('nfs://a/b')).toBe(true);
    expect(isNfsUrl('./nfs/b')).toBe(false);
  });
});

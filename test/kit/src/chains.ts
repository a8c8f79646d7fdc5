/**
 * Certificate chains for tests of path validation, good ones and ones that only look good: made with the openssl command, keys P-256.
 * root → intermediate (path length 0) → leaf; the others hang from these as their names say.
 */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const names = [
  'root',
  'intermediate',
  'leaf',
  /** Self-signed, unrelated. */
  'other',
  /** Says that intermediate issued it; another key signed it. */
  'forged',
  /** Issued by leaf. */
  'byLeaf',
  /** An authority below intermediate, which may have none, and its certificate. */
  'subordinate',
  'tooDeep',
  /** An authority with name constraints, and its certificate. */
  'constrained',
  'constrainedLeaf',
] as const;

type Name = (typeof names)[number];

export interface TestChain {
  readonly certificates: Readonly<Record<Name, X509Certificate>>;
  /** PEM texts of a certificate and its key. */
  pemOf(name: Name): { readonly cert: string; readonly key: string };
  remove(): void;
}

export function makeChains(): TestChain {
  const directory = mkdtempSync(join(tmpdir(), 'mailfleet-chains-'));
  const file = (name: string, ending: string): string => join(directory, `${name}.${ending}`);
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  };
  const makeKey = (name: string): void =>
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file(name, 'key'));
  const sign = (
    name: string,
    subject: string,
    extensions: string,
    issuer?: string,
    key = issuer ?? name,
  ): void => {
    writeFileSync(file(name, 'ext'), extensions);
    makeKey(name);
    openssl('req', '-new', '-key', file(name, 'key'), '-subj', `/CN=${subject}`, '-out', file(name, 'csr'));
    const signer =
      issuer === undefined
        ? ['-signkey', file(name, 'key')]
        : ['-CA', file(issuer, 'crt'), '-CAkey', file(key, 'key'), '-CAcreateserial'];
    openssl(
      ...['x509', '-req', '-days', '30', '-in', file(name, 'csr'), '-out', file(name, 'crt')],
      ...['-extfile', file(name, 'ext'), ...signer],
    );
  };
  const authority = 'keyUsage=critical,keyCertSign\nbasicConstraints=critical,CA:TRUE';
  const server = (name: string): string => `subjectAltName=DNS:${name}\nbasicConstraints=CA:FALSE\n`;

  sign('root', 'Test Root', `${authority}\n`);
  sign('intermediate', 'Test Intermediate', `${authority},pathlen:0\n`, 'root');
  sign('leaf', 'mx.test', server('mx.test'), 'intermediate');
  sign('other', 'mx.test', server('mx.test'));
  // An authority of the same name with another key, and no identifiers that would give it away.
  const bare = `${authority}\nsubjectKeyIdentifier=none\nauthorityKeyIdentifier=none\n`;
  sign('impostor', 'Test Intermediate', bare);
  sign('forged', 'mx.test', `${server('mx.test')}authorityKeyIdentifier=none\n`, 'impostor');
  sign('byLeaf', 'mx.test', server('mx.test'), 'leaf');
  sign('subordinate', 'Test Subordinate', `${authority}\n`, 'intermediate');
  sign('tooDeep', 'mx.test', server('mx.test'), 'subordinate');
  sign(
    'constrained',
    'Test Constrained',
    `${authority}\nnameConstraints=critical,permitted;DNS:.no.test\n`,
    'root',
  );
  sign('constrainedLeaf', 'mx.test', server('mx.test'), 'constrained');

  const read = (name: Name): X509Certificate => new X509Certificate(readFileSync(file(name, 'crt')));
  return {
    certificates: Object.fromEntries(names.map((name) => [name, read(name)])) as Record<
      Name,
      X509Certificate
    >,
    pemOf: (name) => ({
      cert: readFileSync(file(name, 'crt'), 'utf8'),
      key: readFileSync(file(name, 'key'), 'utf8'),
    }),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

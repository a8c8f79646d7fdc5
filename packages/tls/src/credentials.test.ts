/** The files of a TLS client: what is accepted, and the sentence that says why it is not. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeConfig } from '@mailfleet/config';
import { makeCertificates } from '@mailfleet/test-kit';
import { afterAll, describe, expect, it } from 'vitest';
import { readCredentials } from './credentials.ts';
import { createTlsClient } from './handshake.ts';
import { tlsPolicy } from './policy.ts';

const authority = makeCertificates();
afterAll(() => authority.remove());
const { ca, write } = authority;
const rsa = authority.issue(['rsa.test'], { keyType: 'rsa' });
const dsa = authority.issue(['dsa.test'], { keyType: 'dsa' });
const ec = authority.issue(['ec.test']);

const read = (values: Record<string, string>, protocol: 'smtp' | 'lmtp' = 'smtp') =>
  readCredentials(makeConfig(values), protocol);
const why = (values: Record<string, string>) => createTlsClient(makeConfig(values), 'smtp').unavailable;

describe.each(['smtp', 'lmtp'] as const)('%s', (protocol) => {
  it.each([
    ['smtp_tls_cert_file', 'smtp_tls_key_file', rsa],
    ['smtp_tls_dcert_file', 'smtp_tls_dkey_file', dsa],
    ['smtp_tls_eccert_file', 'smtp_tls_eckey_file', ec],
    ['lmtp_tls_cert_file', 'lmtp_tls_key_file', rsa],
    ['lmtp_tls_dcert_file', 'lmtp_tls_dkey_file', dsa],
    ['lmtp_tls_eccert_file', 'lmtp_tls_eckey_file', ec],
  ])('%s and %s', (certName, keyName, { cert, key, certFile, keyFile }) => {
    const own = certName.startsWith(protocol);
    const both = write('both.pem', `${key}${cert}`);
    expect(read({ [certName]: certFile, [keyName]: keyFile }, protocol).pairs).toEqual(
      own ? [{ cert: cert.trimEnd(), key: key.trimEnd() }] : [],
    );
    // Without a name of its own the key is looked for beside the certificate, wherever it stands there.
    expect(read({ [certName]: both }, protocol).pairs).toHaveLength(own ? 1 : 0);
    expect(read({ [certName]: 'none' }, protocol).pairs).toEqual([]);
  });
});

it.each<[string, Record<string, string>, RegExp]>([
  ['no such file', { smtp_tls_CAfile: '/nonexistent/ca.pem' }, /\/nonexistent\/ca\.pem/],
  ['no certificate in it', { smtp_tls_CAfile: rsa.keyFile }, /^smtp_tls_CAfile: .* holds no certificate$/],
  ['no folder', { smtp_tls_CApath: '/nonexistent/certs' }, /\/nonexistent\/certs/],
  ['another key', { smtp_tls_cert_file: rsa.certFile, smtp_tls_key_file: ec.keyFile }, /does not match/],
  ['no key', { smtp_tls_cert_file: rsa.certFile }, /^smtp_tls_key_file: .* holds no private key$/],
  ['no digest of that name', { smtp_tls_fingerprint_digest: 'crc32' }, /^digest algorithm "crc32" not found/],
  [
    'a key with a pass phrase',
    {
      smtp_tls_cert_file: rsa.certFile,
      smtp_tls_key_file: write(
        'locked.key',
        String(
          generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
            type: 'pkcs8',
            format: 'pem',
            cipher: 'aes-256-cbc',
            passphrase: 'secret',
          }),
        ),
      ),
    },
    /is encrypted; it must not be$/,
  ],
])(
  'TLS is unavailable: %s (smtp_tls_CAfile, smtp_tls_CApath, smtp_tls_key_file, smtp_tls_fingerprint_digest)',
  (_, values, words) => {
    expect(why(values)).toMatch(words);
  },
);

it('smtp_tls_CApath: only files with the name of a hash are trusted, and a bad one harms nobody', () => {
  const folder = join(dirname(ca.certFile), 'hashed');
  mkdirSync(folder);
  const hash = execFileSync('openssl', ['x509', '-hash', '-noout', '-in', ca.certFile]).toString().trim();
  symlinkSync(ca.certFile, join(folder, `${hash}.0`));
  writeFileSync(join(folder, 'stray.pem'), ec.cert);
  writeFileSync(join(folder, '01234567.0'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
  expect(read({ smtp_tls_CApath: folder }).ca).toEqual([ca.cert.trimEnd()]);
  expect(read({ lmtp_tls_CApath: folder }, 'lmtp').ca).toHaveLength(1);
});

it('tls_append_default_CA adds the authorities of the system, but only to authorities of its own', () => {
  const values = { tls_append_default_CA: 'yes' };
  expect(read(values).ca).toEqual([]);
  expect(read({ ...values, smtp_tls_CAfile: ca.certFile }).ca.length).toBeGreaterThan(50);
  expect(read({ smtp_tls_CAfile: ca.certFile }).ca).toHaveLength(1);
});

describe('smtp_tls_chain_files', () => {
  const first = write('first.pem', `${ec.key}${ec.cert}${ca.cert}`);
  const chains = (...texts: string[]) => {
    const files = texts.map((text, index) => write(`chain${index}.pem`, text));
    return why({ smtp_tls_chain_files: files.join(', ') });
  };

  it('holds each key before its chain, for several algorithms, in one file or more, and replaces all others', () => {
    const values = {
      smtp_tls_chain_files: `${first}, ${write('second.pem', `${rsa.key}${rsa.cert}`)}`,
      smtp_tls_cert_file: '/nonexistent/cert.pem',
    };
    expect(read(values).pairs.map(({ cert }) => cert)).toEqual([
      `${ec.cert.trimEnd()}\n${ca.cert.trimEnd()}`,
      rsa.cert.trimEnd(),
    ]);
    expect(chains(`${ec.key}${ec.cert}${rsa.key}${rsa.cert}`)).toBeUndefined();
    // A chain may go on in the next file.
    expect(chains(`${ec.key}${ec.cert}`, ca.cert)).toBeUndefined();
  });

  it.each<[string, string[], RegExp]>([
    ['the certificate first', [`${ec.cert}${ec.key}`], /begins with the key/],
    ['two keys in a row', [`${ec.key}${rsa.key}${rsa.cert}`], /a key is not followed by its certificate/],
    ['a key at the end', [`${ec.key}${ec.cert}`, rsa.key], /a key is not followed by its certificate/],
    ['the key of another', [`${rsa.key}${ec.cert}`], /does not match the certificate/],
    ['nothing', ['nothing\n'], /holds neither key nor certificate/],
  ])('%s is an error', (_, texts, words) => {
    expect(chains(...texts)).toMatch(words);
  });

  it('lmtp_tls_chain_files is a list of its own', () => {
    expect(read({ smtp_tls_chain_files: first }, 'lmtp').pairs).toEqual([]);
    expect(read({ lmtp_tls_chain_files: first }, 'lmtp').pairs).toHaveLength(1);
  });
});

it('files are looked at again: a renewed one is used, a wrong one not, and TLS comes back when it is mended', () => {
  let nowMs = 0;
  let touched = Date.now() / 1000;
  const warnings: string[] = [];
  const file = write('renewed.pem', 'nothing');
  const put = (text: string): void => {
    writeFileSync(file, text);
    touched += 10;
    utimesSync(file, touched, touched);
    nowMs += 61_000;
  };
  const client = createTlsClient(makeConfig({ smtp_tls_CAfile: file }), 'smtp', {
    warn: (text) => warnings.push(text),
    steadyNow: () => nowMs,
  });
  const trusted = () => client.trust.authorities.certificates.map(({ subject }) => subject);
  expect(client.unavailable).toMatch(/holds no certificate/);
  put(ca.cert);
  expect(client.unavailable).toBeUndefined();
  expect(trusted()).toEqual(['CN=Mailfleet test CA']);
  put('broken');
  expect(client.unavailable).toBeUndefined();
  expect(trusted()).toEqual(['CN=Mailfleet test CA']);
  expect(warnings).toEqual([
    expect.stringMatching(/^TLS keeps the certificates that it has: .*renewed\.pem/),
  ]);
  put(`${ca.cert}${ec.cert}`);
  const policy = tlsPolicy(makeConfig({ smtp_tls_security_level: 'may' }), 'smtp', 'e.com', 'mx');
  if (policy.kind !== 'policy') throw new Error('no policy');
  expect(client.optionsFor(policy).kind).toBe('options');
  expect(trusted()).toHaveLength(2);
});

it('tls_daemon_random_bytes: that many are drawn before TLS is used', () => {
  expect(why({ tls_daemon_random_bytes: '64' })).toBeUndefined();
  // More than the system hands out at once.
  expect(why({ tls_daemon_random_bytes: '99999999999' })).toMatch(/out of range/);
});

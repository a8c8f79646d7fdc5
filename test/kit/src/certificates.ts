/**
 * A throw-away certificate authority and the certificates it signs, made with the openssl command (Node has no API that
 * signs certificates). Keys are P-256, so that a test pays milliseconds. Files live in a new folder until `remove()`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Certificate {
  /** PEM texts, ready for node:tls. */
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface CertificateAuthority {
  readonly ca: Certificate;
  /** A certificate for these DNS names and IP addresses, the first of them its CN. `selfSigned` leaves the authority out. */
  issue(names: readonly string[], options?: { selfSigned?: boolean; expired?: boolean }): Certificate;
  remove(): void;
}

export function makeCertificates(): CertificateAuthority {
  const directory = mkdtempSync(join(tmpdir(), 'mailfleet-certificates-'));
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: directory, stdio: 'pipe' });
  };
  let count = 0;
  const read = (stem: string): Certificate => {
    const certFile = join(directory, `${stem}.crt`);
    const keyFile = join(directory, `${stem}.key`);
    return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8'), certFile, keyFile };
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-days',
    '30',
    '-subj',
    '/CN=Mailfleet test CA',
  );

  return {
    ca: read('ca'),
    issue(names, options = {}) {
      count += 1;
      const stem = `cert${count}`;
      const subject = `/CN=${names[0] ?? 'unnamed.test'}`;
      const alternatives = names.map((name) => `${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}`).join(',');
      const validity = ['-days', options.expired ? '-1' : '30'];
      openssl('req', '-new', ...newKey, '-keyout', `${stem}.key`, '-out', `${stem}.csr`, '-subj', subject);
      writeFileSync(
        join(directory, `${stem}.ext`),
        `subjectAltName=${alternatives}\nbasicConstraints=CA:FALSE\n`,
      );
      const signer = options.selfSigned
        ? ['-signkey', `${stem}.key`]
        : ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'];
      openssl(
        'x509',
        '-req',
        '-in',
        `${stem}.csr`,
        '-out',
        `${stem}.crt`,
        '-extfile',
        `${stem}.ext`,
        ...validity,
        ...signer,
      );
      return read(stem);
    },
    remove() {
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

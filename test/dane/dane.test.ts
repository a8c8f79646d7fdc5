/**
 * DANE against real DNSSEC: zones signed by Knot, a validating Unbound, servers with certificates good and bad; and what Postfix's own
 * client (posttls-finger) makes of the same destinations.
 */
import { execFile, execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { makeConfig } from '@mailfleet/config';
import { createHostFinder, createResolver } from '@mailfleet/routing';
import { createDeliveryAgent } from '@mailfleet/smtp';
import {
  type CertificateAuthority,
  freePort,
  installed,
  makeCertificates,
  type SmtpServer,
  startSmtpServer,
} from '@mailfleet/test-kit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SignedZones, serveSignedZones } from '../peers/signed-zone.ts';

const run = promisify(execFile);
/** Postfix' programs know no other port than 53, so the resolver has a loopback address of its own. */
const STANDARD_PORT_AT = '127.0.0.153';

const keyDigest = (pem: string): string => {
  const key = new X509Certificate(pem).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('hex');
};

/** Line of a certificate summary and verdict of each level; the same for Postfix where it can be asked. */
interface Destination {
  readonly domain: string;
  readonly dane: string;
  readonly daneOnly: string;
}

const verified = 'delivered Verified';
const mismatch = 'deferred 4.7.5 Server certificate not verified';
const lookup = 'deferred 4.7.5 TLSA lookup error';
const destinations: readonly Destination[] = [
  { domain: 'ee.signed.test', dane: verified, daneOnly: verified },
  { domain: 'ta.signed.test', dane: verified, daneOnly: verified },
  { domain: 'alias.signed.test', dane: verified, daneOnly: verified },
  { domain: 'mismatch.signed.test', dane: mismatch, daneOnly: mismatch },
  { domain: 'ta-name.signed.test', dane: mismatch, daneOnly: mismatch },
  { domain: 'pkix.signed.test', dane: 'delivered Untrusted', daneOnly: 'deferred 4.7.5 TLSA records of' },
  { domain: 'none.signed.test', dane: 'delivered Untrusted', daneOnly: 'deferred 4.7.5 no TLSA records' },
  { domain: 'forged.signed.test', dane: lookup, daneOnly: lookup },
  { domain: 'forged-mx.signed.test', dane: 'deferred 4.4.3', daneOnly: 'deferred 4.4.3' },
  { domain: 'unsigned-host.signed.test', dane: 'delivered Untrusted', daneOnly: 'deferred 4.7.5' },
  {
    domain: 'half.unsigned.test',
    dane: 'delivered Trusted',
    daneOnly: 'deferred 4.7.5 non DNSSEC destination',
  },
  {
    domain: 'half-mismatch.unsigned.test',
    dane: mismatch,
    daneOnly: 'deferred 4.7.5 non DNSSEC destination',
  },
];

describe.runIf(installed(['knotd', 'keymgr', 'unbound', 'openssl']))(
  'smtp_dns_support_level = dnssec',
  () => {
    let authority: CertificateAuthority;
    let zones: SignedZones;
    let port: number;
    const servers: SmtpServer[] = [];

    beforeAll(async () => {
      authority = makeCertificates();
      port = await freePort();
      const ee = authority.issue(['wrong.test'], { selfSigned: true });
      const issued = authority.issue(['mx-ta.signed.test']);
      const ta = { cert: issued.cert + authority.ca.cert, key: issued.key };
      const [eeAt, taAt] = ['127.0.0.2', '127.0.0.3'];
      servers.push(await startSmtpServer({ host: eeAt, port, tls: ee }));
      servers.push(await startSmtpServer({ host: taAt, port, tls: ta }));
      const good = `3 1 1 ${keyDigest(ee.cert)}`;
      const other = `3 1 1 ${keyDigest(authority.ca.cert)}`;
      const anchor = `2 1 1 ${keyDigest(authority.ca.cert)}`;
      const host = (name: string, address: string, ...tlsa: string[]): string[] => [
        `${name} A ${address}`,
        ...tlsa.map((record) => `_${port}._tcp.${name} TLSA ${record}`),
      ];
      zones = await serveSignedZones({
        standardPortAt: STANDARD_PORT_AT,
        zones: [
          {
            name: 'signed.test',
            signed: true,
            records: [
              'ee MX 10 mx-ee',
              ...host('mx-ee', eeAt, good),
              'ta MX 10 mx-ta',
              ...host('mx-ta', taAt, anchor),
              'alias MX 10 mx-alias',
              'mx-alias CNAME mx-ee',
              'mismatch MX 10 mx-mismatch',
              ...host('mx-mismatch', eeAt, other),
              'ta-name MX 10 mx-ta-name',
              ...host('mx-ta-name', taAt, anchor),
              'pkix MX 10 mx-pkix',
              ...host('mx-pkix', eeAt, good.replace(/^3/, '1')),
              'none MX 10 mx-none',
              ...host('mx-none', eeAt),
              'forged MX 10 mx-forged',
              ...host('mx-forged', eeAt, other),
              'forged-mx MX 77 mx-ee',
              'unsigned-host MX 10 mx.unsigned.test.',
            ],
            // The forger would like his own certificate to count, and mail to come to him first.
            forge: (text) =>
              text
                .split('\n')
                .map((line) =>
                  /^_\d+\._tcp\.mx-forged\S*\s.*\sTLSA\s/.test(line)
                    ? line.replace(/3 1 1 [0-9a-f]+/i, good)
                    : line.replace(/\sMX\s+77\s/, ' MX 5 '),
                )
                .join('\n'),
          },
          {
            name: 'unsigned.test',
            signed: false,
            records: [
              'half MX 10 mx-ee.signed.test.',
              'half-mismatch MX 10 mx-mismatch.signed.test.',
              ...host('mx', eeAt, other),
            ],
          },
        ],
      });
    });

    afterAll(async () => {
      await zones[Symbol.asyncDispose]();
      for (const server of servers) await server.close();
      authority.remove();
    });

    const send = async (domain: string, level: string): Promise<string> => {
      const config = makeConfig({
        myhostname: 'client.test',
        inet_protocols: 'ipv4',
        smtp_tls_security_level: level,
        smtp_dns_support_level: 'dnssec',
        smtp_tls_loglevel: '1',
      });
      const resolver = createResolver({ servers: [zones.resolver] });
      let kind = '';
      let verdict = '';
      const agent = createDeliveryAgent({
        config,
        transport: 'smtp',
        protocol: 'smtp',
        resolver,
        findHosts: createHostFinder({ config, protocol: 'smtp', resolver }),
        remark: ({ text }) => {
          kind = /^(\w+) TLS connection established/.exec(text)?.[1] ?? kind;
        },
      });
      const now = Date.now();
      await agent.deliverBatch(
        {
          id: 'b',
          shard: 0,
          fence: 1,
          transport: 'smtp',
          protocol: 'smtp',
          nexthop: `${domain}:${port}`,
          batchedMs: now,
          requests: [
            {
              envelope: {
                queueId: 'Q',
                sender: 'a@client.test',
                sizeBytes: 20,
                arrivalMs: now,
                createdMs: now,
              },
              recipients: [{ index: 0, address: `b@${domain}` }],
              contentShard: 0,
              activatedMs: now,
            },
          ],
        },
        {
          content: async () => Buffer.from('Subject: x\r\n\r\ny\r\n'),
          beforeDot: () => undefined,
          record: async ({ outcomes: [outcome] }) => {
            verdict =
              outcome?.kind === 'delivered'
                ? `delivered ${kind}`
                : `${outcome?.kind} ${outcome?.status} ${outcome?.reason}`;
          },
          signal: new AbortController().signal,
        },
      );
      return verdict;
    };

    it.each(destinations)('$domain: dane $dane, dane-only $daneOnly', async ({ domain, dane, daneOnly }) => {
      expect(await send(domain, 'dane')).toMatch(new RegExp(`^${dane}`));
      expect(await send(domain, 'dane-only')).toMatch(new RegExp(`^${daneOnly}`));
    });

    const mayUnshare = (): boolean => {
      try {
        execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' });
        return installed(['posttls-finger']);
      } catch {
        process.stderr.write(
          '\n*** TESTS LEFT OUT: no mount namespaces here, so Postfix cannot be given a resolver. ***\n\n',
        );
        return false;
      }
    };

    describe.runIf(mayUnshare())("beside Postfix's client", () => {
      let directory: string;
      beforeAll(() => {
        directory = mkdtempSync(join(tmpdir(), 'mailfleet-finger-'));
        writeFileSync(
          join(directory, 'resolv.conf'),
          `nameserver ${STANDARD_PORT_AT}\noptions edns0 trust-ad\n`,
        );
        writeFileSync(join(directory, 'main.cf'), 'compatibility_level = 3.6\ninet_protocols = ipv4\n');
      });
      afterAll(() => rmSync(directory, { recursive: true, force: true }));

      /** What posttls-finger says: the kind of its connection, or that there is none. It shows dane-only as it shows dane. */
      const finger = async (domain: string): Promise<string> => {
        const script =
          'mount --bind "$0/resolv.conf" /etc/resolv.conf && exec posttls-finger -t 5 -T 5 -l dane -L summary "$1" 2>&1';
        const said = await run('unshare', ['-m', 'sh', '-c', script, directory, `${domain}:${port}`], {
          env: { ...process.env, MAIL_CONFIG: directory, PATH: `${process.env.PATH}:/usr/sbin` },
        }).then(
          ({ stdout }) => stdout,
          (error: { stdout: string }) => error.stdout,
        );
        return /(\w+) TLS connection established/.exec(said)?.[1] ?? 'none';
      };

      it.each(destinations)('$domain', async ({ domain, dane }) => {
        // It shows what does not match, too, where smtp(8) and we give up.
        const unmatched = dane === mismatch ? 'Untrusted|Trusted' : 'none';
        const kind = /^delivered (\w+)/.exec(dane)?.[1] ?? unmatched;
        expect(await finger(domain)).toMatch(new RegExp(`^(?:${kind})$`));
      });
    });
  },
);

/** Scenarios about TLS, with certificates made for the run. */
import { makeCertificates } from '@mailfleet/test-kit';
import type { Scenario } from './scenario.ts';

const authority = makeCertificates();

/** Ends the certificates; call it when all scenarios are over. */
export const removeCertificates = (): void => authority.remove();

const good = authority.issue(['localhost']);
const other = authority.issue(['other.test']);
const own = authority.issue(['localhost'], { selfSigned: true });
const between = authority.authority('Between');
const below = between.issue(['localhost']);
const deep = { cert: below.chain, key: below.key };
const lowest = between.authority('Lower').issue(['localhost']);
const deepest = { cert: lowest.chain, key: lowest.key };
const old = authority.authority('Old', { expired: true });
const byOld = old.issue(['localhost']);
const expired = authority.issue(['localhost'], { expired: true });

const trusting = { smtp_tls_CAfile: authority.ca.certFile };
const level = (name: string): Record<string, string> => ({
  smtp_tls_security_level: name,
  smtp_tls_loglevel: '1',
});
const nexthop = '[localhost]:%1';

export const tlsScenarios: readonly Scenario[] = (
  [
    { name: 'may, a certificate of its own', servers: [{ tls: own }], config: level('may') },
    { name: 'may, a known authority', servers: [{ tls: good }], config: { ...level('may'), ...trusting } },
    { name: 'encrypt, a certificate of its own', servers: [{ tls: own }], config: level('encrypt') },
    { name: 'verify', servers: [{ tls: good }], config: { ...level('verify'), ...trusting } },
    { name: 'verify, another name', servers: [{ tls: other }], config: { ...level('verify'), ...trusting } },
    { name: 'verify, an unknown authority', servers: [{ tls: good }], config: level('verify') },
    { name: 'verify, expired', servers: [{ tls: expired }], config: { ...level('verify'), ...trusting } },
    { name: 'secure', servers: [{ tls: good }], config: { ...level('secure'), ...trusting } },
    { name: 'secure, another name', servers: [{ tls: other }], config: { ...level('secure'), ...trusting } },
    {
      name: 'wrapper mode',
      servers: [{ tls: good, tlsWrapper: true }],
      config: { ...level('encrypt'), smtp_tls_wrappermode: 'yes' },
    },
    {
      name: 'wrapper mode without encryption',
      servers: [{ tls: good, tlsWrapper: true }],
      config: { ...level('may'), smtp_tls_wrappermode: 'yes' },
    },
    {
      name: 'a server that cannot do it after all',
      servers: [
        {
          keywords: ['STARTTLS', 'PIPELINING', '8BITMIME'],
          hooks: { starttls: { reply: '220 2.0.0 go', close: true } },
        },
      ],
      config: level('may'),
    },
    {
      name: 'a server that cannot do it after all, and TLS is required',
      servers: [
        {
          keywords: ['STARTTLS', 'PIPELINING', '8BITMIME'],
          hooks: { starttls: { reply: '220 2.0.0 go', close: true } },
        },
      ],
      config: level('encrypt'),
    },
    {
      name: 'a server that speaks no TLS',
      servers: [
        {
          keywords: ['STARTTLS', 'PIPELINING', '8BITMIME'],
          hooks: { starttls: { raw: '220 2.0.0 go\r\n' }, other: '500 5.5.2 what' },
        },
      ],
      config: level('may'),
    },
    {
      name: 'verify, then a second host',
      servers: [{ tls: other }, { tls: good }],
      config: { ...level('verify'), ...trusting },
      nexthop: '[localhost]:%1, [localhost]:%2',
    },
    {
      name: 'a policy for the destination',
      servers: [{ tls: own }],
      config: { ...level('none'), smtp_tls_policy_maps: 'inline:{[localhost]:%1=encrypt}' },
    },
    {
      name: 'a policy that is none',
      servers: [{ tls: own }],
      config: { ...level('none'), smtp_tls_policy_maps: 'inline:{[localhost]:%1=sometimes}' },
    },
    {
      name: 'smtp_tls_loglevel 0, and the certificate does not do',
      servers: [{ tls: own }],
      config: { smtp_tls_security_level: 'verify' },
    },
    {
      name: 'smtp_tls_loglevel untrusted',
      servers: [{ tls: own }],
      config: { smtp_tls_security_level: 'may', smtp_tls_loglevel: 'untrusted' },
    },
    {
      name: 'smtp_tls_loglevel by names',
      servers: [{ tls: good }],
      config: {
        smtp_tls_security_level: 'verify',
        smtp_tls_loglevel: 'summary, peercert, certmatch',
        ...trusting,
      },
    },
    {
      name: 'smtp_tls_scert_verifydepth, too deep',
      servers: [{ tls: deepest }],
      config: { ...level('verify'), ...trusting, smtp_tls_scert_verifydepth: '0' },
    },
    {
      name: 'smtp_tls_scert_verifydepth, as deep as it may be',
      servers: [{ tls: deepest }],
      config: { ...level('verify'), ...trusting, smtp_tls_scert_verifydepth: '1' },
    },
    {
      name: 'smtp_tls_scert_verifydepth, less deep',
      servers: [{ tls: deep }],
      config: { ...level('verify'), ...trusting, smtp_tls_scert_verifydepth: '1' },
    },
    {
      name: 'smtp_tls_trust_anchor_file, an intermediate',
      servers: [{ tls: deep }],
      config: { ...level('verify'), smtp_tls_trust_anchor_file: between.ca.certFile },
    },
    {
      name: 'smtp_tls_trust_anchor_file, the certificate itself',
      servers: [{ tls: own }],
      config: { ...level('verify'), smtp_tls_trust_anchor_file: own.certFile },
    },
    {
      name: 'smtp_tls_trust_anchor_file, the root',
      servers: [{ tls: deep }],
      config: { ...level('secure'), smtp_tls_trust_anchor_file: authority.ca.certFile },
    },
    {
      name: 'smtp_tls_trust_anchor_file, an expired one',
      servers: [{ tls: byOld }],
      config: { ...level('verify'), smtp_tls_trust_anchor_file: old.ca.certFile },
    },
    {
      name: 'smtp_tls_trust_anchor_file, another one',
      servers: [{ tls: good }],
      config: { ...level('verify'), ...trusting, smtp_tls_trust_anchor_file: between.ca.certFile },
    },
    { name: 'a host by its name', servers: [{}] },
  ] satisfies readonly Scenario[]
).map((scenario) => ({ nexthop, ...scenario, name: `TLS: ${scenario.name}` }));

/** Scenarios about TLS, with certificates made for the run. */
import { makeCertificates } from '@mailfleet/test-kit';
import type { Scenario } from './scenario.ts';

const authority = makeCertificates();

/** Ends the certificates; call it when all scenarios are over. */
export const removeCertificates = (): void => authority.remove();

const good = authority.issue(['localhost']);
const other = authority.issue(['other.test']);
const own = authority.issue(['localhost'], { selfSigned: true });
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
    { name: 'a host by its name', servers: [{}] },
  ] satisfies readonly Scenario[]
).map((scenario) => ({ nexthop, ...scenario, name: `TLS: ${scenario.name}` }));

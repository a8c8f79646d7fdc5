/**
 * The mechanisms that this client has, strongest first, with the properties by which `smtp_sasl_security_options` choose among them.
 * Properties are those of the usual Cyrus plug-ins, since that is what people's settings were made for.
 */
import { getFips } from 'node:crypto';
import { cramMd5 } from './cram-md5.ts';
import { digestMd5 } from './digest-md5.ts';
import type { Exchange, FailedStep, MechanismContext } from './mechanism.ts';
import { oauthBearer, xoauth2 } from './oauth.ts';
import { anonymous, external, login, plain } from './plain.ts';
import { scram } from './scram.ts';

/** The words of `smtp_sasl_security_options`: each demands the property from a mechanism. */
export const securityOptions = [
  'noplaintext',
  'noactive',
  'nodictionary',
  'noanonymous',
  'mutual_auth',
  'forward_secrecy',
] as const;
export type SecurityOption = (typeof securityOptions)[number];

export interface Mechanism {
  readonly name: string;
  readonly properties: readonly SecurityOption[];
  /** What it sends or proves: a password, an access token, or nothing of the sort. */
  readonly proves: 'password' | 'token' | 'nothing';
  /** Only inside TLS: bound to the session, or by its client certificate. */
  readonly needs?: 'channel binding' | 'client certificate';
  start(context: MechanismContext): Exchange | FailedStep | Promise<Exchange | FailedStep>;
}

const scramProperties = ['noplaintext', 'noactive', 'noanonymous', 'mutual_auth'] as const;

export const mechanisms: readonly Mechanism[] = [
  {
    name: 'SCRAM-SHA-512-PLUS',
    properties: scramProperties,
    proves: 'password',
    needs: 'channel binding',
    start: scram('sha512', true),
  },
  {
    name: 'SCRAM-SHA-256-PLUS',
    properties: scramProperties,
    proves: 'password',
    needs: 'channel binding',
    start: scram('sha256', true),
  },
  {
    name: 'SCRAM-SHA-1-PLUS',
    properties: scramProperties,
    proves: 'password',
    needs: 'channel binding',
    start: scram('sha1', true),
  },
  { name: 'SCRAM-SHA-512', properties: scramProperties, proves: 'password', start: scram('sha512', false) },
  { name: 'SCRAM-SHA-256', properties: scramProperties, proves: 'password', start: scram('sha256', false) },
  { name: 'SCRAM-SHA-1', properties: scramProperties, proves: 'password', start: scram('sha1', false) },
  {
    name: 'DIGEST-MD5',
    properties: ['noplaintext', 'noanonymous', 'mutual_auth'],
    proves: 'password',
    start: digestMd5,
  },
  { name: 'CRAM-MD5', properties: ['noplaintext', 'noanonymous'], proves: 'password', start: cramMd5 },
  { name: 'PLAIN', properties: ['noanonymous'], proves: 'password', start: plain },
  { name: 'LOGIN', properties: ['noanonymous'], proves: 'password', start: login },
  { name: 'OAUTHBEARER', properties: ['noanonymous'], proves: 'token', start: oauthBearer },
  { name: 'XOAUTH2', properties: ['noanonymous'], proves: 'token', start: xoauth2 },
  {
    name: 'EXTERNAL',
    properties: ['noplaintext', 'noanonymous', 'nodictionary'],
    proves: 'nothing',
    needs: 'client certificate',
    start: external,
  },
  { name: 'ANONYMOUS', properties: ['noplaintext'], proves: 'nothing', start: anonymous },
];

export interface Circumstances {
  readonly options: readonly SecurityOption[];
  /** The credentials are a source of access tokens, which no server takes for a password. */
  readonly tokenOnly: boolean;
  readonly channelBinding: boolean;
  readonly clientCertificate: boolean;
}

/** The strongest of the offered mechanisms that the options allow; undefined: there is none. */
export const chooseMechanism = (
  offered: readonly string[],
  { options, tokenOnly, channelBinding, clientCertificate }: Circumstances,
): Mechanism | undefined => {
  const names = new Set(offered.map((name) => name.toUpperCase()));
  // In this mode OpenSSL has no MD5.
  if (getFips() === 1) for (const name of ['DIGEST-MD5', 'CRAM-MD5']) names.delete(name);
  return mechanisms.find(
    ({ name, properties, proves, needs }) =>
      names.has(name) &&
      options.every((option) => properties.includes(option)) &&
      (!tokenOnly || proves === 'token') &&
      (needs !== 'channel binding' || channelBinding) &&
      (needs !== 'client certificate' || clientCertificate),
  );
};

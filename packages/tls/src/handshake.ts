/**
 * From a policy to the options of node:tls: trust anchors, client certificate, protocol range, ciphers.
 *
 * Secure contexts are kept per protocol and cipher choice, because making one costs more than a handshake. The files behind them
 * are looked at again once a minute, so that a renewed certificate is used without a restart; while the new ones are wrong the old ones stay.
 * Verification is ours (`verifyPeer`), so node never ends a handshake over it. Files that cannot be used make TLS unavailable,
 * with a warning, as in Postfix.
 */
import { getHashes, randomBytes, X509Certificate } from 'node:crypto';
import { type ConnectionOptions, createSecureContext, type SecureContext } from 'node:tls';
import type { Config } from '@mailfleet/config';
import type { Anchors } from './chain.ts';
import { cipherLists, cipherString } from './ciphers.ts';
import { type Credentials, credentialsVersion, type Protocol, readCredentials } from './credentials.ts';
import { libraryOptions } from './library-options.ts';
import type { PeerTrust } from './peer.ts';
import type { TlsPolicy } from './policy.ts';
import { goneProtocols, type ProtocolRange, protocolRange } from './protocols.ts';

export type HandshakeOptions =
  | { readonly kind: 'options'; readonly options: ConnectionOptions }
  | { readonly kind: 'failed'; readonly reason: string };

export interface TlsClient {
  /** Set when TLS cannot be used at all, and why. */
  readonly unavailable: string | undefined;
  readonly trust: PeerTrust;
  optionsFor(policy: TlsPolicy): HandshakeOptions;
}

export interface TlsClientOptions {
  /** Is told what is wrong with the TLS parameters, at the start and later. */
  readonly warn?: (text: string) => void;
  /** Milliseconds of a clock that never jumps. */
  readonly steadyNow?: () => number;
}

/** Between two looks at the files. */
const LOOK_MS = 60_000;

interface Engine {
  readonly credentials: Credentials;
  readonly authorities: Anchors;
  readonly contexts: Map<string, SecureContext>;
}

const none: Credentials = { ca: [], pairs: [], version: '' };

export const createTlsClient = (
  config: Config,
  protocol: Protocol,
  { warn = () => undefined, steadyNow = () => performance.now() }: TlsClientOptions = {},
): TlsClient => {
  const lists = cipherLists(config);
  const library = libraryOptions(config);
  // Postfix lets one more pass than the number says, and so do we: who moves here keeps the mail that went out there.
  const maxIntermediates = Math.max(config.getFor(protocol, 'smtp_tls_scert_verifydepth'), 0) + 1;
  const digest = config.getFor(protocol, 'smtp_tls_fingerprint_digest').toLowerCase();
  for (const warning of [...library.warnings, ...obsoleteSettings(config, protocol)]) warn(warning);

  const makeContext = (
    { ca, pairs }: Credentials,
    range: ProtocolRange,
    ciphers: string | undefined,
  ): SecureContext =>
    createSecureContext({
      // An empty list, not node's own bundle: main.cf alone says whom to trust.
      ca: [...ca],
      ...(pairs.length === 0
        ? {}
        : { cert: pairs.map(({ cert }) => cert), key: pairs.map(({ key }) => key) }),
      minVersion: range.minVersion,
      maxVersion: range.maxVersion,
      secureOptions: Number(BigInt(library.secureOptions) | BigInt(range.holes)),
      ...(library.ecdhCurve === undefined ? {} : { ecdhCurve: library.ecdhCurve }),
      ...(ciphers === undefined ? {} : { ciphers }),
    });

  const load = (): Engine => {
    // Fails where the system has no random numbers; the library seeds itself from there too.
    randomBytes(config.get('tls_daemon_random_bytes'));
    if (!getHashes().some((name) => name.toLowerCase() === digest)) {
      throw new Error(`digest algorithm "${digest}" not found (${protocol}_tls_fingerprint_digest)`);
    }
    const credentials = readCredentials(config, protocol);
    makeContext(credentials, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', holes: 0 }, undefined);
    const certificates = credentials.ca.map((pem) => new X509Certificate(pem));
    return { credentials, authorities: { certificates, publicKeys: [] }, contexts: new Map() };
  };

  let engine: Engine = {
    credentials: none,
    authorities: { certificates: [], publicKeys: [] },
    contexts: new Map(),
  };
  let unavailable: string | undefined;
  let lookedMs = steadyNow();
  let seenVersion = credentialsVersion(config, protocol);
  try {
    engine = load();
  } catch (error) {
    unavailable = messageOf(error);
  }

  const lookAgain = (): void => {
    if (steadyNow() - lookedMs < LOOK_MS) return;
    lookedMs = steadyNow();
    const version = credentialsVersion(config, protocol);
    if (version === seenVersion) return;
    seenVersion = version;
    try {
      engine = load();
      unavailable = undefined;
    } catch (error) {
      warn(`TLS keeps the certificates that it has: ${messageOf(error)}`);
    }
  };

  return {
    get unavailable() {
      lookAgain();
      return unavailable;
    },
    get trust() {
      return { authorities: engine.authorities, maxIntermediates, digest };
    },
    optionsFor: (policy) => {
      lookAgain();
      const range = protocolRange(policy.protocols);
      const ciphers = cipherString(policy, lists);
      if (range === undefined) {
        return { kind: 'failed', reason: `Invalid TLS protocol list "${policy.protocols.join(', ')}"` };
      }
      if (ciphers === undefined) {
        const exclusions = policy.excludeCiphers.join(', ');
        return { kind: 'failed', reason: `invalid unary '!+-@' in cipher exclusion: ${exclusions}` };
      }
      const { credentials, contexts } = engine;
      const key = JSON.stringify([range, ciphers]);
      let context = contexts.get(key);
      if (context === undefined) {
        try {
          context = makeContext(credentials, range, ciphers);
        } catch (error) {
          return { kind: 'failed', reason: messageOf(error) };
        }
        contexts.set(key, context);
      }
      return {
        kind: 'options',
        options: {
          secureContext: context,
          rejectUnauthorized: false,
          checkServerIdentity: () => undefined,
          ...(policy.serverName === '' ? {} : { servername: policy.serverName }),
        },
      };
    },
  };
};

/** What main.cf says and nothing follows any more, with what to say instead. */
const obsoleteSettings = (config: Config, protocol: Protocol): string[] => {
  const notes: string[] = [];
  if ((config.get('smtp_tls_cipherlist') ?? '') !== '') {
    notes.push(
      'smtp_tls_cipherlist is not used any more; set smtp_tls_ciphers, smtp_tls_mandatory_ciphers or smtp_tls_exclude_ciphers',
    );
  }
  for (const name of ['tls_low_cipherlist', 'tls_export_cipherlist'] as const) {
    if (config.get(name) !== '') notes.push(`${name} is not used any more: its grade means medium`);
  }
  for (const name of ['smtp_tls_protocols', 'smtp_tls_mandatory_protocols'] as const) {
    for (const word of goneProtocols(config.getFor(protocol, name))) {
      notes.push(`${name.replace('smtp', protocol)}: ${word} no longer exists and is left out`);
    }
  }
  return notes;
};

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

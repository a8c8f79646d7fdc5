/** What main.cf says about logins. Throws a sentence where Postfix would not start either. */
import type { Config } from '@mailfleet/config';
import type { Protocol } from '../delivery.ts';
import { type SecurityOption, securityOptions } from './mechanisms.ts';

export interface SaslSettings {
  readonly passwordMaps: readonly string[];
  /** Passwords may depend on the envelope sender (SMTP only). */
  readonly senderDependent: boolean;
  readonly delimiter: string;
  /** `smtp_sasl_security_options`, and what takes their place inside TLS, without and with a matched server. */
  readonly options: {
    readonly clear: readonly SecurityOption[];
    readonly tls: readonly SecurityOption[];
    readonly verified: readonly SecurityOption[];
  };
  readonly mechanismFilter: readonly string[];
  /** `send_cyrus_sasl_authzid` */
  readonly sendsAuthorizationId: boolean;
  /** `smtp_sasl_auth_soft_bounce` */
  readonly softBounce: boolean;
  /** `smtp_send_dummy_mail_auth` */
  readonly sendsMailAuth: boolean;
  /** `smtp_sasl_auth_cache_name`; undefined: rejected logins are tried again. */
  readonly rejections: { readonly name: string; readonly timeMs: number } | undefined;
  /** Settings that do nothing here, each in a sentence for the log. */
  readonly notes: readonly string[];
}

/** Undefined when `smtp_sasl_auth_enable` is off. */
export const saslSettings = (config: Config, protocol: Protocol): SaslSettings | undefined => {
  if (!config.getFor(protocol, 'smtp_sasl_auth_enable')) return undefined;
  const passwordMaps = config.getFor(protocol, 'smtp_sasl_password_maps');
  if (passwordMaps.length === 0) {
    throw new Error(
      `${protocol}_sasl_auth_enable = yes needs a table of passwords: name one in ${protocol}_sasl_password_maps, or set it to no`,
    );
  }
  const cacheName = config.getFor(protocol, 'smtp_sasl_auth_cache_name');
  if (cacheName !== '' && !cacheName.startsWith('proxy:')) {
    throw new Error(
      `${protocol}_sasl_auth_cache_name = ${cacheName}: the cache is shared, so its name must begin with "proxy:", as in proxy:btree:/var/lib/postfix/sasl_auth_cache`,
    );
  }
  return {
    passwordMaps,
    senderDependent: protocol === 'smtp' && config.getFor(protocol, 'smtp_sender_dependent_authentication'),
    delimiter: config.getFor(protocol, 'smtp_sasl_password_result_delimiter'),
    options: {
      clear: optionsOf(config, protocol, 'smtp_sasl_security_options'),
      tls: optionsOf(config, protocol, 'smtp_sasl_tls_security_options'),
      verified: optionsOf(config, protocol, 'smtp_sasl_tls_verified_security_options'),
    },
    mechanismFilter: config.getFor(protocol, 'smtp_sasl_mechanism_filter'),
    sendsAuthorizationId: config.get('send_cyrus_sasl_authzid'),
    softBounce: config.getFor(protocol, 'smtp_sasl_auth_soft_bounce'),
    sendsMailAuth: config.getFor(protocol, 'smtp_send_dummy_mail_auth'),
    rejections:
      cacheName === ''
        ? undefined
        : { name: cacheName, timeMs: config.getFor(protocol, 'smtp_sasl_auth_cache_time') },
    notes: notesOn(config, protocol),
  };
};

/** Throws a sentence when main.cf is wrong about logins. */
export const checkLogins = (config: Config, protocol: Protocol): void => {
  saslSettings(config, protocol);
};

const optionsOf = (
  config: Config,
  protocol: Protocol,
  name:
    | 'smtp_sasl_security_options'
    | 'smtp_sasl_tls_security_options'
    | 'smtp_sasl_tls_verified_security_options',
): SecurityOption[] =>
  config.getFor(protocol, name).map((word) => {
    const known = securityOptions.find((option) => option === word);
    if (known !== undefined) return known;
    throw new Error(`${name.replace('smtp', protocol)}: "${word}" is none of ${securityOptions.join(', ')}`);
  });

const notesOn = (config: Config, protocol: Protocol): string[] => {
  const type = config.getFor(protocol, 'smtp_sasl_type');
  const path = config.getFor(protocol, 'smtp_sasl_path');
  const configPath = config.get('cyrus_sasl_config_path');
  return [
    ...(type === 'cyrus'
      ? []
      : [`${protocol}_sasl_type = ${type}: logins use the built-in mechanisms, as for every type`]),
    ...(path === ''
      ? []
      : [
          `${protocol}_sasl_path = ${path} is not used: the built-in mechanisms need no plug-in and no server`,
        ]),
    ...(configPath === ''
      ? []
      : [
          `cyrus_sasl_config_path = ${configPath} is not used: the built-in mechanisms have no files of their own`,
        ]),
  ];
};

/** The parameters of milters, read once. */
import type { Config } from '@mailfleet/config';
import { parseSocketAddress, type SocketAddress } from '@mailfleet/lookup';
import type { Version } from './codec.ts';

export interface Milter {
  readonly name: string;
  /** Undefined: it names no socket, so that nobody can ask it. */
  readonly address: SocketAddress | undefined;
}

export interface MilterSettings {
  readonly milters: readonly Milter[];
  readonly defaultAction: 'accept' | 'reject' | 'tempfail' | 'quarantine';
  readonly version: Version;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
  readonly contentTimeoutMs: number;
  /** myhostname. */
  readonly hostname: string;
  /** Macro v. */
  readonly software: string;
  /** Bytes of a body that a milter puts in place of another; 0: any. */
  readonly sizeLimit: number;
}

/** Those for mail that does not come by SMTP; undefined: there are none. */
export function milterSettings(config: Config): MilterSettings | undefined {
  const names = config.get('non_smtpd_milters');
  if (names.length === 0) return undefined;
  return {
    milters: names.map((name) => ({ name, address: parseSocketAddress(name) })),
    defaultAction: config.get('milter_default_action'),
    version: Number(config.get('milter_protocol')) as Version,
    connectTimeoutMs: config.get('milter_connect_timeout'),
    commandTimeoutMs: config.get('milter_command_timeout'),
    contentTimeoutMs: config.get('milter_content_timeout'),
    hostname: config.get('myhostname'),
    software: config.get('mail_name'),
    sizeLimit: config.get('message_size_limit'),
  };
}

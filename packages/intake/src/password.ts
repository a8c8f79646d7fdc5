/**
 * Passwords of SMTP clients, from intake_password_maps. Passwords are compared by their hashes in constant time, and an
 * unknown user costs the same comparison, so that neither can be guessed by the clock.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { openMaps, tableOptions, withoutEntries } from '@mailfleet/lookup';
import type { SMTPServerOptions } from 'smtp-server';
import type { Intake } from './intake.ts';

/** Whether two secrets are equal; takes the same time wherever they differ. */
function secretsEqual(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

export function digest(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

export function passwordCheck({ config, telemetry }: Intake): NonNullable<SMTPServerOptions['onAuth']> {
  const passwords = openMaps(config.get('intake_password_maps'), {
    ...tableOptions(config),
    warn: (sentence) => telemetry.log.warn(`intake_password_maps: ${withoutEntries(sentence)}`),
  });
  return (auth, session, callback) => {
    const { method, username = '' } = auth;
    // XCLIENT LOGIN: the proxy, which smtpd_authorized_xclient_hosts trusts, has checked the password.
    if (method === 'XCLIENT') return callback(null, { user: { name: username } });
    passwords.lookup(username).then(
      (result) => {
        if (result.kind === 'error') {
          telemetry.log.error(`intake_password_maps: ${withoutEntries(result.reason)}`);
          return callback(failure(454, '4.7.0 Temporary authentication failure'));
        }
        const right = secretsEqual(auth.password ?? '', result.kind === 'found' ? result.value : '');
        if (right && result.kind === 'found') return callback(null, { user: { name: username, method } });
        telemetry.log.warn(`${session.remoteAddress}: SASL ${method} authentication failed`);
        return callback(failure(535, '5.7.8 Error: authentication failed'));
      },
      (error: unknown) => callback(failure(454, `4.7.0 Temporary authentication failure`, error)),
    );
  };
}

function failure(responseCode: number, text: string, cause?: unknown): Error & { responseCode: number } {
  return Object.assign(new Error(text, { cause }), { responseCode });
}

/** Scenarios about logins. Those whose client adds a random number (DIGEST-MD5, SCRAM) are tested beside Dovecot instead. */
import type { SmtpServerOptions } from '@mailfleet/test-kit';
import type { Scenario } from './scenario.ts';

const users = { alice: 's3cret' };
const common = ['PIPELINING', '8BITMIME', 'SIZE 1000000'];
const nexthop = '[localhost]:%1';
const login = {
  smtp_sasl_auth_enable: 'yes',
  smtp_sasl_password_maps: 'inline:{localhost=alice:s3cret}',
  smtp_sasl_security_options: 'noanonymous',
};
const offering = (...keywords: readonly string[]): Omit<SmtpServerOptions, 'protocol' | 'port'> => ({
  users,
  keywords: [...common, ...keywords],
});
const rejecting = (reply: string): Omit<SmtpServerOptions, 'protocol' | 'port'> => ({
  ...offering('AUTH PLAIN'),
  hooks: { auth: reply },
});
const cramMd5 = {
  'CRAM-MD5': async ({ ask }: { ask(challenge: Buffer): Promise<Buffer> }) => {
    const response = (await ask(Buffer.from('<1896.697170952@localhost>'))).toString();
    return response.startsWith('alice ') ? 'alice' : undefined;
  },
};
const scripted = (
  keyword: string,
  ...lines: readonly string[]
): Omit<SmtpServerOptions, 'protocol' | 'port'> => ({
  scripts: [['S: 220 x ESMTP', 'C: EHLO*', 'S: 250-x', `S: 250 ${keyword}`, ...lines, 'silence']],
});

export const saslScenarios: readonly Scenario[] = (
  [
    { name: 'PLAIN', servers: [offering('AUTH PLAIN')] },
    { name: 'LOGIN', servers: [offering('AUTH LOGIN')] },
    { name: 'CRAM-MD5', servers: [{ ...offering('AUTH CRAM-MD5'), mechanisms: cramMd5 }] },
    {
      name: 'CRAM-MD5 before PLAIN and LOGIN',
      servers: [{ ...offering('AUTH PLAIN CRAM-MD5 LOGIN'), mechanisms: cramMd5 }],
    },
    { name: 'the old form of the offer', servers: [offering('AUTH=PLAIN')] },
    { name: 'both forms of the offer', servers: [offering('AUTH PLAIN LOGIN', 'AUTH=PLAIN LOGIN')] },
    { name: 'several lines', servers: [offering('AUTH X-NONE', 'AUTH plain')] },
    { name: 'not offered', servers: [offering()] },
    {
      name: 'offered to one without a password',
      servers: [offering('AUTH PLAIN')],
      config: { smtp_sasl_password_maps: 'inline:{other=a:b}' },
    },
    { name: 'switched off', servers: [offering('AUTH PLAIN')], config: { smtp_sasl_auth_enable: 'no' } },
    { name: 'overlooked', servers: [offering('AUTH PLAIN')], config: { smtp_discard_ehlo_keywords: 'auth' } },
    { name: 'an offer of nothing', servers: [offering('AUTH')] },
    {
      name: 'an offer of nothing to one without a password',
      servers: [offering('AUTH')],
      config: { smtp_sasl_password_maps: 'inline:{other=a:b}' },
    },
    { name: 'an offer of nothing known', servers: [offering('AUTH X-NONE')] },
    {
      name: 'nothing is left by the filter',
      servers: [offering('AUTH PLAIN LOGIN')],
      config: { smtp_sasl_mechanism_filter: 'cram-md5' },
    },
    {
      name: 'chosen by the filter',
      servers: [offering('AUTH PLAIN LOGIN')],
      config: { smtp_sasl_mechanism_filter: '!plain, static:all' },
    },
    {
      name: 'no password in clear',
      servers: [offering('AUTH PLAIN LOGIN')],
      config: { smtp_sasl_security_options: 'noplaintext, noanonymous' },
    },
    {
      name: 'the nexthop has the password',
      servers: [offering('AUTH PLAIN')],
      config: { smtp_sasl_password_maps: 'inline:{{[localhost]:%1=alice:s3cret}}' },
    },
    {
      name: 'the host comes before the nexthop',
      servers: [offering('AUTH PLAIN')],
      config: { smtp_sasl_password_maps: 'inline:{{[localhost]:%1=bob:x}, localhost=alice:s3cret}' },
    },
    {
      name: 'the sender has the password',
      servers: [offering('AUTH PLAIN')],
      sender: 'me+x@example.org',
      config: {
        recipient_delimiter: '+',
        smtp_sender_dependent_authentication: 'yes',
        smtp_sasl_password_maps: 'inline:{me@example.org=alice:s3cret, localhost=bob:x}',
      },
    },
    {
      name: 'the user part of a sender of ours has the password',
      servers: [offering('AUTH PLAIN')],
      sender: 'me@client.test',
      config: {
        myorigin: 'client.test',
        smtp_sender_dependent_authentication: 'yes',
        smtp_sasl_password_maps: 'inline:{me=alice:s3cret, @client.test=bob:x}',
      },
    },
    {
      name: 'the user part of another sender has none',
      servers: [offering('AUTH PLAIN')],
      config: {
        smtp_sender_dependent_authentication: 'yes',
        smtp_sasl_password_maps: 'inline:{sender=bob:x, @example.org=alice:s3cret}',
      },
    },
    {
      name: "the sender's domain has the password",
      servers: [offering('AUTH PLAIN')],
      config: {
        smtp_sender_dependent_authentication: 'yes',
        smtp_sasl_password_maps: 'inline:{@example.org=alice:s3cret}',
      },
    },
    {
      name: 'a password with a colon',
      servers: [{ ...offering('AUTH PLAIN'), users: { alice: 'a:b' } }],
      config: { smtp_sasl_password_maps: 'inline:{localhost=alice:a:b}' },
    },
    {
      name: 'no password at all',
      servers: [offering('AUTH PLAIN')],
      config: { smtp_sasl_password_maps: 'inline:{localhost=alice}' },
    },
    {
      name: 'a long password',
      servers: [offering('AUTH PLAIN')],
      config: { smtp_sasl_password_maps: `inline:{localhost=alice:${'x'.repeat(371)}}` },
    },
    {
      name: 'a password too long for the command line',
      servers: [offering('AUTH PLAIN')],
      config: { smtp_sasl_password_maps: `inline:{localhost=alice:${'x'.repeat(372)}}` },
    },
    { name: 'whom to act as', servers: [offering('AUTH PLAIN')], config: { send_cyrus_sasl_authzid: 'yes' } },
    {
      name: 'AUTH=<> with everything else',
      servers: [offering('AUTH PLAIN', 'DSN', 'SMTPUTF8')],
      envid: 'QQ1',
      ret: 'HDRS',
      encoding: '8bit',
      smtputf8: true,
      config: { smtp_send_dummy_mail_auth: 'yes' },
    },
    {
      name: 'no AUTH=<> without a login',
      servers: [offering('AUTH PLAIN')],
      config: { smtp_send_dummy_mail_auth: 'yes', smtp_sasl_password_maps: 'inline:{other=a:b}' },
    },
    { name: 'rejected', servers: [rejecting('535 5.7.8 no')] },
    { name: 'rejected in several lines', servers: [rejecting('535-5.7.8 no\n535 5.7.8 see elsewhere')] },
    {
      name: 'rejected for good',
      servers: [rejecting('535 5.7.8 no')],
      config: { smtp_sasl_auth_soft_bounce: 'no' },
    },
    {
      name: 'rejected for good, softly',
      servers: [rejecting('535 5.7.8 no')],
      config: { smtp_sasl_auth_soft_bounce: 'no', soft_bounce: 'yes' },
    },
    {
      name: 'rejected for now',
      servers: [rejecting('454 4.7.0 later')],
      config: { smtp_sasl_auth_soft_bounce: 'no' },
    },
    { name: 'an answer that is none', servers: [rejecting('100 what')] },
    {
      name: 'rejected by the first host',
      servers: [rejecting('535 5.7.8 no'), offering('AUTH PLAIN')],
      nexthop: '[localhost]:%1, [localhost]:%2',
    },
    { name: 'hangs up', servers: [{ ...offering('AUTH PLAIN'), hooks: { auth: { close: true } } }] },
    {
      name: 'a challenge that is no Base64',
      servers: [scripted('AUTH CRAM-MD5', 'C: AUTH CRAM-MD5', 'S: 334 !!', 'C: *', 'S: 221 bye')],
    },
    {
      name: 'LOGIN asks a third time',
      servers: [
        scripted(
          'AUTH LOGIN',
          'C: AUTH LOGIN',
          'S: 334 VXNlcm5hbWU6',
          'C: *',
          'S: 334 UGFzc3dvcmQ6',
          'C: *',
          'S: 334 TW9yZTo=',
          'C: *',
          'S: 221 bye',
        ),
      ],
    },
    {
      name: 'PLAIN asks for more',
      servers: [scripted('AUTH PLAIN', 'C: AUTH PLAIN *', 'S: 334 bW9yZQ==', 'C: *', 'S: 221 bye')],
    },
    {
      name: 'LMTP',
      protocol: 'lmtp',
      servers: [offering('AUTH PLAIN')],
      nexthop: 'inet:localhost:%1',
      config: {
        lmtp_sasl_auth_enable: 'yes',
        lmtp_sasl_password_maps: 'inline:{localhost=alice:s3cret}',
        lmtp_sasl_security_options: 'noanonymous',
        lmtp_host_lookup: 'native',
      },
    },
  ] satisfies Scenario[]
).map((scenario: Scenario) => ({
  nexthop,
  ...scenario,
  name: `SASL: ${scenario.name}`,
  config: { ...login, ...scenario.config },
}));

/**
 * Documents that say what servers answer, for the rules of texts.ts: title and address, so that an operator can look a class up.
 * Vendors reword their replies; the date is that of the text that the rules were checked against. Postfix, postscreen and Exim: the manual
 * explains the feature, the words are those of the programs.
 */
export const SOURCES = {
  /** Last updated 2026-06-18. */
  gmail:
    'Gmail SMTP errors and codes, https://knowledge.workspace.google.com/admin/support/troubleshooting/gmail-smtp-errors-and-codes',
  exchange:
    'Email non-delivery reports in Exchange Online, https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online/non-delivery-reports-in-exchange-online',
  /** July 2026. */
  outlook:
    'Outlook.com Postmaster: Troubleshooting, SMTP Error Codes, https://substrate.office.com/ip-domain-management-snds/Postmaster/Troubleshooting',
  /** July 2026. */
  yahoo: 'Yahoo Sender Hub: SMTP Error Codes, https://senders.yahooinc.com/smtp-error-codes/',
  mimecast:
    'Mimecast SMTP Error Codes, https://mimecastsupport.zendesk.com/hc/en-us/articles/34000709564691-Policies-Mimecast-SMTP-Error-Codes',
  postfix: 'Postfix configuration parameters, postconf(5), https://www.postfix.org/postconf.5.html',
  postscreen: 'Postfix Postscreen Howto, https://www.postfix.org/POSTSCREEN_README.html',
  postgrey: 'postgrey, https://postgrey.schweikert.ch/',
  rspamd: 'Rspamd greylisting module, https://rspamd.com/doc/modules/greylisting.html',
  exim: 'Exim specification, https://www.exim.org/exim-html-current/doc/html/spec_html/index.html',
  dovecot:
    'Dovecot quota plugin: quota_exceeded_message, https://doc.dovecot.org/2.3/settings/plugin/quota-plugin/',
  sendmail:
    'Solaris Common Messages and Troubleshooting Guide (sendmail), https://docs.oracle.com/cd/E19620-01/805-4036/msgs-982/index.html',
  spamassassin:
    'spamass-milter(1): rejectmsg, https://manpages.ubuntu.com/manpages/noble/man1/spamass-milter.1.html',
  smtp: 'RFC 5321, section 4.2.3 and appendix D, https://www.rfc-editor.org/rfc/rfc5321',
  size: 'RFC 1870, sections 6.1 and 6.3, https://www.rfc-editor.org/rfc/rfc1870',
  spf: 'RFC 7208, section 8.4, https://www.rfc-editor.org/rfc/rfc7208',
  dmarc: 'RFC 7489, section 10.3, https://www.rfc-editor.org/rfc/rfc7489',
  auth: 'RFC 4954, section 6, https://www.rfc-editor.org/rfc/rfc4954',
  starttls: 'RFC 3207, section 4, https://www.rfc-editor.org/rfc/rfc3207',
} as const;

/**
 * Parameters that nothing reads yet: main.cf may set them, and is told that they have no effect. A test compares the list with the
 * sources, so that it can only shrink; `UPDATE=1 npx vitest run test/parameters` writes it anew.
 */
export const unread: readonly string[] = [
  'disable_mime_input_processing',
  'force_mime_input_conversion',
  'non_smtpd_milters',
  'strict_7bit_headers',
  'strict_8bitmime',
  'strict_8bitmime_body',
  'strict_mime_encoding_domain',
];

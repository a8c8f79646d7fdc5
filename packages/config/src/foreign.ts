/**
 * Parameters of the parts of Postfix that Mailfleet does not have. A main.cf may well set them; they are shown as they stand, and
 * whoever starts a fleet hears why they change nothing. By name or by its beginning, since such parts gain parameters with every release.
 */

interface ForeignPart {
  readonly names: RegExp;
  /** Completes "belongs to …". */
  readonly reason: string;
}

const PARTS: readonly ForeignPart[] = [
  {
    names: /^(?:postscreen|dnsblog)_/,
    reason: 'postscreen(8), which guards a public port 25; Mailfleet takes mail from your own systems only',
  },
  {
    names: /^(?:milter_|smtpd_milter)/,
    reason:
      'milters of SMTP sessions, or to what they are told; see non_smtpd_milters for those that are asked',
  },
  {
    names: /^address_verify_|^unverified_/,
    reason: 'verify(8), which probes addresses; Mailfleet does not',
  },
  {
    names:
      /^(?:smtpd|qmqpd|anvil|tlsproxy|rbl|maps_rbl)_|_reject_code$|_defer_code$|^(?:access_map|reject|defer)_|_tempfail_action$|^(?:default_rbl_reply|broken_sasl_auth_clients|disable_vrfy_command|show_user_unknown_table_name|relay_clientcerts|relay_recipient_maps|local_recipient_maps|local_login_sender_maps|empty_address_local_login_sender_maps_lookup_key|permit_mx_backup_networks|strict_rfc821_envelopes|queue_minfree|local_header_rewrite_clients|authorized_submit_users)$/,
    reason:
      'smtpd(8), which decides what mail of strangers to take; see the intake_ parameters for who may submit',
  },
  {
    names:
      /canonical|^masquerade_|_bcc_maps$|^(?:always_bcc|virtual_alias_|message_(?:reject|strip)_characters|receive_override_options|content_filter|default_filter_nexthop|always_add_missing_headers|cleanup_|remote_header_rewrite_domain|queue_file_attribute_count_limit|enable_original_recipient|sender_based_routing)/,
    reason: 'cleanup(8), which rewrites mail as it comes in; Mailfleet queues what it is given',
  },
  {
    names:
      /^(?:alias_|mailbox_|luser_relay$|fallback_transport|home_mailbox$|forward_|command_e|execution_directory_|local_|allow_mail_to_|biff$|deliver_lock_|stale_lock_time$|mail_spool_directory$|prepend_delivered_header$|require_home_directory$|expand_owner_alias$|owner_request_special$|reset_owner_alias$|strict_mailbox_ownership$|frozen_delivered_to$|default_privs$|sun_mailtool_compatibility$|pipe_)/,
    reason: 'local(8) and pipe(8); Mailfleet delivers over SMTP and LMTP only, for example to Dovecot',
  },
  {
    names: /^virtual_/,
    reason: 'virtual(8); Mailfleet delivers over SMTP and LMTP only, for example to Dovecot',
  },
  {
    names:
      /^(?:relocated_maps|allow_percent_hack|allow_untrusted_routing|swap_bangpath|resolve_\w+|empty_address_recipient|allow_min_user|mynetworks_style)$/,
    reason:
      'trivial-rewrite(8) and its treatment of unusual addresses; Mailfleet takes addresses as they are',
  },
  {
    names:
      /^(?:multi_instance_|postmulti_|alternate_config_directories$|postlogd?_|maillog_file_|authorized_(?:flush|mailq)_users$|fast_flush_|pickup_|showq_|master_service_disable$|process_id_directory$|fault_injection_code$|fork_|dont_remove$|debugger_command$|sendmail_fix_line_endings$)/,
    reason:
      "Postfix's master and its commands; Mailfleet's processes are containers, or children of mailfleet up",
  },
  {
    names:
      /^(?:\w+_directory|mailq_path|newaliases_path|sendmail_path|mail_owner|setgid_group|mail_release_date)$/,
    reason: 'an installation of Postfix',
  },
];

/** What a parameter belongs to that is none of ours, as the end of a sentence; undefined: nothing that is known. */
export function foreignPart(name: string): string | undefined {
  return PARTS.find(({ names }) => names.test(name))?.reason;
}

/** Whose references are for the daemon to expand, with what it knows of a message: `$SENDER` is no parameter. */
const EXPANDED_LATER =
  /^(?:command_execution_directory|default_rbl_reply|forward_path|luser_relay|mailbox_command|(?:postscreen|smtpd)_(?:expansion_filter|reject_footer))$/;

export function isExpandedLater(name: string): boolean {
  return EXPANDED_LATER.test(name);
}

/** Parameters: processes. See entry.ts for what the fields mean. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in main.cf syntax look like template strings
import type { Entries } from './entry.ts';

export const processes = {
  ipc_idle: {
    type: 'time',
    default: '5s',
    unit: 's',
    min: 1,
    since: '<=2.0',
    moot: 'processes talk through Redis, not over sockets of their own',
    doc: 'Idle limit of internal client connections.',
  },
  ipc_ttl: {
    type: 'time',
    default: '1000s',
    unit: 's',
    min: 1,
    since: '2.1',
    moot: 'processes talk through Redis, not over sockets of their own',
    doc: 'Age limit of internal client connections.',
  },
  trigger_timeout: {
    type: 'time',
    default: '10s',
    unit: 's',
    min: 1,
    since: '<=2.0',
    moot: 'processes talk through Redis, not over sockets of their own',
    doc: 'Limit for sending a wake-up.',
  },
  application_event_drain_time: {
    type: 'time',
    default: '100s',
    unit: 's',
    min: 1,
    since: '2.1',
    moot: 'processes talk through Redis, not over sockets of their own',
    doc: 'Grace period for finishing events at shutdown.',
  },
  default_process_limit: {
    type: 'integer',
    default: '100',
    min: 1,
    since: '<=2.0',
    doc: 'Worker processes per service unless master.cf says otherwise.',
  },
  service_throttle_time: {
    type: 'time',
    default: '60s',
    unit: 's',
    min: 1,
    since: '<=2.0',
    doc: 'Wait before restarting a broken service.',
  },
  service_name: {
    type: 'string',
    default: 'name of the service',
    computed: true,
    since: '3.3',
    doc: 'Service name of the running process; read-only.',
  },
  import_environment: {
    type: 'list',
    default:
      'MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME XDG_RUNTIME_DIR',
    since: '<=2.0',
    moot: 'a container or a unit file sets the environment of a process, and no process of ours hides any of it from another',
    doc: 'Environment variables kept by Postfix processes.',
  },
  export_environment: {
    type: 'list',
    default: 'TZ MAIL_CONFIG LANG',
    since: '<=2.0',
    moot: 'no external commands are run',
    doc: 'Environment variables passed to external commands.',
  },
  stress: {
    type: 'string',
    default: '',
    since: '2.5',
    doc: 'Not empty while a service is overloaded, for values such as `${stress?1}${stress:5}`.',
  },
} as const satisfies Entries;

/** The groups in the order of docs/parameters.md. */
import { bounce } from './bounce.ts';
import { compatibility } from './compatibility.ts';
import { content } from './content.ts';
import { dns } from './dns.ts';
import type { Entries } from './entry.ts';
import { general } from './general.ts';
import { intake } from './intake.ts';
import { mailfleet } from './mailfleet.ts';
import { maps } from './maps.ts';
import { mime } from './mime.ts';
import { miscellaneous } from './miscellaneous.ts';
import { processes } from './process.ts';
import { queue } from './queue.ts';
import { resources } from './resources.ts';
import { routing } from './routing.ts';
import { sasl } from './sasl.ts';
import { scache } from './scache.ts';
import { scheduler } from './scheduler.ts';
import { tlsClient } from './tls-client.ts';
import { tlsLibrary } from './tls-library.ts';
import { tlsObsolete } from './tls-obsolete.ts';
import { tlsproxy } from './tlsproxy.ts';
import { trouble } from './trouble.ts';

export interface Group {
  readonly title: string;
  readonly entries: Entries;
}

export const groups: readonly Group[] = [
  { title: 'Mailfleet', entries: mailfleet },
  { title: 'Names, addresses and folders', entries: general },
  { title: 'Intake', entries: intake },
  { title: 'Routing', entries: routing },
  { title: 'Queue', entries: queue },
  { title: 'Scheduler', entries: scheduler },
  { title: 'Resource and rate controls of the client', entries: resources },
  { title: 'Client miscellany', entries: miscellaneous },
  { title: 'Compatibility with broken or old servers', entries: compatibility },
  { title: 'DNS', entries: dns },
  { title: 'TLS in the client', entries: tlsClient },
  { title: 'Older TLS controls', entries: tlsObsolete },
  { title: 'TLS in general', entries: tlsLibrary },
  { title: 'TLS proxy', entries: tlsproxy },
  { title: 'SASL authentication', entries: sasl },
  { title: 'MIME processing', entries: mime },
  { title: 'Header and body checks', entries: content },
  { title: 'Session cache', entries: scache },
  { title: 'Delivery status notifications', entries: bounce },
  { title: 'Lookup tables', entries: maps },
  { title: 'Trouble shooting and logs', entries: trouble },
  { title: 'Processes', entries: processes },
];

/** What the declarations say as a type: the source of ParameterName and ValueOf. */
export type Declared = typeof mailfleet &
  typeof general &
  typeof intake &
  typeof routing &
  typeof queue &
  typeof scheduler &
  typeof resources &
  typeof miscellaneous &
  typeof compatibility &
  typeof dns &
  typeof tlsClient &
  typeof tlsObsolete &
  typeof tlsLibrary &
  typeof tlsproxy &
  typeof sasl &
  typeof mime &
  typeof content &
  typeof scache &
  typeof bounce &
  typeof maps &
  typeof trouble &
  typeof processes;

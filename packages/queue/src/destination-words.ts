/** How what operators set on destinations is written down in Redis, and read back. */
import type {
  ControlChange,
  ControlKind,
  DestinationControl,
  DestinationName,
  Subject,
} from './destination-ports.ts';

export function formatName({ transport, nexthop }: DestinationName): string {
  return `${transport}:${nexthop.toLowerCase()}`;
}

function parseName(text: string): DestinationName {
  const colon = text.indexOf(':');
  return { transport: text.slice(0, colon), nexthop: text.slice(colon + 1) };
}

/** Member of a shard's controls: one of each kind for a destination. */
export function controlMember(name: DestinationName, kind: ControlKind): string {
  return `${kind} ${formatName(name)}`;
}

/** What else is known of it stands in the member and in the score. */
export function formatControl({ value, sinceMs, reason }: DestinationControl): string {
  return JSON.stringify({ value, sinceMs, reason });
}

export function parseControl(member: string, untilMs: number, json: string): DestinationControl {
  const { value, sinceMs, reason } = JSON.parse(json) as Pick<
    DestinationControl,
    'value' | 'sinceMs' | 'reason'
  >;
  return { ...parseMember(member), value, sinceMs, untilMs, reason };
}

/** @param text `<until> <json>`, or '' when it was lifted */
export function parseChange(member: string, text: string, previousUntil: string): ControlChange {
  const space = text.indexOf(' ');
  return {
    ...parseMember(member),
    ...(text === ''
      ? {}
      : { control: parseControl(member, Number(text.slice(0, space)), text.slice(space + 1)) }),
    ...(previousUntil === '' ? {} : { previousUntilMs: Number(previousUntil) }),
  };
}

/** As it is shown wherever mail waits for a pause. */
export function pauseReason({ transport, nexthop, untilMs, reason }: DestinationControl): string {
  return `delivery to ${transport}:${nexthop} is paused by the operator until ${new Date(untilMs).toISOString()}: ${reason}`;
}

export function parseSubject(queueId: string, destination: string): Subject {
  return destination === '' ? { queueId } : { destination: parseName(destination) };
}

function parseMember(member: string): DestinationName & { readonly kind: ControlKind } {
  const space = member.indexOf(' ');
  return { kind: member.slice(0, space) as ControlKind, ...parseName(member.slice(space + 1)) };
}

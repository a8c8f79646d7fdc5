/** What an operator has set on a destination for a time. It stays when the destination itself is forgotten. */
import type { ControlKind, DestinationControl, DestinationName } from '@mailfleet/queue';
import type { HeapItem } from './heap.ts';

export class Controls implements HeapItem {
  readonly key: string;
  readonly #set = new Map<ControlKind, DestinationControl>();
  /** When the first of them ends. */
  timerMs = 0;
  heapIndex = -1;

  constructor(key: string) {
    this.key = key;
  }

  get empty(): boolean {
    return this.#set.size === 0;
  }

  get(kind: ControlKind): DestinationControl | undefined {
    return this.#set.get(kind);
  }

  put(kind: ControlKind, control: DestinationControl | undefined): void {
    if (control === undefined) this.#set.delete(kind);
    else this.#set.set(kind, control);
    this.timerMs = Math.min(...Array.from(this.#set.values(), ({ untilMs }) => untilMs));
  }

  /** Takes out those whose time is over. */
  dropEnded(nowMs: number): void {
    for (const [kind, { untilMs }] of this.#set) if (untilMs <= nowMs) this.put(kind, undefined);
  }

  /** By its time and not by its timer, so that what comes back at that time is not sent away once more. */
  isPaused(nowMs: number): boolean {
    return nowMs < (this.#set.get('pause')?.untilMs ?? 0);
  }
}

export function controlKey({ transport, nexthop }: DestinationName): string {
  return `${transport}:${nexthop.toLowerCase()}`;
}

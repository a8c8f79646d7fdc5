/**
 * A doubly linked list whose items carry their own links: append, insert and remove anywhere in constant time, without
 * allocation. An item stands on one chain of a kind at a time; `linked` says whether it stands on any.
 */
export interface Linked<T> {
  previous: T | undefined;
  next: T | undefined;
  linked: boolean;
}

export class Chain<T extends Linked<T>> {
  first: T | undefined;
  last: T | undefined;

  append(item: T): void {
    this.insertBefore(item, undefined);
  }

  /** Puts `item` directly before `next`, at the end when there is none. */
  insertBefore(item: T, next: T | undefined): void {
    const previous = next === undefined ? this.last : next.previous;
    item.previous = previous;
    item.next = next;
    item.linked = true;
    if (previous === undefined) this.first = item;
    else previous.next = item;
    if (next === undefined) this.last = item;
    else next.previous = item;
  }

  /** Does nothing for an item that is not linked. */
  remove(item: T): void {
    if (!item.linked) return;
    if (item.previous === undefined) this.first = item.next;
    else item.previous.next = item.next;
    if (item.next === undefined) this.last = item.previous;
    else item.next.previous = item.previous;
    item.previous = undefined;
    item.next = undefined;
    item.linked = false;
  }
}

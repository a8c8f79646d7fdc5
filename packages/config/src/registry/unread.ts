/**
 * Parameters that nothing reads yet: main.cf may set them, and is told that they have no effect. A test compares the list with the
 * sources, so that it can only shrink; `UPDATE=1 npx vitest run test/parameters` writes it anew.
 */
export const unread: readonly string[] = [];

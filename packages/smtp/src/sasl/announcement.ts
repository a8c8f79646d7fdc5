/**
 * The mechanisms that a server announces, as words of its EHLO reply. Several AUTH lines count as one list (old servers repeat theirs as
 * `AUTH=`), and a list of more than `limit` characters is cut, so that no server makes us keep what it likes.
 */

/** @param lines the words of each AUTH line */
export const mergeAnnouncements = (lines: readonly (readonly string[])[], limit: number): string[] => {
  const seen = new Set<string>();
  const merged: string[] = [];
  let length = 0;
  for (const line of lines) {
    const text = line.join(' ').toUpperCase();
    if (seen.has(text)) continue;
    seen.add(text);
    for (const word of line) {
      length += word.length + 1;
      if (length > limit) return merged;
      merged.push(word);
    }
  }
  return merged;
};

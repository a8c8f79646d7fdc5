/** The known name that a misspelt one was probably meant to be. */
import { parameters } from './parameter.ts';

/** The nearest known name within a quarter of the length of `name`, if there is one. */
export function nearestName(name: string): string | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const parameter of parameters) {
    if (Math.abs(parameter.name.length - name.length) > name.length / 4) continue;
    const distance = editDistance(name, parameter.name);
    if (distance <= Math.max(1, name.length / 4) && (best === undefined || distance < best.distance)) {
      best = { name: parameter.name, distance };
    }
  }
  return best?.name;
}

/** Levenshtein distance, one row at a time. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      const substitution = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}

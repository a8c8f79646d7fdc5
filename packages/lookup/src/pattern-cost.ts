/**
 * How much work a pattern can make of a key, seen from the pattern alone. JavaScript's RegExp backtracks: `(a+)+$` takes
 * exponential time, and three `.*` in a row take cubic time, which a header of 100 kB turns into hours. The estimate is an upper
 * bound and cheap; whoever gets a large one runs the pattern under a time limit (time-limit.ts).
 *
 * The source is what RegExp accepted, so that it is read without checking it again.
 */

export interface PatternCost {
  /** Steps for a key of this length, at most. Infinity: no bound that is a power of the length. */
  steps(keyLength: number): number;
  /** What a key must begin with (lower case): nothing else is tried. Empty: anything. */
  readonly prefix: string;
}

export function patternCost({ source, multiline, sticky }: RegExp): PatternCost {
  const anchored = !multiline && /^\^/.test(source) && !/[|]/.test(source);
  const reader = new Reader(source);
  const { degree, choices } = reader.alternatives();
  const power = degree + (anchored || sticky ? 0 : 1);
  const literal = /^\^([A-Za-z0-9@:=<> _-]+)/.exec(source);
  // The last character may be what a quantifier repeats.
  const prefix = anchored && literal !== null ? (literal[1] ?? '').slice(0, -1).toLowerCase() : '';
  return { steps: (length) => (length + 1) ** power * choices, prefix };
}

interface Cost {
  /** Number of places whose length is open. */
  readonly degree: number;
  /** Ways to take branches and optional parts. */
  readonly choices: number;
}

const ENDLESS: Cost = { degree: Number.POSITIVE_INFINITY, choices: 1 };

class Reader {
  readonly #source: string;
  #at = 0;

  constructor(source: string) {
    this.#source = source;
  }

  /** Up to the end or to the `)` of a group. */
  alternatives(): Cost {
    let degree = 0;
    let choices = 0;
    do {
      const branch = this.#sequence();
      degree = Math.max(degree, branch.degree);
      choices += branch.choices;
    } while (this.#take(/\|/y));
    return { degree, choices };
  }

  #sequence(): Cost {
    let degree = 0;
    let choices = 1;
    while (this.#at < this.#source.length && !/[|)]/.test(this.#source[this.#at] ?? '')) {
      const term = this.#term();
      degree += term.degree;
      choices *= term.choices;
    }
    return { degree, choices };
  }

  #term(): Cost {
    let group: Cost | undefined;
    if (this.#take(/\((?:\?(?::|=|!|<=|<!|<\w+>|[a-z]*(?:-[a-z]+)?:))?/y)) {
      group = this.alternatives();
      this.#take(/\)/y);
      // A back reference is as long as its group, whose own quantifiers count already.
    } else if (!this.#take(/\\(?:k<\w+>|[pP]\{[^}]*\}|[\s\S])|\[(?:\\[\s\S]|[^\]])*\]/y)) this.#at += 1;
    const quantifier = this.#take(/(?:[*+?]|\{\d+(?:,\d*)?\})\??/y);
    if (quantifier === undefined) return group ?? { degree: 0, choices: 1 };
    const inner = group ?? { degree: 0, choices: 1 };
    if (quantifier.startsWith('?')) return { degree: inner.degree, choices: inner.choices + 1 };
    const [, least, most] = /^\{(\d+)(?:,(\d+))?\}/.exec(quantifier) ?? [];
    const lengths =
      least === undefined ? Number.POSITIVE_INFINITY : Number(most ?? least) - Number(least) + 1;
    if (inner.degree === 0 && inner.choices === 1 && Number.isFinite(lengths)) {
      return { degree: 0, choices: lengths };
    }
    // What varies inside of a repetition can share a text out in exponentially many ways.
    return group === undefined ? { degree: 1, choices: 1 } : ENDLESS;
  }

  #take(what: RegExp): string | undefined {
    what.lastIndex = this.#at;
    const taken = what.exec(this.#source)?.[0];
    if (taken !== undefined) this.#at += taken.length;
    return taken;
  }
}

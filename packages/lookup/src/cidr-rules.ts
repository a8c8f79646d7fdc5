/**
 * The rules of cidr tables: `net/len result`, `address result`, `!net/len result`. A negated rule matches only addresses of
 * its own family, and a key that is no address matches nothing.
 */
import { parseBlock, parseExactAddress } from './address-block.ts';
import type { RuleSyntax } from './rules.ts';

export const cidrSyntax: RuleSyntax = {
  parse(text) {
    const rule = /^(!?)\s*(\S+)\s*(.*)$/s.exec(text);
    const block = parseBlock(rule?.[2] ?? '', (text) => parseExactAddress(text.replace(/^\[(.*)\]$/, '$1')));
    if (rule === null || typeof block === 'string')
      return typeof block === 'string' ? block : 'there is no network';
    const negated = rule[1] === '!';
    const result = (rule[3] ?? '').trim();
    return {
      condition: {
        match: (key) => {
          const address = parseExactAddress(key);
          if (address === undefined || address.kind() !== block.family) return undefined;
          return block.contains(address) === negated ? undefined : [];
        },
      },
      result: () => result,
    };
  },
};

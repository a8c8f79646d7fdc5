/**
 * The order in which addresses are tried: shuffled for balance, then by preference, then by family; and a fair share of
 * both families when the address limit will cut the list. Pure but for the random source.
 */
import type { HostAddress, HostSearchSettings } from './host-search.ts';

type OrderSettings = Pick<
  HostSearchSettings,
  'families' | 'randomizeAddresses' | 'addressPreference' | 'balanceProtocols' | 'addressLimit'
>;

export function orderAddresses(
  addresses: readonly HostAddress[],
  settings: OrderSettings,
  random: () => number,
): HostAddress[] {
  const list = settings.randomizeAddresses ? shuffle(addresses, random) : [...addresses];
  const first = settings.addressPreference === 'ipv6' ? 6 : settings.addressPreference === 'ipv4' ? 4 : 0;
  const rank = (item: HostAddress): number => (item.family === first ? 0 : 1);
  const byFamily = first !== 0 && settings.families.length > 1;
  list.sort((a, b) => a.preference - b.preference || (byFamily ? rank(a) - rank(b) : 0));
  return settings.balanceProtocols ? balanceFamilies(list, settings.addressLimit) : list;
}

/** Fisher-Yates; leaves the argument alone. */
function shuffle<T>(items: readonly T[], random: () => number): T[] {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const [one, other] = [list[i], list[j]];
    if (one !== undefined && other !== undefined) {
      list[i] = other;
      list[j] = one;
    }
  }
  return list;
}

/** Drops surplus addresses so that a limit of `limit` cannot starve one family (smtp_balance_inet_protocols). */
function balanceFamilies(addresses: readonly HostAddress[], limit: number): HostAddress[] {
  const v6 = addresses.filter((item) => item.family === 6).length;
  const v4 = addresses.length - v6;
  if (limit <= 0 || addresses.length <= limit || v4 === 0 || v6 === 0) return [...addresses];
  const half = Math.floor(limit / 2);
  const larger = Math.floor((limit + 1) / 2);
  let keep: { 4: number; 6: number };
  if (v6 <= half) keep = { 6: v6, 4: limit - v6 };
  else if (v4 <= half) keep = { 6: limit - v4, 4: v4 };
  else if (addresses[0]?.family === 4) keep = { 6: limit - larger, 4: larger };
  else keep = { 6: limit - half, 4: half };
  return addresses.filter((item) => {
    keep[item.family] -= 1;
    return keep[item.family] >= 0;
  });
}

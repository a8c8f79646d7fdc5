/** The one style sheet and the icon. System fonts, light and dark by the reader's own setting, one column on phones. */

export const styleSheet = `
:root {
  color-scheme: light dark;
  --ink: light-dark(#1c2430, #e4e8ee);
  --quiet: light-dark(#5c6878, #98a3b3);
  --ground: light-dark(#f5f6f8, #12161c);
  --sheet: light-dark(#ffffff, #1b212a);
  --line: light-dark(#dde2e9, #2d3642);
  --accent: light-dark(#1a5fb4, #7db4f5);
  --good: light-dark(#17703a, #6fd396);
  --wait: light-dark(#8a5a00, #f0bd5b);
  --bad: light-dark(#b3261e, #ff9a92);
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
code, .id, .offset { font-family: var(--mono); font-size: .92em; }
.top { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1.5rem; padding: .6rem 1.25rem; background: var(--sheet); border-bottom: 1px solid var(--line); }
.brand { font-weight: 700; font-size: 1.1rem; color: var(--ink); }
.top nav { display: flex; gap: 1rem; }
.search { display: flex; gap: .4rem; margin-left: auto; }
.search input { width: 15rem; min-width: 0; font: inherit; font-family: var(--mono); padding: .3rem .6rem; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 6px; }
.search button { font: inherit; padding: .3rem .9rem; color: var(--sheet); background: var(--accent); border: 0; border-radius: 6px; cursor: pointer; }
main { max-width: 72rem; margin: 0 auto; padding: 1rem 1.25rem 3rem; }
h1 { font-size: 1.45rem; margin: .6rem 0 1rem; overflow-wrap: anywhere; }
h1 .badge { font-size: .85rem; vertical-align: middle; }
h2 { font-size: 1.1rem; margin: 2rem 0 .7rem; }
h2 .quiet { font-weight: 400; margin-left: .5rem; }
.quiet, .meaning, .hint, .offset { color: var(--quiet); }
.quiet { font-size: .88rem; }
.hint { max-width: 44rem; }
.right { text-align: right; }
.address, .reason { overflow-wrap: anywhere; }
.empty { padding: 2.5rem; text-align: center; color: var(--quiet); background: var(--sheet); border: 1px dashed var(--line); border-radius: 10px; }
.counts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: 1rem; list-style: none; margin: 0 0 1.5rem; padding: 0; }
.counts a { display: block; height: 100%; padding: 1rem 1.2rem; color: inherit; background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; }
.counts a:hover { border-color: var(--accent); text-decoration: none; }
.counts span { display: block; }
.counts .number { font-size: 2rem; font-weight: 650; line-height: 1.2; font-variant-numeric: tabular-nums; }
.counts .name { font-weight: 600; }
.counts .meaning { font-size: .88rem; }
.badge { display: inline-block; padding: .05rem .55rem; border-radius: 99px; font-size: .8rem; font-weight: 600; white-space: nowrap; color: var(--quiet); background: color-mix(in srgb, currentColor 13%, transparent); }
.badge.delivered { color: var(--good); }
.badge.deferred, .badge.hold, .badge.partly-delivered { color: var(--wait); }
.badge.bounced { color: var(--bad); }
.badge.active, .badge.incoming { color: var(--accent); }
.tabs, .pages { display: flex; flex-wrap: wrap; gap: .5rem; margin: 0 0 1rem; }
.tabs a { padding: .25rem .8rem; border: 1px solid var(--line); border-radius: 99px; background: var(--sheet); }
.tabs a[aria-current] { color: var(--sheet); background: var(--accent); border-color: var(--accent); }
.pages { justify-content: flex-end; gap: 1.5rem; margin-top: 1rem; }
table.list { width: 100%; border-collapse: separate; border-spacing: 0; background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.list th { text-align: left; font-size: .82rem; color: var(--quiet); font-weight: 600; }
.list th.right { text-align: right; }
.list th, .list td { padding: .55rem .8rem; vertical-align: top; border-bottom: 1px solid var(--line); }
.list tr:last-child td { border-bottom: 0; }
.list time { white-space: nowrap; }
.list .reason { font-size: .88rem; }
.list td.address { min-width: 15rem; }
.list td.right { white-space: nowrap; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .9rem 2rem; margin: 0; padding: 1rem 1.2rem; background: var(--sheet); border: 1px solid var(--line); border-radius: 10px; }
.facts dt { font-size: .82rem; color: var(--quiet); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.timeline, .steps { list-style: none; margin: 0; padding: 0; }
.moment { display: grid; grid-template-columns: 15rem 1fr; gap: 1.4rem; }
.when { text-align: right; padding: .1rem 0; font-variant-numeric: tabular-nums; }
.when time, .when .offset { display: block; font-size: .88rem; }
.what { position: relative; min-width: 0; padding: 0 0 1.4rem 1.4rem; border-left: 2px solid var(--line); }
.what::before { content: ""; position: absolute; left: -.42rem; top: .4rem; width: .7rem; height: .7rem; border-radius: 50%; background: var(--accent); border: 2px solid var(--ground); }
.moment:last-child .what { border-left-color: transparent; }
.what h3 { font-size: 1rem; margin: 0; }
.what p { margin: .15rem 0; overflow-wrap: anywhere; }
.steps { margin: .5rem 0; }
.steps li { display: grid; grid-template-columns: 5rem 1fr; gap: .8rem; }
.steps li span { min-width: 0; overflow-wrap: anywhere; }
.outcome { margin: .6rem 0; padding: .5rem .9rem; background: var(--sheet); border: 1px solid var(--line); border-left: 4px solid var(--quiet); border-radius: 6px; }
.outcome.delivered { border-left-color: var(--good); }
.outcome.deferred { border-left-color: var(--wait); }
.outcome.bounced { border-left-color: var(--bad); }
@media (max-width: 44rem) {
  .top { padding: .6rem .9rem; }
  .search { margin-left: 0; width: 100%; }
  .search input { flex: 1; width: auto; }
  main { padding: .6rem .9rem 2rem; }
  .counts { grid-template-columns: 1fr 1fr; gap: .7rem; }
  .list thead { display: none; }
  .list tr { display: block; padding: .6rem .9rem; border-bottom: 1px solid var(--line); }
  .list tr:last-child { border-bottom: 0; }
  .list td { display: block; padding: .1rem 0; border: 0; text-align: left; }
  .list td.address { min-width: 0; }
  .list td[data-name]:not(:empty)::before { content: attr(data-name) ": "; color: var(--quiet); font-size: .85rem; }
  .moment { grid-template-columns: 1fr; gap: .2rem; }
  .when { text-align: left; }
  .when time, .when .offset { display: inline; }
  .what { padding-left: 1rem; margin-left: .4rem; }
}
`;

export const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="2" y="6" width="28" height="20" rx="4" fill="#1a5fb4"/><path d="m5 10 11 8 11-8" fill="none" stroke="#fff" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round"/></svg>
`;

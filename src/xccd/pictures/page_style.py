"""How a page looks: on a wide screen, on a phone and on paper, in light and dark."""

from __future__ import annotations

# Pictures lie on a light plate in the dark as well: their ink is dark, and black sky must not melt into the page.
STYLE = """
:root { --paper: #ffffff; --ink: #1d2126; --soft: #5b6470; --line: #d5dae0; --box: #f5f7f9; --plate: #ffffff;
  --mark: #fff1cc; --warn: #8a4b00; --link: #1f5fa8; --bar: #d55e00; }
@media screen and (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e4e7eb; --soft: #9aa4b0;
  --line: #363d46; --box: #1e2329; --plate: #e9ebee; --mark: #4a3a10; --warn: #ffc46b; --link: #86b8f0;
  --bar: #ff8a3d; } }
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.2rem 1rem 4rem; max-width: 78rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.3rem; margin: 2.4rem 0 .6rem; padding-top: .5rem; border-top: 1px solid var(--line); }
.thumbs:empty { display: none; }
h3 { font-size: 1.12rem; margin: 2rem 0 .4rem; }
h4 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .4rem 0 .8rem; max-width: 60rem; }
header p { color: var(--soft); margin: .1rem 0; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: 1rem 0 0; font-size: .9rem; }
.untold { color: var(--soft); font-style: italic; }
.warning { color: var(--warn); font-weight: 600; }
ul { margin: .3rem 0 .8rem; padding-left: 1.3rem; }
li, td, th, dd, dt, figcaption { unicode-bidi: isolate; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .2rem 1.5rem; margin: .5rem 0; }
dl div { display: flex; gap: .6rem; padding: .15rem 0; border-bottom: 1px solid var(--line); }
dt { color: var(--soft); flex: 0 1 auto; min-width: 4rem; }
dd { margin: 0 0 0 auto; flex: 0 0 auto; max-width: 75%; text-align: right; font-variant-numeric: tabular-nums; }
.scroll, pre { overflow: auto; max-height: 30rem; border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; }
.scroll { width: fit-content; max-width: 100%; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .28rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: normal; }
td.long { min-width: 14rem; overflow-wrap: anywhere; }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }
thead th { position: sticky; top: 0; z-index: 1; background: var(--box); font-weight: 600; }
tbody th { font-weight: 500; position: sticky; left: 0; background: var(--paper); white-space: nowrap; }
tbody th.long { white-space: normal; max-width: 24rem; overflow-wrap: anywhere; }
tbody tr:last-child > * { border-bottom: 0; }
tr.marked > * { background: var(--mark); }
.bar { display: inline-block; height: .6em; min-width: 1px; background: var(--bar); vertical-align: baseline; }
pre { background: var(--box); padding: .7rem .9rem; font: .82rem/1.45 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono",
  monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
figure { margin: 0; }
figcaption { font-size: .8rem; line-height: 1.35; color: var(--soft); padding-top: .3rem; }
figcaption b { color: var(--ink); }
img { display: block; width: 100%; height: auto; border-radius: 3px; }
.thumbs { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .9rem; margin: .7rem 0; }
.thumbs img { border: 1px solid var(--line); }
.thumbs img, .pair img { image-rendering: pixelated; }
.big { max-width: 40rem; margin: .7rem 0; }
.big img { max-height: 36rem; width: auto; max-width: 100%; min-width: min(100%, 24rem); image-rendering: pixelated; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; margin: .7rem 0; max-width: 62rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 29rem), 1fr)); gap: 1rem;
  align-items: start; margin: .7rem 0; }
.plot img { background: var(--plate); padding: 6px; border: 1px solid var(--line); max-width: 44rem; }
.tall img { max-width: 30rem; }
@media (max-width: 36rem) {
  body { padding: .8rem .7rem 3rem; font-size: 15px; }
  .thumbs { grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); gap: .6rem; }
  .scroll, pre { max-height: 24rem; }
  tbody th { position: static; }
  tbody th.long { min-width: 9rem; }
  .plot img { padding: 2px; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  h2, h3, h4 { break-after: avoid; }
  figure, tr, dl div { break-inside: avoid; }
  .scroll, pre { max-height: none; overflow: visible; border: 0; }
  table { font-size: 7.5pt; }
  th, td { padding: .1rem .3rem; overflow-wrap: anywhere; }
  td.number { white-space: normal; }
  td.long { min-width: 0; }
  tbody th { white-space: normal; }
  thead th, tbody th { position: static; }
  .thumbs { grid-template-columns: repeat(5, 1fr); }
  .plots { display: block; }
  .plot img { max-width: 14cm; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

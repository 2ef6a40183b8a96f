"""The frame of a report's page: what it may fetch, which is nothing, and its looks on a screen, a phone, on paper."""

from __future__ import annotations

POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
SCRIPTED = "default-src 'none'; img-src data:; media-src data: blob:; style-src 'unsafe-inline'; script-src 'sha256-{}'"
"""Of a page that has one script of its own, which is let in by its hash."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>{script}
</body>
</html>
"""

STYLE = """
:root { --ground: #ffffff; --ink: #24292f; --soft: #57606a; --line: #d0d7de; --tint: #f3f5f7; --mark: #d3f0dc;
  --link: #0b62c4 }
@media (prefers-color-scheme: dark) {
  :root { --ground: #111418; --ink: #d4dae1; --soft: #97a1ac; --line: #333b44; --tint: #1b2026; --mark: #1d4a2c;
    --link: #6cb2ff }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.8rem; line-height: 1.2; margin: 0.5rem 0 1rem }
h2 { font-size: 1.25rem; margin: 2.2rem 0 0.5rem; padding-top: 0.6rem; border-top: 1px solid var(--line) }
h3, h4 { font-size: 1rem; margin: 1.4rem 0 0.3rem }
p, ul { max-width: 44rem; margin: 0.6rem 0; overflow-wrap: anywhere }
code { font: 0.88em ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; background: var(--tint);
  padding: 0.1em 0.3em; border-radius: 4px }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums }
th, td { padding: 0.35rem 0.6rem; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line) }
th:first-child { padding-left: 0 }
thead th { color: var(--soft); font-weight: 600 }
tbody th { font-weight: 500 }
td img { max-width: 12.5rem }
.pixels { image-rendering: pixelated; border-radius: 0 }
.lead { font-size: 1.2rem; line-height: 1.45 }
pre { background: var(--tint); padding: 0.7rem 0.9rem; border-radius: 6px; max-width: 44rem; overflow-wrap: anywhere;
  white-space: pre-wrap }
pre code { background: none; padding: 0 }
td strong { background: var(--mark); padding: 0.1em 0.35em; margin: 0 -0.35em; border-radius: 4px }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 0.8rem; max-width: 48rem; margin: 0.8rem 0;
  font-size: 0.88rem; color: var(--soft) }
dt { font-weight: 600; color: var(--ink) }
dd { margin: 0 }
.number { text-align: right }
.total > * { font-weight: 700; border-top: 2px solid var(--line) }
.media { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: 1rem;
  margin: 1rem 0; align-items: start }
figure { margin: 0 }
.table { margin: 1rem 0 }
img, video { display: block; max-width: 100%; height: auto; border-radius: 6px }
figcaption { max-width: 44rem; color: var(--soft); font-size: 0.88rem; margin-top: 0.4rem; overflow-wrap: anywhere }
@media (max-width: 40rem) {
  h1 { font-size: 1.45rem; overflow-wrap: anywhere }
  .lead { font-size: 1.1rem }
  thead { display: none }
  table, tbody { display: block }
  tr { display: grid; grid-template-columns: 1fr 1fr; gap: 0.1rem 1.2rem; padding: 0.6rem 0;
    border-bottom: 1px solid var(--line) }
  th, td, .total > * { border: 0; padding: 0; white-space: normal; overflow-wrap: anywhere }
  tbody th { grid-column: 1 / -1; font-weight: 700 }
  tbody th[data-name]:not([data-name=""])::before { content: attr(data-name) " "; font-weight: 400; color: var(--soft) }
  td:not(.picture) { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 0.6rem; text-align: left }
  td::before { content: attr(data-name); color: var(--soft) }
  td:not(.number):not(.picture) { grid-column: 1 / -1 }
  td img { width: 100%; max-width: 100% }
  td.picture img:not(.pixels) { width: auto }
}
"""

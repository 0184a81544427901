"""The report as one HTML page: no script, nothing fetched, readable on paper, in the dark and by a screen reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from schoolsync.reports.contents import Comparison, Report, counted, noun
from schoolsync.roster.causes import Cause
from schoolsync.roster.statistics import School, Statistics

SCHOOLS = 500  # in the table; those with something to look at come first

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --paper: #fff; --card: #f6f8fa;
  --error: #b3261e; --error-soft: #fdecea; --warning: #8a5a00; --warning-soft: #fff4d6; --good: #1a7f37;
  --good-soft: #e6f4ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #343b44; --paper: #0f1318;
  --card: #171c23; --error: #ff8a80; --error-soft: #3a1716; --warning: #f2c14e; --warning-soft: #352a10;
  --good: #6fdd8b; --good-soft: #12301b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0; }
p { margin: .25rem 0; }
.soft { color: var(--soft); }
.verdict { display: inline-block; margin: 1rem 0 .5rem; padding: .45rem .9rem; border-radius: .5rem; font-weight: 600; }
.errors { background: var(--error-soft); color: var(--error); }
.warnings { background: var(--warning-soft); color: var(--warning); }
.clean { background: var(--good-soft); color: var(--good); }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .7rem .9rem; }
.card b { display: block; font-size: 1.45rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: .875rem; }
.cause { border: 1px solid var(--line); border-left: .3rem solid var(--warning); border-radius: .5rem;
  padding: .7rem 1rem; margin: .6rem 0; break-inside: avoid; }
.cause.error { border-left-color: var(--error); }
.cause header { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; }
.cause header h3 { overflow-wrap: anywhere; }
.tag { font-size: .75rem; font-weight: 600; letter-spacing: .03em; text-transform: uppercase; color: var(--warning); }
.error .tag { color: var(--error); }
.count { margin-left: auto; font-weight: 600; font-variant-numeric: tabular-nums; }
code { font: .875em ui-monospace, "Cascadia Code", Menlo, Consolas, monospace; }
.hint { font-weight: 600; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .6rem; }
.scroll + .scroll { margin-top: .75rem; }
.scroll:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; padding: .6rem .8rem 0; color: var(--soft); }
th, td { padding: .45rem .8rem; text-align: left; border-top: 1px solid var(--line); vertical-align: top; }
thead th { white-space: normal; border-top: 0; color: var(--soft); font-weight: 600; vertical-align: bottom; }
thead th.n { white-space: normal; }
th[scope=row] { font-weight: 500; min-width: 11rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.total { background: var(--card); font-weight: 600; }
.look { color: var(--error); font-weight: 600; }
.up { color: var(--good); } .down { color: var(--error); }
@media print { :root { color-scheme: light; --ink: #000; --soft: #333; --line: #999; --paper: #fff; --card: #fff;
  --error: #8c0000; --error-soft: #fff; --warning: #5c3c00; --warning-soft: #fff; --good: #004d14; --good-soft: #fff;
  }
  body { font-size: 11pt; } main { max-width: none; padding: 0; } .scroll { overflow: visible; border: 0; }
  .verdict { border: 1px solid; padding: .2rem .6rem; } thead { display: table-header-group; }
  tr { break-inside: avoid; }
  table { font-size: 9pt; } th, td { padding: .25rem .4rem; } }
"""
_VERDICTS = {
    "errors": "Errors: put them right and check again",
    "warnings": "Warnings only: this roster can be synchronized",
    "clean": "Clean: this roster can be synchronized",
}
_STEPS = ("0", "1–9", "10–19", "20–29", "30–39", "40+")
_KINDS = {
    "organizations": "schools and other organizations",
    "classes": "classes",
    "people": "people",
    "person_organizations": "people at schools",
    "enrollments": "enrollments",
    "contacts": "guardians",
}


def of(report: Report) -> str:
    """The whole page."""
    title = f"{report.title}: {report.verdict}"
    body = "".join(
        (
            f"<h1>{escape(report.title)}</h1>",
            f'<p class="soft">Roster check · format {escape(report.format)} '
            f"({escape(report.why)}) · {counted(len(report.files), 'files')} · "
            f"{counted(report.rows, 'rows')}</p>",
            f'<p class="verdict {report.verdict}">{_VERDICTS[report.verdict]}</p>',
            _cards(report),
            _causes(report.causes),
            _against(report.comparison) if report.comparison else "",
            _schools(report.statistics),
            _files(report),
        )
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def _cards(report: Report) -> str:
    total = report.statistics.total
    numbers = (
        (report.errors, "errors"),
        (report.warnings, "warnings"),
        (len(report.statistics.schools), "schools"),
        (total.students, "students"),
        (total.teachers, "staff"),
        (total.classes, "classes"),
        (total.enrollments, "enrollments"),
    )
    cards = "".join(
        f'<div class="card"><b>{number:,}</b><span>{noun(number, name)}</span></div>' for number, name in numbers
    )
    return f'<div class="cards">{cards}</div>'


def _causes(causes: Sequence[Cause]) -> str:
    if not causes:
        return "<h2>Findings</h2><p>Nothing was found.</p>"
    shown = "".join(map(_cause, causes))
    return (
        f'<h2>Findings</h2><p class="soft">{len(causes):,} to look at, the most important first. One mistake is one '
        f"entry, however many rows it concerns.</p>{shown}"
    )


def _cause(cause: Cause) -> str:
    kind = "fatal" if cause.fatal else cause.severity
    more = "".join(f"<p>{escape(text)}</p>" for text in notes(cause))
    hint = f'<p class="hint">{escape(cause.hint)}</p>' if cause.hint else ""
    rows = f'<span class="count">{rows_of(cause)}</span>' if cause.lines else ""
    return (
        f'<article class="cause {cause.severity}"><header><span class="tag">{kind}</span>'
        f"<h3>{escape(where(cause))}</h3>{rows}</header><p>{escape(cause.message)}</p>{hint}{more}"
        f'<p class="soft"><code>{escape(cause.rule)}</code> · explained in <code>{escape(cause.help)}</code></p>'
        "</article>"
    )


def where(cause: Cause) -> str:
    """The file and the first lines, as a person looks them up."""
    if not cause.lines:
        return cause.file
    lines = ", ".join(map(str, cause.lines))
    name = "line" if cause.count == 1 else "lines"
    more = " …" if cause.count > len(cause.lines) else ""
    return f"{cause.file}, {name} {lines}{more}"


def rows_of(cause: Cause) -> str:
    """How many rows it concerns."""
    return counted(cause.count, "rows")


def notes(cause: Cause) -> Iterable[str]:
    """What else there is to say about it."""
    if cause.files:
        yield "In all: " + ", ".join(f"{file} {count:,}" for file, count in sorted(cause.files.items())) + "."
    if cause.dependents:
        rows = "1 row that depends on it is" if cause.dependents == 1 else f"{cause.dependents:,} rows that depend on "
        if cause.dependents > 1:
            rows += "it are" if cause.count == 1 else "them are"
        yield f"{rows} good and cannot be synchronized either until this is put right."


def problems(school: School) -> int:
    """How much there is to look at in a school."""
    return school.without_teacher + school.unplaced


def _schools(statistics: Statistics) -> str:
    if not statistics.schools:
        return ""
    order = sorted(statistics.schools, key=lambda one: -problems(one))[:SCHOOLS]
    left = len(statistics.schools) - len(order)
    head = "".join(
        f'<th scope="col" class="n">{name}</th>'
        for name in (
            *("Students", "Staff", "Classes", "Enrollments", "Classes without teacher", "Students without class"),
            "Class size: least, median, most",
            *(f"Classes of {step}" for step in _STEPS),
        )
    )
    rows = "".join(_school(one) for one in order)
    note = f"<p>{left:,} more {noun(left, 'schools')} in the JSON report.</p>" if left else ""
    return (
        '<h2>Schools</h2><div class="scroll" tabindex="0" role="region" aria-label="Schools"><table>'
        "<caption>Schools with something to look at come first. Somebody of two schools counts in both.</caption>"
        f'<thead><tr><th scope="col">School</th>{head}</tr></thead><tbody>{_school(statistics.total)}{rows}</tbody>'
        f"</table></div>{note}"
    )


def _school(one: School) -> str:
    name = "All schools" if one.id is None else f"{one.name or ''} ({one.id})"
    sizes = "–" if one.median is None else f"{one.smallest:,} · {one.median:,} · {one.largest:,}"
    cells = "".join(
        f'<td class="n{" look" if bad and number else ""}">{number:,}</td>'
        for number, bad in (
            *((number, False) for number in (one.students, one.teachers, one.classes, one.enrollments)),
            (one.without_teacher, True),
            (one.unplaced, True),
        )
    )
    steps = "".join(f'<td class="n">{number:,}</td>' for number in one.sizes)
    total = ' class="total"' if one.id is None else ""
    return f'<tr{total}><th scope="row">{escape(name)}</th>{cells}<td class="n">{sizes}</td>{steps}</tr>'


def _against(comparison: Comparison) -> str:
    kinds = "".join(
        f'<tr><th scope="row">{_KINDS.get(one.kind, one.kind.replace("_", " "))}</th>'
        + "".join(
            f'<td class="n">{number:,}</td>' for number in (one.before, one.after, one.new, one.gone, one.changed)
        )
        + f"<td>{escape(', '.join(f'{name} {count:,}' for name, count in one.columns.items())) or '–'}</td></tr>"
        for one in comparison.kinds
        if one.before or one.after
    )
    heads = ("Before", "Now", "New", "Gone", "Changed")
    changed = [one for one in comparison.schools if one.id is not None]
    schools = "".join(
        f'<tr><th scope="row">{escape(one.name or "")} ({escape(one.id or "")})'
        + (f" – {one.presence}" if one.presence != "kept" else "")
        + "</th>"
        + "".join(_difference(one.before[name], one.after[name]) for name in one.before)
        + "</tr>"
        for one in changed[:SCHOOLS]
    )
    names = ("Students", "Staff", "Classes", "Enrollments", "Classes without teacher", "Students without class")
    table = (
        '<div class="scroll" tabindex="0" role="region" aria-label="Schools that changed"><table><caption>'
        'Schools whose numbers changed</caption><thead><tr><th scope="col">School</th>'
        + "".join(f'<th scope="col" class="n">{name}</th>' for name in names)
        + f"</tr></thead><tbody>{schools}</tbody></table></div>"
        if changed
        else "<p>The numbers of all schools are the same.</p>"
    )
    return (
        f"<h2>Compared with {escape(comparison.title)}</h2>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Records"><table><thead><tr>'
        '<th scope="col">Records</th>'
        + "".join(f'<th scope="col" class="n">{name}</th>' for name in heads)
        + f'<th scope="col">What changed</th></tr></thead><tbody>{kinds}</tbody></table></div>{table}'
    )


def _difference(before: int, after: int) -> str:
    if before == after:
        return f'<td class="n">{after:,}</td>'
    return (
        f'<td class="n">{after:,} <span class="{"up" if after > before else "down"}">({after - before:+,})</span></td>'
    )


def _files(report: Report) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="n">{count:,}</td></tr>'
        for name, count in report.files.items()
    )
    return (
        '<h2>Files</h2><div class="scroll"><table><thead><tr><th scope="col">File</th>'
        f'<th scope="col" class="n">Rows</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )

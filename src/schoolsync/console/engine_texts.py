"""The sentences that the rest of the house says in English, found where they stand in its code.

The console shows verdicts, findings, messages of runs and refusals that other modules have put into words, and may have
stored long ago. Their code is read, not run: a text of several words becomes an entry of the catalogues, with a name in
braces wherever something is put into it. `schoolsync.console.sentences` recognizes by these entries what was said.

Nothing has to be declared for that: whoever adds a sentence to one of the modules below adds an entry, and the tests
ask for its translation.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

HOUSE = Path(__file__).parent.parent

SAID = (
    # Modules of which every sentence can come to a page.
    *("errors.py", "wrong_values.py", "api/app.py", "api/call.py", "directory/*.py", "graph/bodies.py"),
    *("notices/receivers.py", "notices/teller.py", "notices/webhooks.py", "plan/*.py", "profiles/*.py", "roster/*.py"),
    *("runs/*.py", "serving/doctor.py", "sources/*.py", "ticks.py"),
)
RAISED = (
    # Modules that say other things, too: of these what is raised.
    *("access/accounts.py", "access/egress.py", "access/issuer_keys.py", "access/roles.py", "access/vault.py"),
    *("api/resources/*.py", "console/*.py", "console/pages/*.py", "graph/errors.py", "graph/requests.py"),
    *(
        "graph/paths.py",
        "notices/mail.py",
        "roster/codes.py",
        "serving/readiness.py",
        "store/database.py",
        "store/objects.py",
    ),
    *("store/seal*.py", "store/shared_objects.py", "targets/*.py", "uploads/containers.py", "uploads/service.py"),
)
APART = (
    # Modules among them that speak to programs and to whoever runs the server alone.
    *("roster/codes.py", "roster/fields.py", "roster/tables.py", "runs/erasing.py", "runs/history.py"),
    *("runs/kept_roster.py", "runs/metrics.py", "runs/processes.py", "runs/scratches.py", "runs/states.py"),
    *("runs/stored_plan.py", "runs/worker.py", "sources/detection.py"),
)

NAMES = frozenset(
    # Texts of several words that are names: of columns, of checks.
    {"Residence {part}", "Mailing {part}", "school year", "section id", "sis id", "dfe number", "school dfe number"}
    | {"last upload", "data directory"}
)

_KINDS: tuple[str, ...] = (
    "school",
    "class",
    "section",
    "person",
    "student",
    "teacher",
    "guardians",
    "studentEnrollment",
)
_KINDS += ("teacherRoster", "schoolSections", "studentSchools", "teacherSchools", "Student", "Teacher")
_MANY: tuple[str, ...] = (
    "schools",
    "classes",
    "sections",
    "people",
    "students",
    "teachers",
    "links",
    "memberships",
    "school links",
)
_MANY += ("school_links", "class_people", "school_people", "school_classes", "organizations", "orgs", "courses")
_MANY += ("enrollments", "guardians", "terms", "sessions", "academic sessions", "findings", "files", "guards")
_BAD = ("Bad minute", "Bad hour", "Bad day-of-month", "Bad month", "Bad day-of-week")
_RUN = ("queued", "extracting", "validating", "planning", "applying", "paused", "held", "done", "failed", "discarded")
_PROFILE = ("provisioning", "provisioned", "provisioningFailed", "deleting", "deletionFailed")

WORDS: Mapping[str, tuple[str, ...]] = {
    # Single words that are put into sentences, by the form that a translation asks for as in {name|of}.
    "word": (
        *_KINDS,
        *_MANY,
        "none",
        "characters",
        "entries",
        "semicolons",
        "tabs",
        "bars",
        "and",
        "or",
        "this",
        *_BAD,
    ),
    "of": (*_MANY, "class", "student", "teacher", "school"),
    "a": ("school", "class", "section", "person", "student", "teacher"),
    "the": ("school", "class", "section", "person", "student", "teacher"),
    "state": (*_RUN, "cancelled", *_PROFILE),
    "op": (
        *("create", "restore", "adopt", "rekey", "update", "link", "relink", "unlink", "remove", "expire", "bin"),
        *("unbin", "purge"),
    ),
}

_HOLE = re.compile(r"\{([a-z_]\w*)(?::[^{}]*)?\}")
_HOLES = re.compile(r"(\{[a-z_]\w*\})(?:\{[a-z_]\w*\})+")
_PLACE = re.compile(r"\A[a-z]\w*(?:\.\w+|\[\{\w+\}\]|\.\{\w+\})*: (?=[A-Za-z{])")
"""The setting that a sentence is about: it may stand deeper than where the sentence is made."""
_WORD = re.compile(r"\ba\b|[A-Za-z][a-z'’-]+")
_STATEMENT = re.compile(
    r"\b(SELECT|FROM|JOIN|WHERE|CASE|WHEN|ALTER|DROP|COPY|RESET|FORMAT|DISTINCT|VARCHAR|FILTER|AND|NOT|OR|AS|IN|INTO"
    r"|TABLE|NULL|CAST)\b|\|\||::|<\w+[ >]|\b[a-z_]{2,}\((?!s\))|(?<!chmod go)(?<!sslmode)(?<!=)=|<>|< |^'|^, |\+ "
)
_LISTED = re.compile(
    r"\(?'.*|.*\bwas_.*|[\w.]+(, [\w.]+)+|[a-z_]*_[a-z_, ]*|[a-z]+, [a-z]+|(\{?\w+\}?, )+.*_\w+.*|key, \w+, \w"
)
_VARIANTS = 16
_SUPER = "__init__"
_SILENT = frozenset({"compile", "AssertionError", "RuntimeError", "TypeError"})


def found() -> dict[str, str]:
    """Every sentence, with `{names}` for what is put in -> the module it stands in."""
    texts: dict[str, str] = {}
    for patterns, everything in ((SAID, True), (RAISED, False)):
        for pattern in patterns:
            for path in sorted(HOUSE.glob(pattern)):
                place = path.relative_to(HOUSE).as_posix()
                if everything and place in APART:
                    continue
                for text in _in(ast.parse(path.read_text("utf-8")), everything=everything):
                    texts.setdefault(text, place)
    return texts


def holes(text: str) -> frozenset[str]:
    """The names of what is put into a text."""
    return frozenset(_HOLE.findall(text))


def _in(tree: ast.Module, *, everything: bool) -> Iterator[str]:
    silent = set(_silent(tree))
    nodes = ast.walk(tree) if everything else (node for one in _raising(tree) for node in ast.walk(one))
    parts: set[ast.AST] = set()
    for node in nodes:
        if node in silent or node in parts or not isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
            continue
        said = _variants(node)
        if not said:
            continue
        parts |= set(_pieces(node))
        for one in said:
            for text in map(tidy, _in_statement(one) if _is_statement(one) else (one,)):
                if _is_sentence(text):
                    yield text


def _is_statement(text: str) -> bool:
    return "\n" in text or _STATEMENT.search(text) is not None


_TOKEN = re.compile(r"'(?:[^'\n]|'')*'|\|\||[()]|\b(?:CASE|END|THEN|WHEN|ELSE|AS)\b|,|[\w.:$?{}]+")
_ENDS = frozenset({",", "THEN", "WHEN", "ELSE", "AS"})


def _in_statement(text: str) -> Iterator[str]:
    """The texts that a statement joins of literals and values, those inside of its brackets and cases too."""
    said, joined, depth, inside, names = "", False, 0, 0, dict[str, str]()
    for match in _TOKEN.finditer(text):
        part = match[0]
        if part in {")", "END"} and depth:
            depth -= 1
            if not depth:
                yield from _in_statement(text[inside : match.start()])
        elif part in {"(", "CASE"}:
            depth += 1
            inside = match.end() if depth == 1 else inside
            if depth == 1 and joined:
                said, joined = said + _numbered("value", names), False
        elif depth:
            continue
        elif part == "||":
            joined = True
        elif part.startswith("'"):
            if not joined:
                yield said
                said, names = "", {}
            elif not said:
                said = _numbered("value", names)
            said, joined = said + part[1:-1].replace("''", "'"), False
        elif joined and part not in _ENDS:
            said, joined = said + _numbered(re.sub(r"\W", "", part.rpartition(".")[2]) or "value", names), False
        elif part in _ENDS:
            yield said
            said, joined, names = "", False, {}
    yield said


def _numbered(name: str, names: dict[str, str]) -> str:
    """`{name}` of the next value that is put into a text."""
    names[str(len(names))] = name
    many = sum(one == name for one in names.values())
    return f"{{{name}{many if many > 1 else ''}}}"


def tidy(text: str) -> str:
    """A text as an entry: what is put in side by side is one, and the setting that it is about is left away."""
    return _PLACE.sub("", _HOLES.sub(r"\1", _HOLE.sub(r"{\1}", text.strip())), count=1)


def _is_sentence(text: str) -> bool:
    if re.fullmatch(r"[A-Z][a-z]+\.", text):
        return True
    words = _WORD.findall(_HOLE.sub("{}", text))
    several = len(words) > 1 or (words and re.search(r"\{|\d", text))
    plain = any(word.islower() and len(word) > 1 for word in words) or re.match(r"[A-Z][a-z]+:? \{", text)
    return bool(
        several
        and plain
        and " " in text
        and not _is_statement(text)
        and (text.endswith(".") or not _LISTED.fullmatch(text))
    ) and (text not in NAMES)


def _silent(tree: ast.Module) -> Iterator[ast.AST]:
    """Texts that are no part of what is said: docstrings, patterns, what the log and programmers are told."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.Assert) or (isinstance(node, ast.Call) and _is_silent(node.func)):
            yield from ast.walk(node)


def _is_silent(called: ast.expr) -> bool:
    return _called(called) in _SILENT or _called(called, 1) in {"log", "_log"}


def _raising(tree: ast.Module) -> Iterator[ast.AST]:
    """What is raised, and what an error says of itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            yield node.exc
        elif isinstance(node, ast.Call) and (_called(node.func) == _SUPER or _called(node.func) in _ERRORS):
            yield node


_ERRORS = frozenset(
    {"Invalid", "NotFound", "Conflict", "Forbidden", "Refused", "Unready", "TooLarge", "WorldError", "Refusal"}
)


def _called(node: ast.expr, above: int = 0) -> str:
    """The last name of what is called, or the one above it."""
    names = ast.unparse(node).split(".")
    return names[-1 - above] if len(names) > above else ""


def _pieces(node: ast.AST) -> Iterator[ast.AST]:
    """The texts that a text is made of: they are no texts of their own, unlike those in what is put in."""
    if isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield from _pieces(part)
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
        yield from _pieces(node.left)
        yield from _pieces(node.right)
    elif isinstance(node, ast.FormattedValue):
        if _variants(node.value):
            yield node.value
            yield from _pieces(node.value)
        if node.format_spec is not None:
            yield from ast.walk(node.format_spec)
    elif isinstance(node, ast.IfExp):
        yield from (node.body, node.orelse)
        yield from _pieces(node.body)
        yield from _pieces(node.orelse)
    elif isinstance(node, ast.Constant):
        yield node


def _variants(node: ast.AST) -> list[str]:
    """What an expression may say; nothing when it is no text, or says more than can be told apart."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.IfExp):
        one, other = _variants(node.body), _variants(node.orelse)
        return [*one, *other] if one and other else []
    if isinstance(node, ast.BinOp):
        if not isinstance(node.op, ast.Add):
            return []
        return [before + after for before, after in product(_variants(node.left), _variants(node.right))]
    if not isinstance(node, ast.JoinedStr):
        return []
    names: dict[str, str] = {}  # what is put in -> how it is called
    said: list[list[str]] = []
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            said.append(_variants(part.value) or [_hole(part.value, names)])
        else:
            said.append(_variants(part))
    several = ["".join(parts) for parts in product(*said)]
    return several if len(several) <= _VARIANTS else []


def _hole(node: ast.expr, names: dict[str, str]) -> str:
    """`{name}` of what is put into a text; the same is called the same."""
    written = ast.unparse(node)
    if written not in names:
        name = re.sub(r"\W|^_+", "", _name(node)).lower() or "value"
        number = sum(one.rstrip("0123456789") == name for one in names.values())
        names[written] = f"{name}{number + 1}" if number else name
    return f"{{{names[written]}}}"


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            return node.attr
        case ast.Subscript(slice=ast.Constant(value=str() as key)):
            return key
        case ast.Subscript():
            return _name(node.value)
        case ast.Call(args=[first, *_]):
            return _name(first)
        case ast.Call():
            return _name(node.func)
        case ast.BoolOp():
            return _name(node.values[0])
        case ast.BinOp():
            return _name(node.left)
        case ast.IfExp():
            return _name(node.body)
        case ast.GeneratorExp() | ast.ListComp():
            return _name(node.generators[0].iter)
        case ast.Starred():
            return _name(node.value)
    return "value"

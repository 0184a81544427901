"""docs/console.md, made from the table of pages: `python -m schoolsync.console.page_list > docs/console.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from schoolsync.console.catalogue import LANGUAGES
from schoolsync.console.routes import ROOT, ROWS

PICTURES = {
    # docs/pictures/<name>.png, which the browser's tests take and compare -> what it shows
    "home-desktop": "The home page: what needs a person now, and how every profile is doing",
    "plan-desktop": "A plan that a guard holds: why, the decision, and what would change",
    "step-desktop": "One change with the values before and after, and the line that says so",
    "findings-lines-phone": "What checking found, line by line, on a phone at night",
    "run-desktop": "A run and its stages",
    "identity-desktop": "The identity rules, tried with somebody's values",
    "changes-desktop": "The change history of everything about one pupil",
}

_HEAD = """\
# The console

Web pages for people, at `/console` of every server; the setting `console` turns them off. A browser that is only told
the host's name is led there. This page is made from the table in `schoolsync.console.routes`
(`python -m schoolsync.console.page_list > docs/console.md`).

* **Signing in.** At the built-in issuer's page, with an account of `schoolsync user add` ([access.md](access.md)); the
  console uses an authorization code with PKCE. Somebody without an account uses a code, which whoever runs the
  installation answers on the server:

      schoolsync device approve CODE --tenant TENANT --user YOU --role schoolsync.admin

  The tenant's id stands there already when there is only one, and when the browser has signed in to one before. A
  tenant must have been here, but for the very first one: an account, a client or a token of it makes it known.
  A session lasts as long as the setting `console_hours` says, or until its person signs out. Sign-ins stand in the
  [audit log](audit.md). People sign in at an issuer of one's own, such as Entra ID, when its entry in the issuers file
  has `console_client` ([access.md](access.md#entra-id-and-other-issuers)).
* **What one may see and do** is decided by the [roles](access.md#roles-of-our-own), as everywhere. A page asks the
  operations of [our own API](api.md) in the name of the person; it decides nothing itself, and what a person may not do
  is not offered.
* **Languages**: {languages}. The browser's language is taken, or the one chosen at the top of the page. Texts are
  gettext catalogues in `schoolsync/console/locales`. What the rest of schoolsync says in sentences (findings, verdicts
  of guards, messages of runs, refusals) is English in the API, on the command line, in the log and where it is stored;
  a page recognizes it by the catalogues `engine.<language>.po`, which are made from the code, and says it in the
  reader's language, messages of earlier runs too. Names, ids, rule ids and lines of files stay as they are, and so does
  a sentence that no catalogue knows: it is marked as English.
* **Uploading.** Files, or the folder they lie in, are dropped on a page and go straight into a preview: they are
  checked, what would change is worked out, and nothing is changed until somebody applies exactly that. Findings are
  grouped by cause; each line is quoted cell by cell, without passwords and birth dates. A school is sent a link: it
  is signed, shows what was found in that school's records in that run and nothing else, needs no account, and ends
  after 14 days. The page of the findings lists the links that are good and takes each back; making one and taking it
  back stand in the audit log. Deleting [`console.key`](access.md#keys) ends all of them.
* **Where a roster comes from** is chosen when a profile is made and changed under *Source*: uploaded files, a OneRoster
  server or PowerSchool. A secret goes in and is shown on no page; when none is typed the stored one stays, unless the
  host, the client or the address for tokens changes. This release reads files alone; *test connection* says so of a
  profile with a server.
* **Settings** are fields with an explanation each, all that our own API has; a test counts them. Lists such as closed
  days and words of one's own have rows: a button brings another one, or takes one out, and nothing is saved before
  *Save* is pressed. What is wrong is said at its field, and nothing that was typed is lost.
* **Deleting a profile** asks for its name and says what goes and what stays ([profiles.md](profiles.md#states)).
* **Without scripts** every page can be read and every form sent, but choosing files to upload. Scripts come from the
  server itself; the content security policy allows no others, and none on the page.
* **Safety.** The cookie is signed, invisible to scripts and not sent along by other sites; every form carries a secret
  of its session; pages are kept in no cache. A form of settings that somebody else has changed since it was opened is
  refused and shows them as they are now.
* **Numbers.** Lists are made page by page and searched on the server, so ten thousand profiles or ten million people do
  not slow a page down: `python -m benchmarks.pages` measures every page ([performance.md](performance.md)). A search
  reads 200 000 names at a time and offers to go on. A test at night (`make nightly
  TESTS=tests/acceptance/test_a_million_people_live.py`) chooses the files of a million people in a browser and watches
  the run to its end: stage, rows, rate and time left moved all the while, and no other page took more than 0.4 s.

## What it looks like

Of every page that the tests look at in a browser an outline is kept (`tests/acceptance/outlines`): its parts and their
order, headings, buttons and fields, and the columns they take. Every later page is held to it, whatever the machine's
fonts; a picture of each is left in `build/screenshots`. The pictures below (`make pictures`) have times, durations and
ids written over, and are compared with every later page too: a part that is missing, elsewhere or unreadable fails the
test. Where the fonts are others, the sizes alone are compared.

"""

_PAGES = """\
## Pages

| page | what it shows or does |
| --- | --- |
"""


def console_page() -> str:
    """The whole page."""
    return "".join(_parts())


def _parts() -> Iterable[str]:
    yield _HEAD.format(languages=", ".join(LANGUAGES.values()))
    for name, shows in PICTURES.items():
        yield f"{shows}:\n\n![{shows}](pictures/{name}.png)\n\n"
    yield _PAGES
    for row in ROWS:
        path = f"{ROOT}/{row.template}".rstrip("/")
        yield f"| `{row.method} {path}` | {row.summary} |\n"


if __name__ == "__main__":
    sys.stdout.write(console_page())

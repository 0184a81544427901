"""Every command that README and docs show is typed at a server, or stands in `NOT_TYPED` with the reason why it is not.

Shell blocks between ``` are run whole, by test_the_readme, test_the_guides and below; here are the lines that are set
in.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from schoolsync.cli import contexts
from schoolsync.settings import load

from ..conftest import NIGHTLY
from ..examples import DOCS, PAGES, ROOT, Shown, blocks, commands
from .house import Json, Profile, Server, Tenant, creation, serving, until
from .rosters import DISTRICT, Roster
from .typing_here import Said, typed_here

pytestmark = pytest.mark.xdist_group("what-is-shown")

MAKE = "make works on a clone, for minutes; that there is such a target is looked at"
SERVES = "serves until it is stopped, as the server of every test does; its options are looked at"
SIGNS_IN = "waits for a person in front of a browser: tests/acceptance/test_signing_in.py"
MICROSOFT = "needs an account at Microsoft: tests/acceptance/test_an_issuer_of_ones_own.py signs in at another issuer"
SHELL = "writes into the settings of the shell it is typed in: tests/cli/test_completion.py"
POSTGRESQL = "needs a PostgreSQL of its own: tests/acceptance/test_upgrading.py"
ADMINISTRATOR = "changes the machine, as its administrator: tests/documentation/test_deploy_files.py looks at the unit"
CONTAINERS = "needs Docker or a cluster: tests/documentation/test_deploy_files.py looks at what is applied"
CLOUD = "needs an account at a cloud, or a program that is not here"
AZCOPY = "needs a program that is not here: its requests are replayed by tests/acceptance/test_transcripts.py"
PACKAGES = "fetches packages: tests/documentation/test_the_wheel.py installs the wheel"
_DATABASE = "export SCHOOLSYNC_DATABASE_URL=postgresql://schoolsync:secret@db.example/schoolsync"
_LOGIN = "schoolsync login --server https://sds.example.org"

NOT_TYPED: Mapping[str, str] = {
    "make bench": MAKE,
    "make demo": MAKE,
    "make docs": MAKE,
    "make format": MAKE,
    "make fuzz": MAKE,
    "make lint": MAKE,
    "make nightly": MAKE,
    "make pictures": MAKE,
    "make promises": MAKE,
    "make schema": MAKE,
    "make sdks": MAKE,
    "make setup": MAKE,
    "make test": MAKE,
    ".venv/bin/python -m benchmarks": MAKE,
    'export PATH="$PWD/.venv/bin:$PATH"': MAKE,
    "schoolsync serve --data-dir /srv/schoolsync --host 0.0.0.0 --port 443 --tls": SERVES,
    "schoolsync serve --memory --seed-roster roster.zip --seed-tenant 8a7b6c5d-4e3f-4a2b-9c1d-0e9f8a7b6c5d": SERVES,
    "schoolsync serve --memory --port 8080 --seed-roster ./roster --seed-tenant 11111111-1111-4111-8111-111111111111": (
        SERVES
    ),
    "schoolsync serve --memory --port 8080 --seed-roster ./roster --faults": SERVES,
    "schoolsync serve --data-dir DIR": SERVES,
    "schoolsync serve --data-dir NEW": SERVES,
    "schoolsync serve --no-worker --host 0.0.0.0": SERVES,
    "schoolsync serve --no-worker --host 0.0.0.0 --tls": SERVES,
    "schoolsync serve --no-worker --data-dir /var/lib/schoolsync": SERVES,
    "SCHOOLSYNC_WATCH_FOLDER=/srv/exports schoolsync serve --data-dir /var/lib/schoolsync": SERVES,
    "SCHOOLSYNC_WATCH_URL=s3://exports/districts schoolsync serve --data-dir /var/lib/schoolsync": SERVES,
    "schoolsync worker": SERVES,
    "schoolsync worker --data-dir /var/lib/schoolsync": SERVES,
    f"{_LOGIN} --tenant TENANT": SIGNS_IN,
    f"{_LOGIN} --tenant TENANT --device": SIGNS_IN,
    "schoolsync login --server https://sync.district.example --context district": SIGNS_IN,
    f"{_LOGIN} --issuer https://login.microsoftonline.com/TENANT/v2.0 --client APP --scope api://schoolsync/.default": (
        MICROSOFT
    ),
    "schoolsync --install-completion": SHELL,
    "createdb schoolsync": POSTGRESQL,
    "schoolsync db upgrade": POSTGRESQL,
    "schoolsync db upgrade --finish": POSTGRESQL,
    "schoolsync db copy --data-dir DIR": POSTGRESQL,
    "schoolsync db copy --data-dir /srv/schoolsync": POSTGRESQL,
    "systemctl stop schoolsync": ADMINISTRATOR,
    "systemctl start schoolsync": ADMINISTRATOR,
    "systemctl enable --now schoolsync": ADMINISTRATOR,
    "useradd --system --home-dir /var/lib/schoolsync --shell /usr/sbin/nologin schoolsync": ADMINISTRATOR,
    "cp deploy/systemd/schoolsync.service /etc/systemd/system/": ADMINISTRATOR,
    "docker compose -f deploy/compose.yaml up --build --detach": CONTAINERS,
    "docker compose -f deploy/compose.yaml exec api schoolsync doctor": CONTAINERS,
    "kubectl apply -f deploy/kubernetes/namespace.yaml": CONTAINERS,
    "kubectl apply -f my-secret.yaml": CONTAINERS,
    "kubectl apply -k deploy/kubernetes": CONTAINERS,
    "aws s3 sync --delete s3://exports/district /srv/incoming/district": CLOUD,
    "aws s3 sync s3://exports/district ./district": CLOUD,
    "rsync -a --delete --delay-updates /srv/incoming/district/ /srv/exports/$TENANT/$PROFILE/": CLOUD,
    'azcopy copy "roster/*" "<uploadUrl>" --from-to=LocalBlob --check-length=false': AZCOPY,
    'pip install ".[traces]"': PACKAGES,
    "/opt/schoolsync/bin/pip install dist/schoolsync-*.whl": PACKAGES,
    "python3 -m venv /opt/schoolsync && /opt/schoolsync/bin/pip install dist/schoolsync-*.whl": PACKAGES,
}
"""A command that is shown -> why no test types it as it stands."""

NO_SHELL = {
    "docs/design.md": ("source  →", "serve (supervisor)"),  # drawings
    "docs/formats.md": ("[grades]",),  # read below
    "docs/graph.md": ("GET /v1.0/education/users/{id}/user?",),
    "docs/profile-status.md": ("PATCH /v1.0/", "PATCH /v1.0/", "HTTP/1.1 200"),
    "docs/scale.md": ("schools, classes,", "SELECT create_distributed_table"),  # says that nobody has tried it
    "docs/uploads.md": ("https://sds.example.org/uploads/",),
}
"""Page -> how its blocks begin that are set in and not typed into a shell."""

ENDS = {
    "clean-up": 3,  # a person is waited for
    "approve 12 --profile District --plan 0f3c9a2b7d41 --school 101": 3,  # as it stands, one more goes on with it
    "notices test": 1,  # there is no such receiver
}
"""How a command begins whose status is not 0 -> its status."""

PUPILS = 24
ALL = {
    "encrypt_files": "true",
    "secrets_key": "c2Nob29sc3luYy1zY2hvb2xzeW5jLXNjaG9vbHN5bmM=",
    "mail_server": "smtp://127.0.0.1:9",
    "mail_from": "schoolsync@example.org",
}
"""Settings of an installation that has whatever the docs speak of."""


def _roster() -> Roster:
    """A district with the school, the class and the person that the docs speak of, and pupils who can be taken out."""
    model, section = DISTRICT.students[0], DISTRICT.sections[0]
    ana = {**model, "SIS ID": "3009", "First Name": "Ana", "Last Name": "Sara", "Username": "ana.sara"}
    pupils = [{**model, "SIS ID": f"40{n:02}", "Username": f"pupil{n}"} for n in range(PUPILS)]
    people = [{**one, "School SIS ID": "101"} for one in (ana, *pupils)]
    return (
        DISTRICT.with_rows("schools", {**DISTRICT.schools[0], "SIS ID": "101", "Name": "Sara skole"})
        .with_rows("sections", {**section, "SIS ID": "S8", "School SIS ID": "101", "Section Name": "Maths 8"})
        .with_rows("students", *people)
        .with_rows("enrollments", *({"Section SIS ID": "S8", "SIS ID": one["SIS ID"]} for one in people))
    )


def _elsewhere() -> Roster:
    """A school that shares nobody with the district."""
    ours, section = {"School SIS ID": "900"}, {"Section SIS ID": "Z1"}
    return Roster(
        schools=({**DISTRICT.schools[0], "SIS ID": "900"},),
        sections=({**DISTRICT.sections[0], **ours, "SIS ID": "Z1"},),
        students=({**DISTRICT.students[0], **ours, "SIS ID": "9001"},),
        teachers=({**DISTRICT.teachers[0], **ours, "SIS ID": "9002"},),
        enrollments=({**section, "SIS ID": "9001"},),
        assignments=({**section, "SIS ID": "9002"},),
    )


class World:
    """A server, a folder with what the docs speak of, and one profile that is called District."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.tenant = Tenant(server)
        self.roster = _roster()
        self.left = 0  # pupils that were taken out
        self.names = 0  # times that somebody was given another name
        self.gone: Profile | None = None  # one that has expired
        self.profile = self.made("District")
        assert self.profile.sync(self.roster.files())["status"] == "success"
        for name in ("october", "september", "export", "roster", "new-export", "district", "new-year"):
            self.written(folder / name, self.roster)
        shutil.make_archive(str(folder / "roster"), "zip", folder / "roster")
        shutil.copy(folder / "roster" / "School.csv", folder)
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        (folder / "src").symlink_to(ROOT / "src")
        (folder / "settings.json").write_text('{"guards": {"removalPercent": 7}}', "utf-8")
        self.strict(self.profile)
        roles = ("operator", "approver", "admin", "auditor")
        whole = ("schoolsync.access", "EduAdministration.ReadWrite", "EduRoster.ReadWrite")
        self.environment = {
            "SCHOOLSYNC_DATA_DIR": str(server.data),
            "SCHOOLSYNC_SERVER": server.base,
            **{f"SCHOOLSYNC_{name.upper()}": value for name, value in ALL.items()},
            "SCHOOLSYNC_TOKEN": server.token(
                self.tenant.id,
                scope=" ".join(whole),
                roles=tuple(f"schoolsync.{role}" for role in roles),
                user="ann@district.example",
            ),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def written(self, folder: Path, roster: Roster) -> None:
        folder.mkdir()
        for name, content in roster.files().items():
            (folder / name).write_text(content, "utf-8", newline="")

    def made(self, name: str, *, domain: str = "district.example") -> Profile:
        domains = [{"appliesTo": role, "name": domain} for role in ("student", "teacher")]
        kind = "#microsoft.graph.educationIdentityCreationConfiguration"
        rules = {"@odata.type": kind, "userDomains": domains}
        return self.tenant.profile(creation(displayName=name, identitySynchronizationConfiguration=rules))

    def typed(self, *words: str | Path) -> Said:
        """A command, with a password for those that ask for one."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(f"{uuid.uuid4()}\n"))
            return typed_here(*words, **self.environment)

    def strict(self, profile: Profile) -> None:
        """Nobody goes without a yes."""
        limits = self.folder / "strict.json"
        limits.write_text('{"guards": {"removalLeast": 0, "removalPercent": 0}}', "utf-8")
        done = self.local("api", "patch", f"profiles/{profile.id}/settings", "--body", limits)
        assert done.status == 0, done

    def local(self, *words: str | Path) -> Said:
        """As the person who owns the machine."""
        where = ("--server", self.server.base, "--tenant", self.tenant.id, "--data-dir", self.server.data)
        return typed_here(*words, *where)

    def runs(self) -> list[Json]:
        told = self.local("runs", "--profile", self.profile.id, "--limit", "100", "--json")
        return [json.loads(line) for line in told.stdout.splitlines()]

    # --- what has to be so before a command is typed; each gives words for those that the docs show ------------------

    def held(self) -> Mapping[str, str]:
        """A run waits that would remove pupils."""
        run = self.runs()[0]
        if run["state"] != "held":
            self.left += 1
            fewer = self.roster
            for one in range(self.left):
                fewer = fewer.without("students", SIS_ID=f"40{one:02}").without("enrollments", SIS_ID=f"40{one:02}")
            self.profile.upload(fewer.files())
            self.profile.start()
            run = until("it is held", lambda: self.runs()[0] if self.runs()[0]["state"] == "held" else None)
        plan = json.loads(self.local("show", str(run["number"]), "--profile", self.profile.id, "--json").stdout)
        hashes = ("0f3c9a2b7d41", "3f29c0a1b2d4")
        return {
            **dict.fromkeys(("12", "17", "RUN"), str(run["number"])),
            **dict.fromkeys(hashes, plan["plan"]["plan"][:12]),
        }

    def previewed(self) -> Mapping[str, str]:
        told = self.local("plan", self.folder / "roster.zip", "--profile", self.profile.id, "--json")
        return {"12": json.loads(told.stdout)["run"]["id"]}

    def at_rest(self) -> Mapping[str, str]:
        """No run is open; the first one has a plan, a report and, with the roster that is there, findings."""
        run = until("it ends or waits", lambda: next(iter(run for run in self.runs()[:1] if _stands(run)), None))
        if not run["ended"]:
            assert self.local("cancel", "--profile", self.profile.id).status == 0
        whole = [run for run in self.runs() if run["state"] == "done" and run["cause"] != "undo"]
        return dict.fromkeys(("12", "RUN"), str(whole[0]["number"]))

    def synchronized(self) -> Mapping[str, str]:
        """The newest run has changed a name alone: it can be tried again, and taken back without another yes."""
        self.names += 1
        for roster in (self.roster, self.roster.changed("students", "3009", Middle_Name=f"no. {self.names}")):
            self.at_rest()
            assert self.profile.sync(roster.files())["status"] == "success"
        return self.at_rest()

    def uploaded(self) -> Mapping[str, str]:
        self.at_rest()
        self.profile.upload(self.roster.files())
        return {}

    def container(self) -> Mapping[str, str]:
        """Where a file can be sent."""
        self.at_rest()
        at, _, signature = self.profile.api.get(f"{self.profile.path}/uploadUrl")["value"].partition("?")
        return {'"https://sds.example.org/uploads/<profile id>/School.csv?sv=…"': f'"{at}/School.csv?{signature}"'}

    def another(self) -> Mapping[str, str]:
        return {"District": self.made("Another").id}

    def expired(self) -> Mapping[str, str]:
        """A profile that was synchronized and has expired, and of which nothing waits."""
        if self.gone is None:
            self.gone = self.made("Expired", domain="expired.example")
            assert self.gone.sync(_elsewhere().files())["status"] == "success"
            self.gone.api("PATCH", self.gone.path, {"expirationDate": "2026-01-01"}, expect=200)
            until("it is paused", lambda: self.gone and self.gone.status()["status"] == "paused")
        self.local("cancel", "--profile", self.gone.id)
        return {"District": self.gone.id, "$PROFILE": self.gone.id}

    def exported(self) -> Mapping[str, str]:
        assert self.local("profile", "export", "District", "--output", "district.toml").status == 0
        return {}

    def mapped(self) -> Mapping[str, str]:
        self.at_rest()
        with Path("map.csv").open("w", encoding="utf-8", newline="") as sink:
            csv.writer(sink).writerows([("kind", "old", "new"), ("student", "1", "2")])
        return {}

    def audited(self) -> Mapping[str, str]:
        assert self.typed("audit", "export", "--output", "audit.json").status == 0
        return {}

    def person(self) -> Mapping[str, str]:
        self.at_rest()
        return {"PERSON": "4023"}

    def user(self) -> Mapping[str, str]:
        self.typed("user", "add", "kari@district.example", "--tenant", self.tenant.id, "--role", "schoolsync.viewer")
        return {}

    def no_user(self) -> Mapping[str, str]:
        self.typed("user", "remove", "kari@district.example", "--tenant", self.tenant.id)
        return {}

    def client(self) -> Mapping[str, str]:
        told = self.typed("client", "add", "--tenant", self.tenant.id, "--role", "EduRoster.Read.All", "--json")
        return {"1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b": json.loads(told.stdout)["clientId"]}

    def waiting(self) -> Mapping[str, str]:
        """A program waits with a code."""
        told = self.server.http.post(
            f"{self.server.base}/{self.tenant.id}/oauth2/v2.0/devicecode",
            data={"client_id": str(uuid.uuid4()), "scope": "EduRoster.Read"},
        )
        return dict.fromkeys(("KXWV-RTPL", "BCDF-GHJK", "CODE"), told.json()["user_code"])

    def signed_in(self) -> Mapping[str, str]:
        """Signed in under both names, to a server that is asked nothing."""
        for name in ("sds.example.org", "district"):
            one = contexts.Context(
                name=name,
                server="http://127.0.0.1:9",
                issuer="http://127.0.0.1:9",
                client="any",
                scope="any",
                token_endpoint="http://127.0.0.1:9/token",
            )
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("XDG_CONFIG_HOME", self.environment["XDG_CONFIG_HOME"])
                with contexts.changing() as known:
                    contexts.write(contexts.with_context(known, one))
        return {}

    def backed_up(self) -> Mapping[str, str]:
        kept = self.folder / "backups" / "any"
        assert kept.exists() or self.typed("backup", kept).status == 0
        new = str(self.folder / f"new-{uuid.uuid4()}")
        any_of_them = ("/backups/monday", "/backups/2026-11-26", "/tmp/backup-monday")
        return {"NEW": new, "/srv/schoolsync": new, **dict.fromkeys(any_of_them, str(kept))}

    def secret_of_profile(self) -> Mapping[str, str]:
        return {"1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b": self.profile.id}


BEFORE: Mapping[str, Callable[[World], Mapping[str, str]]] = {
    "show": World.held,
    "approve": World.held,
    "override": World.held,
    "discard": World.held,
    "cancel": World.held,
    "apply": World.previewed,
    "undo": World.synchronized,
    "findings": World.previewed,
    "report": World.at_rest,
    "sync": World.at_rest,
    "sync-one": World.at_rest,
    "restart": World.synchronized,
    "upload": World.at_rest,
    "rekey --proposed": World.held,
    "rekey": World.mapped,
    "clean-up": World.expired,
    "erase --tenant": World.audited,
    "erase": World.person,
    "profile start": World.uploaded,
    "profile delete": World.another,
    "profile diff": World.exported,
    "profile import": World.exported,
    "api patch": World.secret_of_profile,
    "user change": World.user,
    "user remove": World.user,
    "user add": World.no_user,
    "client change": World.client,
    "client remove": World.client,
    "device approve": World.waiting,
    "device deny": World.waiting,
    "context use": World.signed_in,
    "context remove": World.signed_in,
    "logout": World.signed_in,
    "restore": World.backed_up,
    "-T School.csv": World.container,
}


def _stands(run: Json) -> bool:
    return run["ended"] is not None or run["state"] == "held"


AT_NIGHT = {World.held, World.previewed, World.expired, World.uploaded, World.synchronized}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for all commands: each puts right for itself what it needs."""
    folder = tmp_path_factory.mktemp("shown")
    with serving(folder / "server", settings=ALL) as server:
        (folder / "here").mkdir()
        yield World(server, folder / "here")


def every() -> list[Shown]:
    return [one for page in PAGES for one in commands(page)]


def test_each_command_that_is_shown_is_typed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no reason to be left out ends as it should, in the pages' own words wherever these can be.

    At night all are; by day one of each command, but for those that need a run of their own first: test_plan_commands
    and test_the_guides type these on other words.
    """
    monkeypatch.chdir(world.folder)
    wrong, seen = [], set[str]()
    for one in every():
        if one.text in NOT_TYPED or one.is_form or (one.text if NIGHTLY else _kind(one)) in seen:
            continue
        if _before(one) in AT_NIGHT and not NIGHTLY:
            continue
        seen.add(one.text if NIGHTLY else _kind(one))
        if problem := _type(world, one):
            wrong.append(f"{one.page}: {one.text}\n    {problem}")
    assert not wrong, "\n".join(wrong)
    assert len(seen) > (110 if NIGHTLY else 45)


def test_the_shell_block_of_the_faults(world: World) -> None:
    """Pasted into a shell it leaves a server, its folder and a token that opens the directory; then it is ended."""
    (block,) = blocks(DOCS / "faults.md", "sh")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    begun = block.replace("8080", port)
    assert begun.count(port) == 2
    asks = f'curl -fs http://127.0.0.1:{port}/v1.0/education/users -H "Authorization: Bearer $TOKEN"'
    told = _bash(f"trap 'kill %1; wait' EXIT\n{begun}\n{asks}", world.folder)
    assert '"userPrincipalName"' in told.stdout, told


def _bash(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    whole = {**os.environ, "PATH": path}
    return subprocess.run(
        ["bash", "-euc", text], capture_output=True, text=True, check=False, timeout=100, env=whole, cwd=folder
    )


def _type(world: World, one: Shown) -> str | None:
    """What is wrong with a command, None when it did what it should."""
    if one.text.startswith("export "):
        return _set(world, one)
    ready = _before(one)
    text = one.text
    ours = {**_everywhere(world), **(ready(world) if ready else {})}
    written = "|".join(map(re.escape, sorted(ours, key=len, reverse=True)))
    text = re.sub(rf"(?<![\w-])(?:{written})(?![\w-])", lambda found: ours[found[0]], text)
    if one.words[0] != "schoolsync":
        told = _bash(text, world.folder)
        return None if told.returncode == 0 else told.stdout + told.stderr
    command, _, sink = text.partition(" > ")
    done = world.typed(*Shown(one.page, command).words[1:])
    if sink:
        Path(sink).write_text(done.stdout, "utf-8")
    status = next((number for name, number in ENDS.items() if _name(one).startswith(name)), 0)
    return None if done.status == status else f"{command}: {done}"


def _set(world: World, one: Shown) -> str | None:
    """A setting, with those that the page sets beside it."""
    with pytest.MonkeyPatch.context() as patch:
        for other in every():
            if other.page == one.page and other.text.startswith("export "):
                name, _, value = other.words[1].partition("=")
                patch.setenv(name, value)
        load({"data_dir": world.folder})
    return None


def _before(one: Shown) -> Callable[[World], Mapping[str, str]] | None:
    return next((BEFORE[word] for word in sorted(BEFORE, reverse=True) if f" {word}" in f" {_name(one)}"), None)


def _kind(one: Shown) -> str:
    """The program and what it is to do, without what it is to do it with."""
    words = one.words
    return " ".join(words[:3] if words[1] in {"profile", "client", "user", "device", "context", "audit"} else words[:2])


def _name(one: Shown) -> str:
    return " ".join(one.words[1:])


def _everywhere(world: World) -> dict[str, str]:
    """What the docs call things -> what they are here."""
    tenants = ("11111111-2222-3333-4444-555555555555", "8a7b6c5d-4e3f-4a2b-9c1d-0e9f8a7b6c5d", "TENANT", "UUID")
    servers = ("https://sds.example.org", "https://sync.district.example")
    homes = ("DIR", "/srv/schoolsync", "/var/lib/schoolsync")
    return {
        **dict.fromkeys(tenants, world.tenant.id),
        **dict.fromkeys(servers, world.server.base),
        **dict.fromkeys(homes, str(world.server.data)),
        "YOU": "ann@district.example",
        "--user me": "--user me@district.example",
        "ID": world.profile.id,
        "$PROFILE": world.profile.id,
        "FOLDER": "made",
        "--people 5000": "--people 80 --classes 8 --enrollments 160",
        "/tmp": str(world.folder),
        "/backups": str(world.folder / "backups"),
    }

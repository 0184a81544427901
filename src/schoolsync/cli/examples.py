"""What is typed with each command: its help ends with it, docs/commands.md has it, and a test parses it."""

from __future__ import annotations

from collections.abc import Mapping

import typer
from typer.models import CommandInfo

_TENANT = "--tenant 8a7b6c5d-4e3f-4a2b-9c1d-0e9f8a7b6c5d"
_PROFILE = "--profile District"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "serve": (
        "schoolsync serve --data-dir /srv/schoolsync --host 0.0.0.0 --port 443 --tls",
        f"schoolsync serve --memory --seed-roster roster.zip --seed-{_TENANT[2:]}",
    ),
    "worker": ("schoolsync worker",),
    "token": (
        f'schoolsync token {_TENANT} --scope "EduAdministration.ReadWrite" --user admin@district.example',
        f"schoolsync token {_TENANT} --role EduRoster.Read.All --expires-in 600",
    ),
    "validate": (
        "schoolsync validate roster.zip",
        "schoolsync validate october/ --against september/ --report findings.html --report findings.csv",
    ),
    "convert": ("schoolsync convert roster.zip oneroster/ --to oneroster-1.2",),
    "settings": ("schoolsync settings --json",),
    "doctor": ("schoolsync doctor", "schoolsync doctor --server https://sync.district.example"),
    "erase": (
        f"schoolsync erase ana.sara@district.example {_TENANT}",
        f"schoolsync erase {_TENANT} --repeat audit.json",
    ),
    "runs": (
        f"schoolsync runs {_TENANT} {_PROFILE} --follow",
        f"schoolsync runs --server https://sync.district.example {_PROFILE}",
    ),
    "cancel": (f'schoolsync cancel {_TENANT} {_PROFILE} --why "wrong export"',),
    "restart": (
        f"schoolsync restart {_TENANT} {_PROFILE} --scope quarantine",
        f"schoolsync restart {_TENANT} {_PROFILE} --school 100",
    ),
    "freshness": (f"schoolsync freshness {_TENANT}",),
    "plan": (f"schoolsync plan roster.zip {_PROFILE}", f"schoolsync plan roster.zip {_PROFILE} --details --op remove"),
    "show": (f"schoolsync show 12 {_PROFILE}", f"schoolsync show 12 {_PROFILE} --search Sara"),
    "apply": (f"schoolsync apply 12 {_PROFILE}",),
    "approve": (
        f'schoolsync approve 12 {_PROFILE} --plan 0f3c9a2b7d41 --why "seven pupils moved to Oslo"',
        f"schoolsync approve 12 {_PROFILE} --plan 0f3c9a2b7d41 --school 101 --kind student",
    ),
    "override": (f"schoolsync override 12 {_PROFILE} --plan 0f3c9a2b7d41 --limit removalPercent=20",),
    "discard": (
        f'schoolsync discard 12 {_PROFILE} --why "half of the school is missing"',
        f'schoolsync discard 12 {_PROFILE} --plan 0f3c9a2b7d41 --school 101 --why "its file was cut off"',
    ),
    "undo": (f"schoolsync undo 12 {_PROFILE}",),
    "sync": (f"schoolsync sync roster.zip {_PROFILE}",),
    "clean-up": (
        f"schoolsync clean-up --mark --remove-pupils {_PROFILE}",
        f"schoolsync clean-up --archive --why rollover {_PROFILE}",
    ),
    "sync-one": (f"schoolsync sync-one person ana.sara@district.example {_PROFILE}",),
    "explain": (
        f'schoolsync explain "Ana Sara" {_PROFILE}',
        f'schoolsync explain "Ana Sara" --in "Maths 8" {_PROFILE}',
    ),
    "identify": (f"schoolsync identify student givenName=Ana surname=Sara sisId=3009 {_PROFILE}",),
    "changes": (
        f"schoolsync changes {_PROFILE} --since 2026-11-01 --op remove",
        "schoolsync changes --by hand --limit 20 --json",
    ),
    "rekey": (f"schoolsync rekey --proposed 12 {_PROFILE} > map.csv", f"schoolsync rekey map.csv {_PROFILE}"),
    "errors": (f"schoolsync errors {_PROFILE} --by cause", f"schoolsync errors {_PROFILE} --kind Student --limit 20"),
    "findings": (
        f"schoolsync findings 12 {_PROFILE} --severity error --quote",
        f"schoolsync findings 12 {_PROFILE} --by school",
    ),
    "report": (f"schoolsync report 12 {_PROFILE} --output report.json",),
    "directory": (
        "schoolsync directory schools",
        "schoolsync directory people --search Sara",
        "schoolsync directory people ana.sara@district.example",
        "schoolsync directory people --bin",
        "schoolsync directory people ana.sara@district.example --restore",
    ),
    "whoami": ("schoolsync whoami",),
    "system": ("schoolsync system --json",),
    "api": (
        "schoolsync api get me",
        "schoolsync api get /v1.0/education/synchronizationProfiles",
        "schoolsync api patch profiles/1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b/settings --body settings.json",
    ),
    "login": ("schoolsync login --server https://sync.district.example --context district",),
    "logout": ("schoolsync logout district",),
    "upload": ("schoolsync upload District roster.zip --start --wait",),
    "backup": ("schoolsync backup /backups/2026-11-26",),
    "restore": ("schoolsync restore /backups/2026-11-26 --data-dir /srv/schoolsync",),
    "client add": (f'schoolsync client add {_TENANT} --role EduRoster.Read.All --name "library system"',),
    "client list": ("schoolsync client list",),
    "client change": (f"schoolsync client change 1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b {_TENANT} --secret",),
    "client remove": (f"schoolsync client remove 1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b {_TENANT}",),
    "user add": (f"schoolsync user add kari@district.example {_TENANT} --role schoolsync.operator",),
    "user list": (f"schoolsync user list {_TENANT}",),
    "user change": (f"schoolsync user change kari@district.example {_TENANT} --password",),
    "user remove": (f"schoolsync user remove kari@district.example {_TENANT}",),
    "db upgrade": ("schoolsync db upgrade", "schoolsync db upgrade --finish"),
    "db copy": ("schoolsync db copy --data-dir /srv/schoolsync",),
    "keys rotate": ("schoolsync keys rotate issuer --overlap 3600", "schoolsync keys rotate secrets"),
    "keys encrypt": ("schoolsync keys encrypt",),
    "audit list": ("schoolsync audit list --operation console --limit 20",),
    "audit verify": ("schoolsync audit verify", "schoolsync audit verify --server https://sync.district.example"),
    "audit export": (f"schoolsync audit export {_TENANT} --format csv --output audit.csv",),
    "notices show": ("schoolsync notices show",),
    "notices change": (
        "schoolsync notices change --webhook-url https://hooks.district.example/sds --event held --event failed",
        "schoolsync notices change --mail-to sis@district.example --stale-hours 30",
    ),
    "notices test": ("schoolsync notices test",),
    "notices sent": ("schoolsync notices sent --limit 5",),
    "device list": (f"schoolsync device list {_TENANT}",),
    "device approve": (f"schoolsync device approve BCDF-GHJK {_TENANT} --user kari@district.example",),
    "device deny": (f"schoolsync device deny BCDF-GHJK {_TENANT}",),
    "context list": ("schoolsync context list",),
    "context use": ("schoolsync context use district",),
    "context remove": ("schoolsync context remove district",),
    "profile test": ("schoolsync profile test District",),
    "profile list": ("schoolsync profile list --attention", "schoolsync profile list --search Oslo --json"),
    "profile show": ("schoolsync profile show District",),
    "profile start": ("schoolsync profile start District --wait",),
    "profile pause": ("schoolsync profile pause District",),
    "profile resume": ("schoolsync profile resume District",),
    "profile reset": ("schoolsync profile reset District",),
    "profile delete": ("schoolsync profile delete District",),
    "profile export": ("schoolsync profile export District --output district.toml",),
    "profile diff": ("schoolsync profile diff district.toml",),
    "profile import": ("schoolsync profile import district.toml",),
}
"""Command -> lines as they are typed into a shell."""


def name_of(command: CommandInfo) -> str:
    """What a command is called."""
    assert command.callback is not None, "a command is a function"
    return command.name or command.callback.__name__.replace("_", "-")


def give(app: typer.Typer, above: str = "") -> None:
    """Have the help of every command of `app` end with its examples."""
    for command in app.registered_commands:
        if lines := EXAMPLES.get(f"{above}{name_of(command)}"):
            heading = "Examples:" if len(lines) > 1 else "Example:"
            command.epilog = "\b\n" + "\n".join([heading, *(f"  {line}" for line in lines)])  # as they stand
    for group in app.registered_groups:
        if group.typer_instance is not None:
            give(group.typer_instance, f"{above}{group.name} ")

"""Whatever our own API can do can be typed."""

from __future__ import annotations

from schoolsync.api.routes import ROUTES

from .test_commands import every_command

TYPED = {
    "root.describe": "api",
    "root.me": "whoami",
    "root.get_metrics": "api",
    "profiles.list_profiles": "profile list",
    "profiles.get_overview": "system",
    "profiles.create_profile": "profile import",
    "profiles.get_profile": "profile show",
    "profiles.delete_profile": "profile delete",
    "profiles.get_connection": "profile test",
    "profiles.get_freshness": "profile show",
    "profiles.get_quarantine": "profile show",
    "profiles.restart": "restart",
    "profiles.pause": "profile pause",
    "profiles.resume": "profile resume",
    "profiles.reset": "profile reset",
    "profiles.get_configuration": "profile export",
    "profiles.patch_configuration": "profile import",
    "profiles.get_settings": "profile export",
    "profiles.patch_settings": "profile import",
    "runs.list_runs": "runs",
    "runs.start": "profile start",
    "runs.sync_one": "sync-one",
    "runs.get_run": "runs",
    "errors.list_errors": "errors",
    "errors.list_causes": "errors",
    "findings.list_findings": "findings",
    "findings.list_groups": "findings",
    "findings.list_schools": "findings",
    "findings.list_lines": "findings",
    "findings.get_report": "report",
    "plans.get_plan": "show",
    "plans.get_schools": "show",
    "plans.list_steps": "show",
    "plans.get_step": "show",
    "plans.get_differences": "apply",
    "plans.list_approvals": "show",
    "plans.approve": "approve",
    "plans.apply": "apply",
    "plans.discard": "discard",
    "plans.cancel": "cancel",
    "plans.override": "override",
    "plans.undo": "undo",
    "plans.clean_up": "clean-up",
    "rekeys.get_proposal": "rekey",
    "rekeys.rekey": "rekey",
    "explain.explain": "explain",
    "identify.identify": "identify",
    "previews.open_preview": "plan",
    "previews.start": "plan",
    "previews.again": "apply",
    "previews.apply": "apply",
    "changes.list_changes": "changes",
    "system.list_audit": "audit list",
    "system.export_audit": "audit export",
    "system.get_system": "system",
    "system.list_diagnoses": "doctor",
    "notices.get_notices": "notices show",
    "notices.patch_notices": "notices change",
    "notices.test": "notices test",
    "notices.list_sent": "notices sent",
    "directory.list_schools": "directory",
    "directory.list_classes": "directory",
    "directory.list_people": "directory",
    "directory.get_school": "directory",
    "directory.get_class": "directory",
    "directory.get_person": "directory",
    "directory.restore_school": "directory",
    "directory.restore_class": "directory",
    "directory.restore_person": "directory",
}
"""Handler of an operation -> the command that asks it of a server."""


def test_every_operation_has_a_command_that_asks_a_server() -> None:
    """Each operation is somebody's, and each of these commands takes the address of a server."""
    assert {route.handler for route in ROUTES} == TYPED.keys()
    commands = every_command()
    for name in set(TYPED.values()):
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert {"--server", "--json"} <= options, name

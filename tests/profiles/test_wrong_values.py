"""Whoever sets a profile's setting wrongly is told which one it was and what it can be."""

from __future__ import annotations

from typing import Any

import pytest

from schoolsync.errors import Invalid
from schoolsync.profiles import own_settings

WRONG: tuple[tuple[dict[str, Any], str, str], ...] = (
    # what is sent, what is said of it, the member at fault
    ({"schedule": {"everyMinutes": 1}}, "schedule.everyMinutes must be a whole number from 5 to 44640", "same"),
    ({"guards": {"removalPercent": 101}}, "guards.removalPercent must be a number from 0 to 100", "same"),
    ({"guards": {"removalPercent": "x"}}, "guards.removalPercent must be a number from 0 to 100", "same"),
    ({"guards": {"schoolGone": 1}}, "guards.schoolGone must be true or false", "same"),
    ({"guards": 5}, "guards must be an object", "same"),
    ({"dateFormat": "usual"}, "dateFormat must be one of dmy, iso, mdy", "same"),
    ({"fields": "contacts"}, "fields must be a list", "same"),
    ({"scope": {"firstDay": "soon"}}, "scope.firstDay must be a day such as 2026-01-31", "same"),
    (
        {"scope": {"roles": ["student", "cook"]}},
        "scope.roles (entry 2) must be one of student, teacher",
        "scope.roles[1]",
    ),
    ({"recipes": {"pupil": {}}}, "a name in recipes must be one of student, teacher", "recipes"),
    (
        {"purgeDays": {"teacher": 9, "student": 0}},
        "purgeDays.student must be a whole number from 1 to 3650",
        "same",
    ),
    (
        {"recipes": {"teacher": {"username": "{surname}"}, "student": {"username": "{shoe}"}}},
        "recipes.student.username: there is no field 'shoe'; known are givenName",
        "recipes.student.username",
    ),
    (
        {"recipes": {"teacher": {"username": "{surname}", "longest": 3}}},
        "recipes.teacher.longest must be a whole number from 4 to 64",
        "same",
    ),
    ({"recipes": {"teacher": {"mail": "x"}}}, "recipes.teacher needs username", "recipes.teacher.username"),
    ({"expiry": {"mark": False, "afterDays": 9}}, "expiry.afterDays: it counts the days until", "expiry.afterDays"),
    ({"windows": [{"firstDay": "2026-12-21"}]}, "windows (entry 1) needs lastDay", "windows[0].lastDay"),
    (
        {"windows": [{"firstDay": "2026-12-21", "lastDay": "2026-12-20", "kind": "blackout"}]},
        "windows[0].lastDay: it is before firstDay",
        "windows[0].lastDay",
    ),
    ({"codes": {"grades": {"": "01"}}}, "codes.grades: “01” has no word, and needs one", "codes.grades"),
    ({"codes": {"grades": {"Year 1": " "}}}, "codes.grades: the word “Year 1” has no code", "codes.grades"),
    (
        {"schedule": {"cron": "60 0 * * *"}},
        "schedule.cron: it cannot be read (Bad minute); 30 2 * * 1-5 is half past two",
        "schedule.cron",
    ),
    (
        {"schedule": {"cron": "* * * * *"}},
        "schedule.cron: two of its times are less than 5 minutes apart; */5 * * * * is as often as can be",
        "schedule.cron",
    ),
    ({"schedule": {"cron": "58,1 * * * *"}}, "schedule.cron: two of its times are less than", "schedule.cron"),
    ({"schedule": {"cron": "58,0 0,23 * * *"}}, "schedule.cron: two of its times are less than", "schedule.cron"),
    ({"timeZone": "Mars"}, "timeZone: there is no time zone 'Mars'; Europe/Oslo is one", "timeZone"),
    (
        {"keptByHand": ["wings"]},
        "keptByHand: a synchronization writes no 'wings'; it writes address_city",
        "keptByHand",
    ),
    ({"errors": {"mode": "x"}}, "There is no setting errors.mode. Known are policy, mostPercent", "errors.mode"),
    ({"guard": {}}, "There is no setting guard. Known are dateFormat, format", "guard"),
)


@pytest.mark.parametrize(("given", "says", "target"), WRONG, ids=[says.partition(" must")[0] for _, says, _ in WRONG])
def test_a_refused_setting_is_named_with_what_it_can_be(given: dict[str, Any], says: str, target: str) -> None:
    """In words of the field's own, never in those of a program's types."""
    with pytest.raises(Invalid) as refused:
        own_settings.merged("{}", given)
    assert says in str(refused.value)
    assert refused.value.target == (says.partition(" ")[0] if target == "same" else target)
    assert "`" not in str(refused.value)


@pytest.mark.parametrize("cron", ["*/5 * * * *", "58,1 0-22/2 * * *", "58,0 0,23 * * 1", "55,0 * * * *", "0 3 1 1 *"])
def test_times_that_are_far_enough_apart_are_taken(cron: str) -> None:
    """Five minutes from one time to the next are enough, also over the full hour and over midnight."""
    assert own_settings.effective(own_settings.merged("{}", {"schedule": {"cron": cron}}))["schedule"]["cron"] == cron


def test_what_was_set_before_stays() -> None:
    """A profile that has what nobody can set any more goes on, and its other settings can be changed."""
    stored = (
        '{"schedule":{"cron":"* * * * *"},"codes":{"grades":{"":"01"}},'
        '"windows":[{"firstDay":"2026-12-21","lastDay":"2026-12-20","kind":"blackout"}]}'
    )
    assert own_settings.effective(own_settings.merged(stored, {"dateFormat": "dmy"}))["schedule"]["cron"] == "* * * * *"
    with pytest.raises(Invalid):
        own_settings.merged(stored, {"schedule": {"cron": "*/2 * * * *"}})

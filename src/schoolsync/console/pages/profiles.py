"""One profile: how it stands, what can be done with it, its settings as forms; and making a new one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from schoolsync.console import fields, sections
from schoolsync.console.fields import Section
from schoolsync.console.visit import Outdated, Page, Visit
from schoolsync.errors import Invalid, NotFound, Refused

RUNS = 8
_ACTS = {
    # the word of a button -> the operation, what it takes, the word of what is said afterwards
    "pause": ("pause", None, "paused"),
    "resume": ("resume", None, "resumed"),
    "reset": ("reset", None, "reset"),
    "retry": ("restart", {"scope": "failedItems"}, "retried"),
}
_CSV = {"@odata.type": "#microsoft.graph.educationCsvDataProvider"}
_ONEROSTER = "#microsoft.graph.educationOneRosterApiDataProvider"
_POWERSCHOOL = "#microsoft.graph.educationPowerSchoolDataProvider"
_SOURCES = {_CSV["@odata.type"]: "csv", _ONEROSTER: "oneRoster", _POWERSCHOOL: "powerSchool"}
_CREATION = "#microsoft.graph.educationIdentityCreationConfiguration"
_MATCHING = "#microsoft.graph.educationIdentityMatchingConfiguration"
ROLES = ("student", "teacher")
TARGETS = ("userPrincipalName", "mail", "mailNickname", "employeeId")


def place(visit: Visit) -> str:
    """Where our own API has the profile."""
    return f"profiles/{visit.keys['profile']}"


async def show(visit: Visit) -> Page:
    """GET profiles/{profile}."""
    profile, fresh, ladder, runs = await asyncio.gather(
        visit.ask("GET", place(visit), {"trend": "true"}),
        visit.ask("GET", f"{place(visit)}/freshness"),
        visit.ask("GET", f"{place(visit)}/quarantine"),
        visit.ask("GET", f"{place(visit)}/runs", {"limit": RUNS}),
    )
    return visit.page("profile.html", profile=profile, fresh=fresh, ladder=ladder, runs=runs.value)


async def connection(visit: Visit) -> Page:
    """GET profiles/{profile}/connection."""
    profile, found = await asyncio.gather(
        visit.ask("GET", place(visit)), visit.ask("GET", f"{place(visit)}/connection")
    )
    return visit.page("connection.html", profile=profile, found=found)


async def act(visit: Visit) -> Page:
    """POST profiles/{profile}/do."""
    operation, body, said = _ACTS.get(visit.form.get("what", ""), (None, None, ""))
    if operation is None:
        raise Invalid("There is no such act.", target="what")
    if operation == "restart":  # of a school or a kind alone
        body = {**(body or {}), **{name: visit.form[name] for name in ("school", "kind") if visit.form.get(name)}}
    await visit.ask("POST", f"{place(visit)}/{operation}", body=body)
    run = visit.form.get("run", "")
    return visit.go(f"/{place(visit)}" + (f"/runs/{int(run)}" if run.isdecimal() else ""), said=said)


async def clean_up(visit: Visit) -> Page:
    """POST profiles/{profile}/clean-up."""
    chosen = {name: name in visit.form for name in ("mark", "archive", "removePupils")}
    body = {**chosen, "why": visit.form.get("why", "").strip() or None}
    begun = await visit.ask("POST", f"{place(visit)}/clean-up", body=body)
    return visit.go(f"/{place(visit)}/runs/{begun.run}", said="begun")


# --- settings -------------------------------------------------------------------------------------------------------


async def settings(visit: Visit, problem: Refused | None = None) -> Page:
    """GET profiles/{profile}/settings/{section}."""
    section = _section(visit)
    profile, (found, version) = await asyncio.gather(
        visit.ask("GET", place(visit)), visit.form_of(f"{place(visit)}/settings")
    )
    rows = fields.changed_rows(section, visit.form) if problem is None else {}
    again = kept(problem) or bool(rows)
    return visit.page(
        "settings.html",
        status=400 if problem is not None else 200,
        profile=profile,
        section=section,
        values={**fields.sent(section, visit.form), **rows} if again else fields.shown(section, found.settings),
        changed=next(iter(rows), None),
        version=carried(visit, version, again=again),
        problem=problem,
    )


async def change_settings(visit: Visit) -> Page:
    """POST profiles/{profile}/settings/{section}."""
    visit.need("policy")
    section = _section(visit)
    if "row" in visit.form:
        return await settings(visit)
    try:
        wanted = fields.changes(section, visit.form)
        before = (await visit.ask("GET", f"{place(visit)}/settings")).settings
        await visit.change(f"{place(visit)}/settings", fields.replacing(section, wanted, before))
    except Invalid as problem:
        return await settings(visit, problem)
    return visit.go(f"/{place(visit)}/settings/{section.name}", said="saved")


def kept(problem: Refused | None) -> bool:
    """Whether a form shows again what was sent: it was refused, and not because all is otherwise meanwhile."""
    return problem is not None and not isinstance(problem, Outdated)


def carried(visit: Visit, version: str, *, again: bool) -> str:
    """What tells whether somebody else has changed it meanwhile: a form that is shown again as it was sent goes on to
    say what it has shown at first."""
    return visit.form.get("version", version) if again else version


def _section(visit: Visit) -> Section:
    section = sections.section(visit.keys["section"])
    if section is None:
        raise NotFound("There is no such page.")
    return section


# --- accounts -------------------------------------------------------------------------------------------------------


async def accounts(visit: Visit, problem: Refused | None = None) -> Page:
    """GET profiles/{profile}/accounts."""
    profile, (found, version) = await asyncio.gather(
        visit.ask("GET", place(visit)), visit.form_of(f"{place(visit)}/configuration")
    )
    given = visit.form if kept(problem) else _shown(found.configuration)
    return visit.page(
        "accounts.html",
        status=400 if problem is not None else 200,
        profile=profile,
        given=given,
        targets=TARGETS,
        version=carried(visit, version, again=kept(problem)),
        problem=problem,
    )


async def change_accounts(visit: Visit) -> Page:
    """POST profiles/{profile}/accounts."""
    try:
        now = (await visit.ask("GET", f"{place(visit)}/configuration")).configuration
        await visit.change(f"{place(visit)}/configuration", _others(_asked(visit.form), _asked(_shown(now))))
    except Invalid as problem:
        return await accounts(visit, problem)
    return visit.go(f"/{place(visit)}/accounts", said="saved")


def _others(wanted: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """What a form asks for that is not so already: what nobody has touched is not set up again."""
    return {name: value for name, value in wanted.items() if value != before[name]}


# --- source ---------------------------------------------------------------------------------------------------------


async def source(visit: Visit, problem: Refused | None = None) -> Page:
    """GET profiles/{profile}/source."""
    profile, (found, version) = await asyncio.gather(
        visit.ask("GET", place(visit)), visit.form_of(f"{place(visit)}/configuration")
    )
    provider = found.configuration["dataProvider"]
    return visit.page(
        "source.html",
        status=400 if problem is not None else 200,
        profile=profile,
        given=_without_secret(visit.form) if kept(problem) else _source_shown(provider),
        version=carried(visit, version, again=kept(problem)),
        problem=problem,
    )


async def change_source(visit: Visit) -> Page:
    """POST profiles/{profile}/source."""
    try:
        now = _source_shown((await visit.ask("GET", f"{place(visit)}/configuration")).configuration["dataProvider"])
        wanted, before = {"dataProvider": _provider(visit.form)}, {"dataProvider": _provider(now)}
        await visit.change(f"{place(visit)}/configuration", _others(wanted, before))
    except Invalid as problem:
        return await source(visit, problem)
    return visit.go(f"/{place(visit)}/source", said="saved")


def _without_secret(form: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in form.items() if name != "clientSecret"}


def _source_shown(provider: Mapping[str, Any]) -> dict[str, str]:
    """A data provider as the form has it."""
    signing = provider.get("connectionSettings") or {}
    found = {**provider, **signing}
    given = {name: ", ".join(found.get(name) or ()) for name in ("schoolsIds", "termIds")}
    for name in ("connectionUrl", "clientId", "tokenUrl", "scope", "providerName", "schoolYear"):
        given[name] = found.get(name) or ""
    given["source"] = _SOURCES[provider["@odata.type"]]
    given["signing"] = "OAuth1" if "OAuth1" in signing.get("@odata.type", "") else "OAuth2ClientCredentials"
    given["severalSchools"] = "on" if provider.get("allowTeachersInMultipleSchools") else ""
    return given


# --- a new one ------------------------------------------------------------------------------------------------------


async def new(visit: Visit, problem: Refused | None = None) -> Page:
    """GET new-profile."""
    visit.need("policy")
    given = _without_secret(visit.form) if problem is not None else {}
    status = 400 if problem is not None else 200
    return visit.page("new_profile.html", status=status, given=given, targets=TARGETS, problem=problem)


async def create(visit: Visit) -> Page:
    """POST new-profile."""
    try:
        made = await visit.ask("POST", "profiles", body={**_asked(visit.form), "dataProvider": _provider(visit.form)})
    except Invalid as problem:
        return await new(visit, problem)
    return visit.go(f"/profiles/{made.profile}", said="created")


def _provider(form: Mapping[str, str]) -> dict[str, Any]:
    """Where a profile's roster comes from, in Graph's words; what is empty is null, and a secret is left out then."""

    def of(*names: str) -> dict[str, str | None]:
        return {name: form.get(name, "").strip() or None for name in names}

    def several(*names: str) -> dict[str, list[str]]:
        return {name: form.get(name, "").replace(",", " ").split() for name in names}

    typed = form.get("clientSecret", "").strip()
    secret = {"clientSecret": typed} if typed else {}
    if form.get("source") == "oneRoster":
        signing = form.get("signing", "OAuth2ClientCredentials")
        return {
            "@odata.type": _ONEROSTER,
            **of("connectionUrl", "providerName"),
            **several("schoolsIds", "termIds"),
            "connectionSettings": {
                "@odata.type": f"#microsoft.graph.educationSynchronization{signing}ConnectionSettings",
                **of("clientId", *(("tokenUrl", "scope") if signing != "OAuth1" else ())),
                **secret,
            },
        }
    if form.get("source") == "powerSchool":
        return {
            "@odata.type": _POWERSCHOOL,
            **of("connectionUrl", "clientId", "schoolYear"),
            **several("schoolsIds"),
            **secret,
            "allowTeachersInMultipleSchools": form.get("severalSchools") == "on",
        }
    return _CSV


def _asked(form: Mapping[str, str]) -> dict[str, Any]:
    """The profile that a form describes, in Graph's words."""
    identity: dict[str, Any]
    if form.get("mode") == "match":
        identity = {"@odata.type": _MATCHING, "matchingOptions": [_matching(form, role) for role in ROLES]}
    else:
        domains = [(role, form.get(f"domain.{role}", "").strip()) for role in ROLES]
        identity = {
            "@odata.type": _CREATION,
            "userDomains": [{"appliesTo": role, "name": name} for role, name in domains if name],
        }
    return {
        "displayName": form.get("displayName", "").strip(),
        "identitySynchronizationConfiguration": identity,
        "licensesToAssign": [
            {"appliesTo": role or None, "skuIds": skus}
            for role in (*ROLES, "")
            if (skus := form.get(f"licenses.{role}", "").replace(",", " ").split())
        ],
        "expirationDate": form.get("expirationDate", "").strip() or None,
        "handleSpecialCharacterConstraint": form.get("special") == "on",
    }


def _matching(form: Mapping[str, str], role: str) -> dict[str, Any]:
    return {
        "appliesTo": role,
        "sourcePropertyName": form.get(f"source.{role}", "").strip(),
        "targetPropertyName": form.get(f"target.{role}", "").strip(),
        "targetDomain": form.get(f"domain.{role}", "").strip() or None,
    }


def _shown(found: Mapping[str, Any]) -> dict[str, str]:
    """The same the other way round."""
    identity = found["identitySynchronizationConfiguration"]
    given = {
        "displayName": found["displayName"],
        "expirationDate": found["expirationDate"] or "",
        "special": "on" if found["handleSpecialCharacterConstraint"] else "",
        "mode": "match" if identity["@odata.type"] == _MATCHING else "create",
    }
    for one in found["licensesToAssign"] or ():
        name = f"licenses.{one['appliesTo'] or ''}"
        given[name] = ", ".join(filter(None, (given.get(name), *one["skuIds"])))
    for rule in identity.get("userDomains", ()):
        given[f"domain.{rule['appliesTo']}"] = rule["name"]
    for rule in identity.get("matchingOptions", ()):
        role = rule["appliesTo"]
        given[f"source.{role}"] = rule["sourcePropertyName"]
        given[f"target.{role}"] = rule["targetPropertyName"]
        given[f"domain.{role}"] = rule.get("targetDomain") or ""
    return given

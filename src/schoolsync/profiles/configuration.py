"""What a person sets on a profile: source, identity rules, licences, expiry; checked whole, kept without secrets.

Three ways in: `created` (POST), `replaced` (PUT), `merged` (PATCH). Each returns a complete, checked `Configuration`
or raises Invalid naming the member. A secret goes in and never comes out; it is kept only while it would be sent to
the same place as before. Values in and out; the clock arrives as an argument.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec

from schoolsync import ticks
from schoolsync.errors import Invalid
from schoolsync.profiles import customizations

Json = dict[str, Any]  # a JSON object: its values are of any kind

CSV = "#microsoft.graph.educationCsvDataProvider"
ONEROSTER = "#microsoft.graph.educationOneRosterApiDataProvider"
POWERSCHOOL = "#microsoft.graph.educationPowerSchoolDataProvider"
OAUTH1 = "#microsoft.graph.educationSynchronizationOAuth1ConnectionSettings"
OAUTH2 = "#microsoft.graph.educationSynchronizationOAuth2ClientCredentialsConnectionSettings"
CREATION = "#microsoft.graph.educationIdentityCreationConfiguration"
MATCHING = "#microsoft.graph.educationIdentityMatchingConfiguration"

TYPE = "@odata.type"
SECRET = "clientSecret"  # noqa: S105 - the name of a property
ROLES = ("student", "teacher")
NAME_LENGTH = 256
MONTHS = 18
"""A profile lives at most this many months after its creation, when it has an expiration date at all."""

_DOMAIN = re.compile(r"(?=.{1,253}$)[^\W_]([\w-]{0,61}[^\W_])?(\.[^\W_]([\w-]{0,61}[^\W_])?)*")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COLLECTIONS = {CSV: (), ONEROSTER: ("schoolsIds", "termIds"), POWERSCHOOL: ("schoolsIds",)}


def not_read(provider: str) -> str:
    """What whoever has a profile with a provider that this release cannot read from is told."""
    name = provider.rpartition(".")[2].removeprefix("education").removesuffix("DataProvider")
    whose = {"OneRosterApi": "a OneRoster API server", "PowerSchool": "a PowerSchool server"}.get(name, f"a {name}")
    return (
        f"This release of schoolsync cannot read from {whose} yet, so nothing was asked there: give the profile a CSV "
        "data provider, and upload the files of an export."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything a person sets on a profile. `secrets` are by path; nothing else holds one."""

    display_name: str
    data_provider: Json
    identity: Json
    licenses: list[Json] = field(default_factory=list)
    expiration_date: str | None = None
    special_characters: bool | None = None
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_csv(self) -> bool:
        """Whether files are uploaded (True) or fetched from a student information system (False)."""
        return bool(self.data_provider[TYPE] == CSV)

    def columns(self) -> dict[str, object]:
        """The columns of table `profiles` that hold it."""
        return {
            "display_name": self.display_name,
            "data_provider": _json(self.data_provider),
            "identity": _json(self.identity),
            "licenses": _json(self.licenses),
            "expiration_date": self.expiration_date,
            "special_characters": self.special_characters,
        }


def targets(provider: Json) -> Iterator[tuple[str, str]]:
    """The URLs of a data provider that this server connects to, each with the member that holds it."""
    if "connectionUrl" in provider:
        yield str(provider["connectionUrl"]), "dataProvider/connectionUrl"
    if "tokenUrl" in provider.get("connectionSettings", {}):
        yield str(provider["connectionSettings"]["tokenUrl"]), "dataProvider/connectionSettings/tokenUrl"


def created(given: Json, *, now: int) -> Configuration:
    """The configuration of a new profile. Raises Invalid."""
    return _whole(given, onto={}, before=None, created=now, now=now)


def replaced(before: Configuration, given: Json, *, created: int, now: int) -> Configuration:
    """The configuration after PUT: what is not given goes back to its default, a secret alone may stay."""
    return _whole(given, onto={}, before=before, created=created, now=now)


def merged(before: Configuration, given: Json, *, created: int, now: int) -> Configuration:
    """The configuration after PATCH: what is not given stays, complex members merge, collections are replaced."""
    whole: Json = {
        "displayName": before.display_name,
        "dataProvider": {},
        "licensesToAssign": before.licenses,
        "expirationDate": before.expiration_date,
        "handleSpecialCharacterConstraint": before.special_characters,
        **given,
    }
    identity = given.get("identitySynchronizationConfiguration", {})
    whole["identitySynchronizationConfiguration"] = None if identity is None else _merge(before.identity, identity)
    return _whole(whole, onto=before.data_provider, before=before, created=created, now=now)


_NEEDED = {
    "displayName": f"send a text of 1 to {NAME_LENGTH} characters",
    "dataProvider": f"send an object with the @odata.type {CSV} for files, {ONEROSTER} or {POWERSCHOOL}",
    "identitySynchronizationConfiguration": (
        f"send an object with the @odata.type {CREATION} and userDomains to make accounts, or {MATCHING} and "
        "matchingOptions to find those that are there"
    ),
}
"""What to send for a member that a profile cannot do without."""


def _whole(given: Json, *, onto: Json, before: Configuration | None, created: int, now: int) -> Configuration:
    """The checked configuration that `given` describes; its data provider is written over `onto`."""
    for required in ("displayName", "dataProvider", "identitySynchronizationConfiguration"):
        if given.get(required) is None:
            raise Invalid(f"{required} is required: {_NEEDED[required]}.", target=required)
    name = given["displayName"]
    if not name.strip() or len(name) > NAME_LENGTH:
        raise Invalid(f"displayName must be a text of 1 to {NAME_LENGTH} characters.", target="displayName")
    provider, secrets = _provider(given["dataProvider"], onto=onto, before=before, now=now)
    identity = _identity(given["identitySynchronizationConfiguration"])
    return Configuration(
        display_name=name,
        data_provider=provider,
        identity=identity,
        licenses=_licenses(given.get("licensesToAssign") or [], creates=identity[TYPE] == CREATION),
        expiration_date=_expiration(given.get("expirationDate"), created),
        special_characters=given.get("handleSpecialCharacterConstraint"),
        secrets=secrets,
    )


def _merge(stored: Json, given: Json) -> Json:
    """`given` over `stored`, member by member; an object of another type replaces the stored one whole."""
    if given.get(TYPE, stored.get(TYPE)) != stored.get(TYPE):
        return dict(given)
    return stored | {
        name: _merge(stored.get(name, {}), value) if isinstance(value, dict) else value for name, value in given.items()
    }


# --- data provider ------------------------------------------------------------------------------------------------


def _provider(given: Json, *, onto: Json, before: Configuration | None, now: int) -> tuple[Json, dict[str, str]]:
    """The checked provider without its secret, and the secrets to keep."""
    at = "dataProvider"
    kind = given.get(TYPE, onto.get(TYPE))
    if kind not in _COLLECTIONS:
        raise Invalid(f'Invalid OData type specified: "{kind or ""}". {_one_of(_COLLECTIONS)}', target=at)
    if onto.get(TYPE) != kind:
        onto = {}
    provider = _merge(_without(onto, "customizations"), _without(given, "customizations")) | {TYPE: kind}
    for name in _COLLECTIONS[kind]:
        provider[name] = _texts(provider.get(name), f"{at}/{name}")
    secrets: dict[str, str] = {}
    if kind != CSV:
        _url(provider.get("connectionUrl"), f"{at}/connectionUrl")
        secrets = _secured(provider, before)
    kept = _customizations_of(before.data_provider) if before is not None else {}
    base = _customizations_of(onto)
    custom = base
    if "customizations" in given:
        custom = customizations.merged(base, given["customizations"], before=kept, at=f"{at}/customizations", now=now)
    provider["customizations"] = custom
    return {name: value for name, value in provider.items() if value not in (None, [], {})}, secrets


def _secured(provider: Json, before: Configuration | None) -> dict[str, str]:
    """Take the secret out of `provider`, whose credentials are checked on the way; what is to be kept of it."""
    at = "dataProvider"
    place = provider
    if provider[TYPE] == ONEROSTER:
        at += "/connectionSettings"
        if provider.get("connectionSettings") is None:
            raise Invalid(
                f"connectionSettings is required: send how to sign in. {_one_of((OAUTH1, OAUTH2))}", target=at
            )
        place = provider["connectionSettings"] = dict(provider["connectionSettings"])
        if place.get(TYPE) not in {OAUTH1, OAUTH2}:
            raise Invalid(
                f'Invalid OData type specified: "{place.get(TYPE, "")}". {_one_of((OAUTH1, OAUTH2))}', target=at
            )
        if place[TYPE] == OAUTH2:
            _url(place.get("tokenUrl"), f"{at}/tokenUrl")
    _text(place.get("clientId"), f"{at}/clientId")
    path = f"{at}/{SECRET}"
    given = place.pop(SECRET, msgspec.UNSET)
    for name in [name for name, value in place.items() if value is None]:
        del place[name]
    if given is None:
        return {}
    if given is not msgspec.UNSET:
        return {path: _text(given, path)}
    if before is None or not before.secrets:
        return {}
    if _reached(before.data_provider) != _reached(provider):
        # Otherwise whoever may change a profile could have the stored secret sent to a host of theirs.
        raise Invalid(
            "clientSecret must be sent again, because the host, tokenUrl or clientId it is used with changes.",
            target=path,
        )
    return dict(before.secrets)


def _reached(provider: Json) -> tuple[object, ...]:
    """Where a secret goes and whose it is."""
    credentials = provider.get("connectionSettings", provider)
    origin = _origin(urlsplit(provider.get("connectionUrl", "")))
    return provider[TYPE], *origin, credentials.get("tokenUrl"), credentials.get("clientId")


def _origin(url: SplitResult) -> tuple[object, ...]:
    return url.scheme, url.hostname, url.port or {"http": 80, "https": 443}.get(url.scheme)


def _customizations_of(provider: Json) -> dict[str, Json]:
    return dict(provider.get("customizations", {}))


# --- identity, licences, expiry ------------------------------------------------------------------------------------


def _identity(given: Json) -> Json:
    at = "identitySynchronizationConfiguration"
    kind = given.get(TYPE)
    if kind not in {CREATION, MATCHING}:
        raise Invalid(f'Invalid OData type specified: "{kind or ""}". {_one_of((CREATION, MATCHING))}', target=at)
    member = "userDomains" if kind == CREATION else "matchingOptions"
    rules = given.get(member)
    at = f"{at}/{member}"
    if not rules:
        entry = "appliesTo and name" if kind == CREATION else "appliesTo, sourcePropertyName and targetPropertyName"
        raise Invalid(f"{member} must hold at least one entry: send one for each role, with {entry}.", target=at)
    seen = set()
    for rule in rules:
        role = rule.get("appliesTo")
        if role not in ROLES:
            raise Invalid("appliesTo must be student or teacher.", target=f"{at}/appliesTo")
        if role in seen:
            raise Invalid(f"{member} has more than one entry for {role}: send one for each role.", target=at)
        seen.add(role)
        if kind == CREATION:
            _domain(rule.get("name"), f"{at}/name")
            continue
        for name in ("sourcePropertyName", "targetPropertyName"):
            _text(rule.get(name), f"{at}/{name}")
        if rule.get("targetDomain") is not None:
            _domain(rule["targetDomain"], f"{at}/targetDomain")
    return {TYPE: kind, member: [_without(rule, TYPE) for rule in rules]}


def _licenses(given: list[Json], *, creates: bool) -> list[Json]:
    at = "licensesToAssign"
    if given and not creates:
        raise Invalid(
            "Licenses are given to accounts when they are created: a profile that matches existing accounts has none.",
            target=at,
        )
    result = []
    for license_ in given:
        role = license_.get("appliesTo")
        if role is not None and role not in ROLES:
            raise Invalid("appliesTo must be student or teacher.", target=f"{at}/appliesTo")
        skus = [sku.lower() for sku in _texts(license_.get("skuIds"), f"{at}/skuIds")]
        for sku in skus:
            if not _GUID.fullmatch(sku):
                raise Invalid(
                    f"“{sku}” is not the GUID of a license: send its skuId, such as "
                    "6634e0ce-1a9f-428c-a498-f84ec7b8aa2e.",
                    target=f"{at}/skuIds",
                )
        result.append({"appliesTo": role, "skuIds": skus})
    return result


def _expiration(given: str | None, created: int) -> str | None:
    if given is None:
        return None
    begin = ticks.moment(created).date()
    year, month = divmod(begin.year * 12 + begin.month - 1 + MONTHS, 12)
    last = date(year, month + 1, min(begin.day, monthrange(year, month + 1)[1]))
    if date.fromisoformat(given) > last:
        raise Invalid(
            f"expirationDate must be at most {MONTHS} months after the profile was created: {last} at the latest.",
            target="expirationDate",
        )
    return given


def expired(expiration_date: str | None, *, now: int) -> bool:
    """Whether a profile has come to its last day, which begins at midnight UTC."""
    return expiration_date is not None and expiration_date <= ticks.text(now)[:10]


# --- single values ------------------------------------------------------------------------------------------------


def _text(value: str | None, target: str) -> str:
    if value is None or not value.strip():
        raise Invalid(f"{target.rpartition('/')[2]} is required and must not be blank: send a text.", target=target)
    return value


def _texts(values: list[str] | None, target: str) -> list[str]:
    return [_text(value, target) for value in values or []]


def _url(value: str | None, target: str) -> None:
    name = target.rpartition("/")[2]
    try:
        parts = urlsplit(_text(value, target))
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise Invalid(f"{name} must be a URL such as https://sis.example.org/path.", target=target)
    if parts.username is not None or parts.password is not None:
        raise Invalid(f"{name} must not hold a user or a password: use clientId and clientSecret.", target=target)


def _one_of(kinds: Iterable[str]) -> str:
    return f"It can be {' or '.join(kinds)}."


def _domain(value: str | None, target: str) -> None:
    if not _DOMAIN.fullmatch(_text(value, target)):
        raise Invalid(
            f"{target.rpartition('/')[2]} must be a domain such as school.example.org, without an @.", target=target
        )


def _without(values: Json, name: str) -> Json:
    return {key: value for key, value in values.items() if key != name}


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


# --- stored and shown ---------------------------------------------------------------------------------------------


def stored(row: Any, secrets: Mapping[str, str]) -> Configuration:
    """The configuration that a row of `profiles` (by attribute) and the profile's secrets hold."""
    return Configuration(
        display_name=row.display_name,
        data_provider=msgspec.json.decode(row.data_provider),
        identity=msgspec.json.decode(row.identity),
        licenses=msgspec.json.decode(row.licenses),
        expiration_date=row.expiration_date,
        special_characters=row.special_characters,
        secrets=dict(secrets),
    )


def shown(row: Any) -> Json:
    """The properties of educationSynchronizationProfile for a row of `profiles` (by attribute), defaults filled in.

    Times are ticks. There is no secret in it.
    """
    provider = msgspec.json.decode(row.data_provider, type=Json)
    custom = customizations.shown(provider.pop("customizations", {}))
    collections: Json = {name: [] for name in _COLLECTIONS[provider[TYPE]]}
    return {
        "id": row.id,
        "displayName": row.display_name,
        "expirationDate": row.expiration_date,
        "dataProvider": {**collections, **provider, "customizations": custom},
        "identitySynchronizationConfiguration": msgspec.json.decode(row.identity),
        "licensesToAssign": msgspec.json.decode(row.licenses),
        "handleSpecialCharacterConstraint": row.special_characters,
        "state": row.state,
    }

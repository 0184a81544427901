"""The policy that a profile's roster is planned under, made from the profile's row.

Nothing is decided here: names are translated from Graph's shape into the plan's. A changed policy makes the next run
look at every record again.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from schoolsync.plan.policy import Errors, Matching, Policy, Role
from schoolsync.profiles import configuration, customizations


class OwnSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What schoolsync knows about a profile and Graph has no property for (column `profiles.policy`)."""

    date_format: Literal["iso", "mdy", "dmy"] = "mdy"
    errors: Errors = Errors()


def policy_of(row: Any) -> Policy:
    """The policy of a row of `profiles` (columns by attribute)."""
    profile = configuration.stored(row, {})
    own = msgspec.json.decode(row.policy, type=OwnSettings)
    roles: tuple[Role, ...] = ("student", "teacher")
    licenses: dict[Role, tuple[str, ...]] = {}
    for role in roles:
        skus = [sku for entry in profile.licenses if entry["appliesTo"] in (None, role) for sku in entry["skuIds"]]
        if skus:
            licenses[role] = tuple(dict.fromkeys(skus))
    return Policy(
        profile_name=profile.display_name,
        key_space=row.key_space,
        domains={rule["appliesTo"]: rule["name"] for rule in profile.identity.get("userDomains", [])},
        matching=tuple(
            Matching(
                role=rule["appliesTo"],
                source=rule["sourcePropertyName"],
                target=rule["targetPropertyName"],
                domain=rule.get("targetDomain"),
            )
            for rule in profile.identity.get("matchingOptions", [])
        ),
        licenses=licenses,
        customizations=customizations.policies(profile.data_provider.get("customizations", {})),
        replace_special_characters=bool(profile.special_characters),
        date_format=own.date_format,
        errors=own.errors,
    )

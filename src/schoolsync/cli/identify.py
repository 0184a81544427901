"""`schoolsync identify`: what a profile's identity rules make of a person who is typed in."""

from __future__ import annotations

import json
from collections.abc import Sequence

from schoolsync.cli.completing import PERSON
from schoolsync.cli.remote import Remote, Whereto
from schoolsync.errors import UsageError

_NAMES = (("userPrincipalName", "user name"), ("mail", "mail"), ("mailNickname", "mail nickname"))


def run(whereto: Whereto, role: str, values: Sequence[str], *, as_json: bool) -> int:
    """Print what would come out; 0 when the person has an account then, else 1."""
    person: dict[str, str] = {"role": role}
    for given in values:
        name, sign, value = given.partition("=")
        if not sign:
            raise UsageError(f"{given!r} has no value: write it as {given}=VALUE.")
        if f"{name}=" not in PERSON:
            raise UsageError(f"A person has no {name[:40]!r}. Known: {', '.join(one.rstrip('=') for one in PERSON)}.")
        person[name] = value
    told = Remote(whereto).post("/identify", person)
    if as_json:
        print(json.dumps(told))
    else:
        for sentence in told["answer"]:
            print(sentence)
        names = told["account"] or told
        for member, called in _NAMES:
            if names[member]:
                print(f"  {called}: {names[member]}")
        if told["objectId"]:
            print(f"  object id: {told['objectId']}")
        for one in told["lookedFor"]:
            print(f"  accounts with {one['property']} {one['value'] or '(no value)'}: {one['accounts']:,}")
    return 0 if told["outcome"] in ("keeps", "takesOver", "creates") else 1

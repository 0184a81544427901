"""What the console signs, links for schools too: good for one purpose, until a moment, and only as it was made."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from schoolsync.console.sessions import Sessions
from schoolsync.settings import Settings
from schoolsync.store.control import Control

NOW = 638_000_000_000_000_000
HELD = {"t": 1, "p": "a-profile", "s": "100"}
LETTERS = st.text(st.characters(codec="utf-8"), max_size=3)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Sessions:
    return Sessions(Control(create_engine("sqlite://")), Settings(data_dir=tmp_path_factory.mktemp("data")))


def test_a_link_ends_at_its_moment(sessions: Sessions) -> None:
    """It is good up to the moment that it names, and not a tick longer; nothing else opens it, and it opens nothing."""
    link = sessions.signed(HELD, purpose="link", until=NOW)
    assert sessions.opened(link, purpose="link", now=NOW) == {**HELD, "until": NOW}
    assert sessions.opened(link, purpose="link", now=NOW + 1) is None
    assert sessions.opened(link, purpose="session", now=NOW) is None
    assert sessions.find(link, now=NOW) is None


@given(data=st.data())
def test_whatever_was_altered_is_refused(sessions: Sessions, data: st.DataObject) -> None:
    """Wherever anything is put in, taken out or replaced, a link opens nothing and breaks nothing."""
    link = sessions.signed(HELD, purpose="link", until=NOW)
    begin = data.draw(st.integers(0, len(link)))
    end = data.draw(st.integers(begin, len(link)))
    altered = link[:begin] + data.draw(LETTERS) + link[end:]
    opened = sessions.opened(altered, purpose="link", now=NOW)
    assert opened == ({**HELD, "until": NOW} if altered == link else None)


def test_a_new_key_ends_every_link(tmp_path: Path) -> None:
    """When an operator takes the key away, what was signed with it is good no more, and a new key signs."""
    settings = Settings(data_dir=tmp_path)
    sessions = Sessions(Control(create_engine("sqlite://")), settings)
    link = sessions.signed(HELD, purpose="link", until=NOW)
    (settings.keys / "console.key").unlink()
    assert sessions.opened(link, purpose="link", now=NOW) is None
    again = sessions.signed(HELD, purpose="link", until=NOW)
    assert sessions.opened(again, purpose="link", now=NOW) == {**HELD, "until": NOW}

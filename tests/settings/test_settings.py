"""What an operator can set, and from where."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from schoolsync.errors import UsageError
from schoolsync.runs.processes import from_line, to_line
from schoolsync.settings import Settings, effective, load


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    """Each source is believed before the next, and named."""
    (tmp_path / "schoolsync.toml").write_text("port = 1000\npage_size = 7\nhost = 'a.example'\n")
    environment = {"SCHOOLSYNC_PORT": "2000", "SCHOOLSYNC_HOST": "b.example"}
    values = {
        value.name: value
        for value in effective({"data_dir": tmp_path, "port": 3000, "host": None}, environment=environment)
    }
    assert (values["port"].value, values["port"].source) == (3000, "command line")
    assert (values["host"].value, values["host"].source) == ("b.example", "environment SCHOOLSYNC_HOST")
    assert (values["page_size"].value, values["page_size"].source) == (7, f"file {tmp_path / 'schoolsync.toml'}")
    assert (values["page_max"].value, values["page_max"].source) == (999, "default")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"SCHOOLSYNC_PORT": "many"}, "port"),
        ({"SCHOOLSYNC_MEMORY_LIMIT": "lots"}, "memory_limit"),
        ({"SCHOOLSYNC_READER_MEMORY_LIMIT": "0MiB"}, "reader_memory_limit"),
        ({"SCHOOLSYNC_PORT": "70000"}, "port"),
        ({"SCHOOLSYNC_PAGE_SIZE": "0"}, "page_size"),
        ({"SCHOOLSYNC_PAGE_MAX": "1000"}, "page_max"),
        ({"SCHOOLSYNC_START_WAIT": "-1"}, "start_wait"),
        ({"SCHOOLSYNC_START_WAIT": "nan"}, "start_wait"),
        ({"SCHOOLSYNC_TLS": "perhaps"}, "tls"),
        ({"SCHOOLSYNC_TLS_CERT": "cert.pem"}, "tls_key"),
        ({"SCHOOLSYNC_PUBLIC_URL": "sds.example.org"}, "public_url"),
        ({"SCHOOLSYNC_LOG_LEVEL": "loud"}, "log_level"),
        ({"SCHOOLSYNC_UPLOAD_PERMISSIONS": "x"}, "upload_permissions"),
        ({"SCHOOLSYNC_CONFIG": "nowhere.toml"}, "nowhere.toml"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(environment: dict[str, str], named: str) -> None:
    """The sentence names the setting and where it came from."""
    with pytest.raises(UsageError, match=named):
        effective({}, environment=environment)


@pytest.mark.parametrize("text", ["prot = 1", "port = [1]", "port = true", "trusted_proxies = [1]", "port ="])
def test_a_settings_file_with_a_slip_is_refused(tmp_path: Path, text: str) -> None:
    """An unknown name, a wrong type and broken TOML all stop the program instead of being ignored."""
    (tmp_path / "schoolsync.toml").write_text(text)
    with pytest.raises(UsageError):
        effective({"data_dir": tmp_path}, environment={})


def test_settings_reach_a_child_process_unchanged(tmp_path: Path) -> None:
    """Handing settings over loses nothing, whatever their types."""
    settings = load(
        {"data_dir": tmp_path, "tls": True, "public_url": "https://sds.example.org"},
        environment={"SCHOOLSYNC_TRUSTED_PROXIES": "10.0.0.1, 10.0.0.2", "SCHOOLSYNC_START_WAIT": "2.5"},
    )
    assert from_line(to_line(settings)) == settings
    assert settings.trusted_proxies == ("10.0.0.1", "10.0.0.2")


def test_every_setting_says_what_it_is_for() -> None:
    """No setting comes without its line of help."""
    assert all(entry.metadata["help"] for entry in fields(Settings))


@pytest.mark.parametrize(
    ("limit", "upload", "given"),
    [
        ("848MiB", 0, "320MiB"),
        ("848MiB", 100 * 1024**2, "420MiB"),
        ("848MiB", 4 * 1024**3, "848MiB"),
        ("0.5 gb", 10**9, "0.5 gb"),
        ("256MiB", 0, "256MiB"),
    ],
)
def test_a_run_takes_memory_by_the_size_of_its_upload(limit: str, upload: int, given: str) -> None:
    """A small upload takes less than all may, none takes more."""
    assert Settings(memory_limit=limit).memory_for(upload) == given

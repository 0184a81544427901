"""The files of deploy/: each is held to the schema of what reads it, and to what the program really knows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from schoolsync.serving import safety
from schoolsync.settings import PREFIX, Settings, load

from .names import known_commands

DEPLOY = Path(__file__).parents[2] / "deploy"
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
KUBERNETES = ("1.36", "1.37")
SECRET = "c2Nob29sc3luYy1zY2hvb2xzeW5jLXNjaG9vbHN5bmM="


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text("utf-8")) if one]


def loaded(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> Settings:
    """The settings as the program takes them from such an environment; it refuses names and values that cannot be."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load({"data_dir": folder})
    safety.check(settings)
    return settings


@pytest.mark.parametrize("path", [one for one in sorted(DEPLOY.rglob("*")) if one.is_file()], ids=lambda one: one.name)
def test_each_file_says_what_was_run(path: Path) -> None:
    """Nobody takes for tried what was only checked; what cannot speak is spoken for by its neighbour."""
    if path.name == "compose.env.example" or path in MANIFESTS:
        return
    text = path.read_text("utf-8")
    assert re.search(r"\bRun:", text)
    assert re.search(r"\bNot run:", text)


def test_the_dockerfile_has_two_stages_and_no_root() -> None:
    """What builds stays behind, what runs is a user of its own, and all that is copied is there."""
    root = DEPLOY.parent
    parsed = DockerfileParser(str(DEPLOY / "Dockerfile"))
    said = [(one["instruction"], one["value"]) for one in parsed.structure]
    stages = [place for place, (word, _) in enumerate(said) if word == "FROM"]
    assert len(stages) == 2
    assert all(re.search(r":\d", value) for word, value in said if word == "FROM"), "a version is named"
    final = dict(said[stages[1] :])
    assert final["USER"] == "10001:10001"
    assert final["EXPOSE"] == str(Settings().port)
    assert json.loads(final["ENTRYPOINT"]) == ["schoolsync"]
    assert " ".join(json.loads(final["CMD"])) in known_commands()
    assert "HEALTHCHECK" in final
    allowed = {line[1:] for line in (root / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    for word, value in said:
        if word == "COPY" and "--from" not in value:
            for source in value.split()[:-1]:
                assert (root / source).exists(), source
                assert source in allowed, f"{source} does not get past .dockerignore"
        if word == "ENV":
            for name in re.findall(rf"{PREFIX}\w+", value):
                assert name.removeprefix(PREFIX).lower() in Settings.__dataclass_fields__, name


def test_the_compose_file_is_one_and_its_settings_are_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema of compose files holds, and the program takes what the containers are given."""
    path = DEPLOY / "compose.yaml"
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    answer = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (whole,) = documents(path)
    example = (DEPLOY / "compose.env.example").read_text("utf-8")
    asked = set(re.findall(r"\$\{(\w+)", path.read_text("utf-8")))
    assert asked == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    ours = {name: one for name, one in whole["services"].items() if one["image"] == "schoolsync"}
    assert ours.keys() == {"upgrade", "api", "worker"}
    for one in ours.values():
        words = one["command"].split(" --")[0]
        assert words in known_commands(), words
        filled = {
            name: re.sub(r"\$\{(\w+)[^}]*\}", lambda found: "https://x.example" if "URL" in found[1] else "word", value)
            for name, value in one["environment"].items()
        }
        settings = loaded(filled | {f"{PREFIX}HOST": "0.0.0.0"}, monkeypatch, tmp_path)
        assert settings.database_url == "postgresql://schoolsync:word@database/schoolsync"
        assert {option.partition("=")[0] for option in settings.storage_options} >= {"endpoint", "allow_http"}
        assert one["read_only"]
    volumes = {use.partition(":")[0] for one in whole["services"].values() for use in one.get("volumes", [])}
    assert volumes == set(whole["volumes"])
    for one in whole["services"].values():
        assert set(one.get("depends_on", {})) <= set(whole["services"])
        assert "latest" not in one["image"]


@pytest.mark.parametrize("version", KUBERNETES)
def test_the_manifests_are_what_kubernetes_reads(version: str) -> None:
    """Strictly: a member that Kubernetes does not know is an error."""
    for path in MANIFESTS:
        for one in documents(path):
            kubernetes_validate.validate(one, version, strict=True)


def test_the_manifests_fit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing runs as root, every name that is asked for is there, and the program takes the settings."""
    (kustomization,) = documents(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert {*kustomization["resources"], "secret.example.yaml"} == {path.name for path in MANIFESTS}
    found = [one for path in MANIFESTS for one in documents(path)]
    there = {(one["kind"], one["metadata"]["name"]) for one in found}
    assert all(one["metadata"].get("namespace", "schoolsync") == "schoolsync" for one in found)
    pods = [one["spec"]["template"] for one in found if one["kind"] in {"Deployment", "Job"}]
    assert len(pods) == 3
    for pod in pods:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert not spec["automountServiceAccountToken"]
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert " ".join(word for word in container["args"] if not word.startswith("--")) in known_commands()
            for source in container["envFrom"]:
                ((kind, named),) = source.items()
                assert ({"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind], named["name"]) in there
            assert {mount["name"] for mount in container["volumeMounts"]} == {one["name"] for one in spec["volumes"]}
    labels = [pod["metadata"]["labels"] for pod in pods]
    for one in found:
        if one["kind"] in {"Service", "PodDisruptionBudget"}:
            selector = one["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= given.items() for given in labels), one["metadata"]
    environment: dict[str, str] = {f"{PREFIX}HOST": "0.0.0.0"}
    for one in found:
        if one["kind"] in {"ConfigMap", "Secret"}:
            environment |= one.get("data", {}) | one.get("stringData", {})
    loaded(environment | {f"{PREFIX}SECRETS_KEY": SECRET}, monkeypatch, tmp_path)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` has nothing to say; the program itself is installed elsewhere."""
    text = (DEPLOY / "systemd" / "schoolsync.service").read_text("utf-8")
    (command,) = re.findall(r"^ExecStart=/opt/schoolsync/bin/schoolsync (\w+) ", text, re.MULTILINE)
    assert command in known_commands()
    unit = tmp_path / "schoolsync.service"
    unit.write_text(text.replace("/opt/schoolsync/bin/schoolsync", "/bin/true"), "utf-8")
    environment = {**os.environ, "LANG": "C", "SYSTEMD_LOG_LEVEL": "warning"}
    answer = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    about = [line for line in answer.stderr.splitlines() if "schoolsync" in line]
    assert not about, answer.stderr

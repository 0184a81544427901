"""`schoolsync serve` as an operator sees it: starting, ending, refusing, healing."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import warnings
from pathlib import Path

import httpx
import pytest

from .house import Api, Server, Tenant, command, serving, until
from .rosters import DISTRICT, GUARDIANS


def test_it_starts_says_where_and_ends_cleanly(tmp_path: Path) -> None:
    """serve answers /healthz without a token, keeps its files to its owner, and SIGTERM ends all of it."""
    with serving(tmp_path) as server:
        answer = server.http.get(f"{server.base}/healthz")
        assert answer.status_code == 200
        assert len(server.processes()) >= 3
        assert Tenant(server).profile().sync(DISTRICT.files())["status"] == "success"
        took = server.stop()
        assert took < 10
        for path in server.data.rglob("*"):
            mode = stat.S_IMODE(path.stat().st_mode)
            assert mode & 0o077 == 0 or path.name == "cert.pem", f"{path} is {mode:o}"
        assert not list((server.data / "scratch").iterdir())
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{server.base}/healthz", timeout=2)


def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    """Profiles, statuses, errors, directory, keys and tokens outlive the process."""
    with serving(tmp_path) as server:
        tenant = Tenant(server)
        profile = tenant.profile()
        assert profile.sync(DISTRICT.files())["status"] == "success"
        before = tenant.objects(), tenant.admin.get(profile.path)["displayName"], profile.status()["status"]
        server.stop()
        server.start()
        assert (tenant.objects(), tenant.admin.get(profile.path)["displayName"], profile.status()["status"]) == before


def test_a_second_serve_on_the_same_directory_refuses(server: Server) -> None:
    """It says who serves the directory already, does nothing, and the first goes on."""
    second = command("serve", "--data-dir", server.data, "--port", "0")
    assert second.returncode == 2
    assert "served already" in second.stderr
    assert server.process is not None
    assert str(server.process.pid) in second.stderr
    assert "Traceback" not in second.stderr
    assert server.healthy()


def test_a_port_that_is_taken_is_said_in_words(server: Server, tmp_path: Path) -> None:
    """serve on a taken port ends at once with one line."""
    port = server.base.rsplit(":", 1)[1]
    second = command("serve", "--data-dir", tmp_path / "other", "--port", port)
    assert second.returncode in {1, 2}
    assert port in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("part", ["api", "worker"])
def test_a_process_that_dies_is_started_again(tmp_path: Path, part: str) -> None:
    """After kill -9 of the API or the worker everything works again within seconds; a script reads it as JSON."""
    with serving(tmp_path, options=("--json",)) as server:
        tenant = Tenant(server)
        profile = tenant.profile()
        (victim,) = server.those(part)
        victim.kill()
        until("another has taken its place", lambda: [p for p in server.those(part) if p.pid != victim.pid])
        until("it is ready again", server.healthy)
        assert profile.sync(DISTRICT.files())["status"] == "success"
        said = [json.loads(line) for line in server.log.read_text("utf-8").splitlines() if '"said": ' in line]
        assert said == [
            {"said": "serves", "data": str(server.data), "url": server.base},
            {"said": "starts a process again", "process": part},
        ]


def test_its_children_go_with_it(tmp_path: Path) -> None:
    """kill -9 of the serving process takes API, worker and engines along, and the next serve starts at once."""
    with serving(tmp_path) as server:
        server.kill_top()
        server.start()
        assert server.healthy()


@pytest.mark.xdist_group("tls")
def test_tls_makes_and_keeps_a_certificate(secure: Server) -> None:
    """--tls serves HTTPS alone, with a certificate a client can be told to trust; its key is its owner's."""
    assert secure.base.startswith("https://127.0.0.1:")
    folder = secure.data / "tls"
    assert stat.S_IMODE((folder / "key.pem").stat().st_mode) == 0o600
    context = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    for host in ("127.0.0.1", "localhost"):
        url = secure.base.replace("127.0.0.1", host)
        assert httpx.get(f"{url}/healthz", verify=context).status_code == 200
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{secure.base}/healthz")
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{secure.base.replace('https', 'http')}/healthz")


@pytest.mark.xdist_group("tls")
def test_old_tls_is_not_spoken(secure: Server) -> None:
    """Whoever speaks nothing newer than TLS 1.1 gets no connection; 1.2 and 1.3 do."""
    place = httpx.URL(secure.base)
    spoken = {}
    for version in (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(secure.data / "tls" / "cert.pem")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # else it is our own library that refuses
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = version
        try:
            with (
                socket.create_connection((place.host, place.port or 443)) as plain,
                context.wrap_socket(plain, server_hostname=place.host) as connection,
            ):
                spoken[version.name] = connection.version()
        except ssl.SSLError as problem:
            spoken[version.name] = problem.reason
    assert spoken == {"TLSv1_1": "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}


def test_every_face_forbids_guessing_framing_and_referring(secure_tenant: Tenant) -> None:
    """Both APIs, the console, the issuer and the containers; what is answered well, what is refused, and what is not
    there."""
    server, profile = secure_tenant.server, secure_tenant.profile()
    container = httpx.URL(profile.api.get(f"{profile.path}/uploadUrl")["value"])
    file = container.copy_with(raw_path=f"{container.path}/School.csv?".encode() + container.query)
    graph, tenant = f"{server.base}/v1.0/education", f"{server.base}/{secure_tenant.id}"
    asked: list[tuple[str, str, int]] = [
        ("GET", f"{server.base}/healthz", 200),
        ("GET", f"{graph}{profile.path}", 200),
        ("GET", f"{graph}{profile.path}x", 404),
        ("DELETE", f"{graph}/synchronizationProfiles", 405),
        ("GET", f"{server.base}/v1.0/$metadata", 200),
        ("POST", f"{server.base}/v1.0/$batch", 400),
        ("GET", f"{server.base}/nowhere", 404),
        ("GET", f"{server.base}/schoolsync/v1/openapi.json", 200),
        ("GET", f"{server.base}/schoolsync/v1/nowhere", 404),
        ("GET", f"{server.base}/console", 303),
        ("GET", f"{server.base}/console/static/nowhere", 404),
        ("GET", f"{tenant}/v2.0/.well-known/openid-configuration", 200),
        ("GET", f"{tenant}/discovery/v2.0/keys", 200),
        ("GET", f"{tenant}/oauth2/v2.0/authorize", 200),
        ("POST", f"{tenant}/oauth2/v2.0/token", 400),
        ("PUT", str(file), 201),
        ("GET", str(file), 403),
        ("PUT", str(file.copy_set_param("sig", "x")), 403),
    ]
    for method, url, status in asked:
        sent = {"x-ms-blob-type": "BlockBlob"} if "sig=" in url else {"Authorization": f"Bearer {profile.api.token}"}
        answer = server.http.request(method, url, headers=sent, follow_redirects=False)
        assert answer.status_code == status, f"{method} {url}: {answer.text}"
        headers = answer.headers
        assert headers["x-content-type-options"] == "nosniff", url
        assert headers["x-frame-options"] == "DENY", url
        assert headers["referrer-policy"] in {"no-referrer", "same-origin"}, url
        assert headers["strict-transport-security"] == "max-age=31536000", url
        kept = headers["cache-control"]
        assert kept in {"no-cache", "no-store"} or "openid-configuration" in url or "/keys" in url, url


def test_tls_takes_a_certificate_of_ones_own(secure: Server, tmp_path: Path) -> None:
    """--tls-cert and --tls-key are used as they are; one without the other is wrong usage."""
    cert, key = secure.data / "tls" / "cert.pem", secure.data / "tls" / "key.pem"
    with serving(tmp_path, settings={"tls_cert": cert, "tls_key": key}) as server:
        assert server.base.startswith("https")
        context = ssl.create_default_context(cafile=str(cert))
        assert httpx.get(f"{server.base}/healthz", verify=context).status_code == 200
        assert not (server.data / "tls").exists() or not list((server.data / "tls").iterdir())
    alone = command("serve", "--data-dir", tmp_path / "x", "--port", "0", "--tls-cert", cert)
    assert alone.returncode == 2
    assert "tls_key" in alone.stderr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"TLS_CERT": "none.pem", "TLS_KEY": "none.pem"}, "tls_cert none.pem or tls_key none.pem cannot be read"),
        ({"SECRETS_KEY": "short", "ISSUERS": "none.toml"}, "secrets_key must be"),
        ({"ISSUERS": "none.toml"}, "issuers file none.toml cannot be read"),
    ],
    ids=["certificate", "key", "issuers"],
)
def test_what_cannot_be_served_with_is_said_once(tmp_path: Path, given: dict[str, str], words: str) -> None:
    """A setting whose file or value is wrong ends the start with one sentence: no traceback, no second try."""
    environment = os.environ | {f"SCHOOLSYNC_{name}": value for name, value in given.items()}
    ended = command("serve", "--data-dir", tmp_path / "data", "--port", "0", env=environment, cwd=tmp_path)
    assert ended.returncode == 1
    (sentence,) = [line for line in ended.stderr.splitlines() if not line.startswith("schoolsync serves ")]
    assert words in sentence


def test_links_carry_the_public_url(tmp_path: Path) -> None:
    """Behind a proxy, --public-url is in contexts, next links and upload URLs; unknown proxies are not believed."""
    with serving(tmp_path, settings={"public_url": "https://sds.example.org/"}) as server:
        tenant = Tenant(server)
        for number in range(2):
            body = {
                "displayName": f"n{number}",
                "accountEnabled": True,
                "mailNickname": f"n{number}",
                "userPrincipalName": f"n{number}@a.example",
                "passwordProfile": {"password": "Fjord-2026-x"},
            }
            url = f"{server.base}/v1.0/education/users"
            headers = {"Authorization": f"Bearer {tenant.reader.token}", "X-Forwarded-Host": "evil.example"}
            assert server.http.post(url, json=body, headers=headers).status_code == 201
        page = server.http.get(f"{url}?$top=1", headers=headers).json()
        assert page["@odata.context"] == "https://sds.example.org/v1.0/$metadata#education/users"
        assert page["@odata.nextLink"].startswith("https://sds.example.org/v1.0/education/users?")


def test_idle_connections_keep_nobody_out(tenant: Tenant) -> None:
    """Hundreds of clients that are connected and say nothing, or only half of what they announced, are no outage."""
    profile = tenant.profile()
    place = httpx.URL(tenant.server.base)
    half = f"PATCH /v1.0/education{profile.path}/profileStatus HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{"
    with contextlib.ExitStack() as stack:
        for number in range(400):
            client = stack.enter_context(socket.create_connection((place.host, place.port), timeout=20))
            if number % 2:
                client.sendall(half.encode())
        with httpx.Client(timeout=20) as newcomer:
            headers = {"Authorization": f"Bearer {profile.api.token}"}
            answer = newcomer.get(f"{tenant.server.base}/v1.0/education{profile.path}", headers=headers)
        assert answer.status_code == 200


def _is_connected(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:
        return False
    return True


def test_ten_thousand_connections_are_no_outage(tenant: Tenant) -> None:
    """So many as the system lets us open say nothing, and a newcomer is served all the same."""
    place = httpx.URL(tenant.server.base)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 10_500 if before[1] == resource.RLIM_INFINITY else min(10_500, before[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, before[0]), before[1]))
    clients: list[socket.socket] = []
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(wanted - 500):
                client = stack.enter_context(socket.socket())
                client.setblocking(False)
                assert client.connect_ex((place.host, place.port)) in {0, errno.EINPROGRESS}
                clients.append(client)
            until("they are connected", lambda: sum(map(_is_connected, clients)) > 0.99 * len(clients))
            with httpx.Client(timeout=60) as newcomer:
                assert newcomer.get(f"{tenant.server.base}/healthz").status_code == 200
            assert sum(map(_is_connected, clients)) > 0.99 * len(clients)
        assert tenant.admin.get("/synchronizationProfiles")["value"] == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_upload_url_is_at_the_address_that_was_asked(tenant: Tenant) -> None:
    """A server that listens on all addresses hands out the one its caller used, never 0.0.0.0."""
    profile = tenant.profile()
    url = f"{tenant.server.base}/v1.0/education{profile.path}/uploadUrl"
    headers = {"Authorization": f"Bearer {profile.api.token}", "Host": "sds.school.example:8443"}
    answer = tenant.server.http.get(url, headers=headers)
    assert answer.json()["value"].startswith(f"http://sds.school.example:8443/uploads/{profile.id}?")


def test_what_is_logged_names_nobody(tmp_path: Path) -> None:
    """The log of a sync with errors and guardians is JSON lines with ids, without names, addresses or secrets."""
    with serving(tmp_path, settings={"log_level": "debug"}) as server:
        tenant = Tenant(server)
        profile = tenant.profile()
        wrong = DISTRICT.changed("students", "3002", Last_Name="")
        profile.upload({**wrong.files(), **GUARDIANS})
        profile.start(expect=400)
        profile.upload(DISTRICT.files())
        profile.start()
        assert profile.wait()["status"] == "success"
        Api(server, "broken")("GET", "/users", expect=401)
        link = profile.api.get(f"{profile.path}/uploadUrl")["value"]
        token = tenant.reader.token
        server.stop()
        log = server.log.read_text("utf-8")
    assert token is not None
    assert token not in log
    assert link.split("sig=")[1].split("&")[0] not in log
    for row in (*DISTRICT.students, *DISTRICT.teachers):
        for name in ("First Name", "Last Name", "Username", "Password", "Birthdate", "Secondary Email"):
            if len(row.get(name, "")) > 3:
                assert row[name] not in log, name
    for text in ("mor@home.example", "Kari", "Storgata"):
        assert text not in log
    lines = [line for line in log.splitlines() if not line.startswith("schoolsync")]
    assert lines
    for line in lines:
        assert isinstance(json.loads(line), dict), line


def test_an_unhealthy_data_directory_is_said_in_words(tmp_path: Path) -> None:
    """A data directory that cannot be made is one line and exit status 1, not a trace."""
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    answer = command("serve", "--data-dir", blocked / "data", "--port", "0")
    assert answer.returncode in {1, 2}
    assert "Traceback" not in answer.stderr
    assert str(blocked) in answer.stderr


def test_ctrl_c_ends_it_too(tmp_path: Path) -> None:
    """SIGINT, which a terminal sends to the whole group, is a clean end."""
    with serving(tmp_path) as server:
        assert server.process is not None
        family = server.processes()
        os.killpg(server.process.pid, signal.SIGINT)
        began = time.monotonic()
        assert server.process.wait(15) == 0
        assert time.monotonic() - began < 10
        server._gone(family)


def test_the_module_and_the_script_are_one_program() -> None:
    """`python -m schoolsync` and the installed `schoolsync` print the same version."""
    script = Path(sys.executable).with_name("schoolsync")
    by_script = subprocess.run([script, "--version"], capture_output=True, text=True, check=True).stdout
    assert by_script == command("--version").stdout
    assert by_script.startswith("schoolsync ")

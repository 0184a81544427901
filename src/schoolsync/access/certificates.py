"""The server's own TLS certificate, for a laptop, a test or a closed network.

A small authority signs a certificate for the server and is then forgotten: its key is never stored, so nothing else
can ever be signed with it. `cert.pem` holds the server's certificate first and the authority's behind it; a client
that is told to trust the file (`curl --cacert`, `verify=`, `NODE_EXTRA_CA_CERTS`) needs nothing else.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import ssl
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from schoolsync.access.keys import sync_folder
from schoolsync.errors import UsageError, WorldError

LIFETIME = timedelta(days=820)  # some clients refuse more than 825
RENEWED_BEFORE = timedelta(days=30)
ALWAYS = ("localhost", "127.0.0.1", "::1")


def ensure(folder: Path, hosts: Iterable[str]) -> tuple[Path, Path]:
    """Paths of certificate chain and key in `folder`, fit for `hosts` and for loopback.

    They are made when they are missing, soon to expire, damaged, or lack one of the hosts; otherwise they are kept.
    """
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = [host for host in dict.fromkeys((*hosts, *ALWAYS)) if host not in {"", "0.0.0.0", "::"}]  # noqa: S104
    try:
        if not _fits(cert, key, names):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            chain, private = _make(names)
            _write(key, private, 0o600)
            _write(cert, chain, 0o644)
    except OSError as problem:
        raise WorldError(f"The certificate in {folder} cannot be made or read: {problem.strerror}.") from problem
    return cert, key


def check(cert: Path, key: Path) -> None:
    """Raise UsageError unless certificate and key can be served with."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except ssl.SSLError as problem:
        raise UsageError(
            f"tls_cert {cert} and tls_key {key} do not belong together, are no PEM files, or the key needs a password."
        ) from problem
    except OSError as problem:
        raise UsageError(f"tls_cert {cert} or tls_key {key} cannot be read: {problem.strerror}.") from problem


def _fits(cert: Path, key: Path, names: list[str]) -> bool:
    if not (cert.exists() and key.exists()):
        return False
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)  # do the two belong together
        found = x509.load_pem_x509_certificate(cert.read_bytes())
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ssl.SSLError, ValueError, x509.ExtensionNotFound):
        return False  # damaged, or of somebody else's making
    if found.not_valid_after_utc - RENEWED_BEFORE < datetime.now(UTC):
        return False
    return all(name in alternatives for name in map(_general_name, names))


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode())
    except ValueError as problem:
        raise UsageError(f"“{host}” is no host name: no certificate can be made for it.") from problem


def _make(names: list[str]) -> tuple[bytes, bytes]:
    """Certificate chain and private key, both PEM."""
    now = datetime.now(UTC)
    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"schoolsync own authority {secrets.token_hex(4)}")]
    )
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())

    def builder(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id), critical=False)
        )

    authority = (
        builder(authority_name, authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(authority_key, hashes.SHA256())
    )
    server_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "schoolsync")])
    server = (
        builder(server_name, server_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return server.public_bytes(pem) + authority.public_bytes(pem), private


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace `path` whole, or not at all."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)

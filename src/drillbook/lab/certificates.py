"""Certificates for the lab's object store. The components of the store use them to authenticate one another.

Processes without such a certificate cannot use the internal ports of the store.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from drillbook.lab.layout import ADDRESS, put

VALID = timedelta(days=3650)
AUTHORITY, CERTIFICATE, KEY = "authority.pem", "part.pem", "part.key"
_GRPC = ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT")
_HTTP = ("MASTER", "VOLUME", "FILER", "ADMIN", "CLIENT")


def write(folder: Path) -> None:
    """Create a CA in ``folder``, and a certificate that all components of the object store share. The CA's private key is
    discarded.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    signing, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _draft("authority", signing).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    part = (
        _draft("part", key)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))]), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
    )
    for name, draft in ((AUTHORITY, authority), (CERTIFICATE, part)):
        put(folder / name, draft.sign(signing, SHA256()).public_bytes(Encoding.PEM).decode("ascii"))
    put(folder / KEY, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii"))


def _draft(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
    )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"drillbook lab {name}")])


def settings(folder: Path) -> Mapping[str, str]:
    """Return environment variables that configure TLS for SeaweedFS, for gRPC and for HTTP. Each component of SeaweedFS
    presents the certificate that ``write`` created, and requires the same certificate from its clients.
    """
    files = {"CERT": str(folder / CERTIFICATE), "KEY": str(folder / KEY)}
    http = files | {"CA": str(folder / AUTHORITY)}
    return {
        "WEED_GRPC_CA": str(folder / AUTHORITY),
        "WEED_HTTPS_CLIENT_ENABLED": "true",
        **{f"WEED_GRPC_{part}_{name}": path for part in _GRPC for name, path in files.items()},
        **{f"WEED_HTTPS_{part}_{name}": path for part in _HTTP for name, path in http.items()},
    }

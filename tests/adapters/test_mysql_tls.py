"""Encryption on the way to MariaDB: taken where the server has it, demanded or proved where the URL says so."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from breakable import mariadb

from adapters.mysql.connection import Connections, rows
from transforms.vocabulary import ConnectionFailed


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for this machine that nobody but itself has signed, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    whose = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    here, now = x509.IPAddress(ipaddress.ip_address("127.0.0.1")), datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(whose)
        .issuer_name(whose)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([here]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, secret = folder / f"{name}.pem", folder / f"{name}.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return public, secret


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def encrypting(authorities: Path) -> Iterator[str]:
    """The URL of a database on a server that has a certificate."""
    public, secret = certificate(authorities, "ours")
    with mariadb(f"--ssl-cert={public}", f"--ssl-key={secret}") as server:
        yield server.side("tls").url


def cipher(url: str) -> str:
    """What a connection is encrypted with; empty where it is not."""
    with closing(Connections(url)) as connections, connections.connected() as connection:
        return str(rows(connection, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1])


def test_a_connection_is_encrypted_where_the_server_can_unless_the_url_says_no(
    encrypting: str, mariadb_url: str
) -> None:
    assert cipher(encrypting)
    assert cipher(f"{encrypting}?ssl=true")
    assert not cipher(f"{encrypting}?ssl=false")
    assert not cipher(mariadb_url)
    with pytest.raises(ConnectionFailed, match="SSL"):
        cipher(f"{mariadb_url}?ssl=true")


def test_a_server_proves_itself_where_the_url_names_an_authority_or_wants_it_proved(
    encrypting: str, authorities: Path
) -> None:
    other, _ = certificate(authorities, "others")
    assert cipher(f"{encrypting}?ssl_ca={authorities / 'ours.pem'}")
    assert cipher(f"{encrypting}?ssl_ca={other}&ssl_verify=false")
    for asked in (f"ssl_ca={other}", "ssl_verify=true"):
        with pytest.raises(ConnectionFailed, match="certificate verify failed"):
            cipher(f"{encrypting}?{asked}")

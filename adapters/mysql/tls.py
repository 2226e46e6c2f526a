"""Encryption on the way to MariaDB and MySQL: how much of it a URL asks for."""

from __future__ import annotations

import ssl
from typing import Any

from pymysql.connections import Connection


def context_of(verified: bool, authority: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Encryption without fail; `verified`: the server has to prove its name too. OSError where a file cannot be read."""
    context = ssl.create_default_context(cafile=authority) if verified or authority else _unproved()
    if not verified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def _unproved() -> ssl.SSLContext:
    """Encryption with whoever answers.

    The machine's list of authorities is not read: that takes longer than to connect, and nothing would be held to it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Driver(Connection):  # type: ignore[misc]
    """PyMySQL's connection. Where the URL says nothing of encryption, it is encrypted if the server can."""

    def _create_ssl_ctx(self, given: ssl.SSLContext | dict[str, Any]) -> ssl.SSLContext:
        return given if isinstance(given, ssl.SSLContext) else _unproved()

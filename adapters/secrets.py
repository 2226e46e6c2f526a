"""URLs and messages without the passwords in them."""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus

import sqlalchemy as sa

_SECRET = re.compile(r"((?:password|passwd|pwd|sslpassword|secret|token)\s*=\s*)('[^']*'|[^\s&;'\"]+)", re.IGNORECASE)
_USERINFO = re.compile(r"(://[^\s:/@]*):\S*@")  # up to the last @: a password may hold one that is not quoted


# of a text that is nothing but a URL: whatever signs the password has, blanks too
_PASSWORD = re.compile(r"^([\w+.-]+://[^:/@]*):(.*)@", re.DOTALL)
_VALUE = re.compile(r"([?&][^=&]*(?:password|passwd|pwd|secret|token)=)[^&]*", re.IGNORECASE)


_CUT = re.compile(r"[/@]")  # where drivers end a password
_NO_CODE = re.compile(r"%(?![0-9A-Fa-f]{2})")  # which libpq refuses, and others take as it is
_NOT_ENCODED = (
    "the password has signs that stand for something else in a URL: write %40 for @, %2F for /, %3A for :, %25 for %"
)


def masked(url: str) -> str:
    """The URL without its password, wherever the URL carries it."""
    return _without_secrets(_VALUE.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url)))


def _without_secrets(text: str) -> str:
    return _SECRET.sub(r"\1***", _USERINFO.sub(r"\1:***@", text))


def misread(url: str, *, strict: bool = False) -> str:
    """What is wrong with a password that drivers would take apart; empty where nothing is.

    `strict`: also with one that has a % without a code behind it.
    """
    written = _PASSWORD.match(url.partition("?")[0])
    odd = written and (_CUT.search(written[2]) or (strict and _NO_CODE.search(written[2])))
    return _NOT_ENCODED if odd else ""


def scrubbed(error: BaseException | str, url: str) -> str:
    """A driver's message in one line, without the password of `url`."""
    message = " ".join(str(error).split())
    if wrong := misread(url):
        return wrong  # the driver took a part of the password for something else, and names it
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        return _without_secrets(message)
    known = {parsed.username, parsed.database, parsed.host}
    for secret in (parsed.password, parsed.query.get("password")):
        if isinstance(secret, str) and secret and secret not in known:
            for form in (secret, quote(secret, safe=""), quote_plus(secret)):
                message = message.replace(form, "***")
    return _without_secrets(message)

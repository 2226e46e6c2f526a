"""A store's reports over HTTP, to be read on this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from jinja2 import Environment

from adapters.store.layout import Store
from transforms.vocabulary import PlanError, SynclineError

LOOPBACK: Final = "127.0.0.1"
LISTED: Final = 200  # the latest runs
TYPES: Final = {
    ".html": "text/html; charset=utf-8", ".json": "application/json", ".css": "text/css", ".js": "text/javascript",
    ".svg": "image/svg+xml", ".png": "image/png", ".ico": "image/x-icon", ".woff2": "font/woff2",
}  # fmt: skip
"""What is served, by the ends of names: what evidence and Great Expectations' pages are made of."""
COLUMNS: Final = ("run_id", "kind", "at", "author", "status", "version", "message")

_INDEX: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{{ migration }}</title>
<style>body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}
td,th{text-align:left;padding:.35rem .9rem .35rem 0;border-bottom:1px solid #ddd;vertical-align:top}
table{border-collapse:collapse;width:100%}</style>
<h1>{{ migration }}</h1>
{% if runs %}<table><tr><th>run<th>kind<th>when<th>by<th>end<th>version<th></tr>
{% for run in runs %}<tr><td><a href="/{{ run.run_id | urlencode }}/report.html">{{ run.run_id }}</a><td>{{ run.kind }}<td>{{ run.at }}
<td>{{ run.author }}<td>{{ run.status }}<td>{{ run.version if run.version is not none else "" }}<td>{{ run.message }}</tr>
{% endfor %}</table>{% else %}<p>No run has left a report yet.{% endif %}"""


def link(reports: str, run_id: str) -> str:
    """Where the report of a run is, in a browser that reaches what serves the store."""
    return f"{reports.rstrip('/')}/{quote(run_id)}/report.html"


def server(store: Store, migration: str, port: int) -> ThreadingHTTPServer:
    """What answers on the loopback address once `serve_forever` is called; port 0 takes a free one.

    Errors: SynclineError where the port is taken.
    """

    class Handler(_Handler):
        of = (store, migration)

    try:
        return ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        raise SynclineError(
            f"Port {port} cannot be listened on: {error.strerror}.", fix="name another with --port."
        ) from error


def listed(store: Store, migration: str) -> Iterator[dict[str, Any]]:
    """The latest runs that left evidence, newest first. One that cannot be read is left out."""
    for run_id in islice(store.evidence_runs(migration), LISTED):
        try:
            told = store.evidence(migration, run_id)
        except PlanError:
            continue
        if told is not None:
            yield {name: told.get(name) for name in COLUMNS}


class _Handler(BaseHTTPRequestHandler):
    """GET of the list of runs, and of files of their evidence. Nothing can be changed, and nothing else of the store be seen."""

    of: tuple[Store, str]
    server_version = "Syncline"
    sys_version = ""

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").rpartition(":")[0] or self.headers.get("Host") or ""
        if host not in (LOOPBACK, "localhost"):  # a page elsewhere, whose name leads here
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        found = self._index() if not parts else self._file(parts)
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        kind, body = found
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def _index(self) -> tuple[str, bytes]:
        store, migration = self.of
        page = Environment(autoescape=True).from_string(_INDEX)
        return TYPES[".html"], page.render(migration=migration, runs=list(listed(store, migration))).encode()

    def _file(self, parts: list[str]) -> tuple[str, bytes] | None:
        """A file of the evidence of one of the migration's runs."""
        store, migration = self.of
        run_id, *rest = parts
        try:
            if store.evidence(migration, run_id) is None:
                return None
            folder = (store.root / "evidence" / run_id).resolve()
            file = (folder / Path(*(rest or ["report.html"]))).resolve()
            kind = TYPES.get(file.suffix)
            if kind is None or not file.is_relative_to(folder) or not file.is_file():
                return None
            return kind, file.read_bytes()
        except (PlanError, OSError, ValueError):  # what no file can be called
            return None

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the address of each request is nobody's concern."""

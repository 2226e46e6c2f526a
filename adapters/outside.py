"""What is neither a database nor a file of ours: programs of this machine, and addresses on the web."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any, Final

from adapters import interrupts
from transforms.vocabulary import SynclineError

LOOKS_SECONDS: Final = 0.05  # how often somebody who waits for a program looks whether it has ended, or a signal came
SAID_BYTES: Final = 2_000  # of what a program or a server says, from its end


class Unanswered(SynclineError):
    """A program or an address did not do what it was asked for. `status`: of the program as it exited, or of the answer; None for none."""

    code = "unanswered"
    status: int | None = None

    @classmethod
    def by(cls, what: str, status: int | None = None) -> Unanswered:
        made = cls(what)
        made.status = status
        return made


def call(command: Sequence[str], given: bytes, folder: Path, seconds: float, *, shell: bool = False) -> None:
    """Run a program in a folder, with `given` on its standard input, and wait for its end.

    What it says is kept apart from what we say. It goes with all that it started where its time is over, or where a signal comes.
    Errors: Unanswered with its exit status and the last that it said.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as asked:
        asked.write(given)
        asked.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - the spec's author says what is run
                command[0] if shell else list(command),
                stdin=asked, stdout=said, stderr=said, cwd=folder, shell=shell, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise Unanswered.by(f"cannot be started: {why}") from error
        over = time.monotonic() + seconds
        try:
            while process.poll() is None:
                interrupts.check()
                if time.monotonic() >= over:
                    raise Unanswered.by(f"took longer than {seconds:g} s and was stopped{_last(said)}")
                time.sleep(LOOKS_SECONDS)
        finally:
            _end(process)
        if status := process.returncode:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with exit status {status}"
            raise Unanswered.by(f"{how}{_last(said)}", status)


def _end(process: subprocess.Popen[Any]) -> None:
    """Kill a program that still runs, and what it started."""
    if process.poll() is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last(said: IO[bytes]) -> str:
    """What a program said last, behind a colon."""
    said.seek(0, os.SEEK_END)
    said.seek(max(0, said.tell() - SAID_BYTES))
    return _behind(said.read())


def _behind(answer: bytes) -> str:
    text = " ".join(answer.decode(errors="replace").split())
    return f": {text}" if text else ""


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: what is sent is for the address alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def post(address: str, body: bytes, seconds: float) -> None:
    """Send JSON to an address. Errors: Unanswered, which does not name it, for everything but an answer of 2xx."""
    request = urllib.request.Request(  # noqa: S310 - http and https alone, as the spec is checked
        address, body, {"Content-Type": "application/json", "User-Agent": "syncline"}, method="POST"
    )
    try:
        with urllib.request.build_opener(_Stay()).open(request, timeout=seconds) as answer:
            answer.read(SAID_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            said = _behind(error.read(SAID_BYTES))
        moved = ", which leads elsewhere, and is not followed" if error.code in range(300, 400) else ""
        raise Unanswered.by(f"was answered with {error.code} {error.reason}{moved}{said}", error.code) from None
    except TimeoutError:
        raise Unanswered.by(f"was not answered within {seconds:g} s") from None
    except urllib.error.URLError as error:
        late = isinstance(error.reason, TimeoutError)
        why = f"was not answered within {seconds:g} s" if late else f"cannot be reached: {error.reason}"
        raise Unanswered.by(why) from None
    except (OSError, HTTPException, ValueError) as error:
        raise Unanswered.by(f"cannot be reached: {error}") from None

"""Debian packages through the system's apt, for i386, without root and without a change to the system.

Package lists, cache and status are private to a directory that is thrown away; the sources, keys and proxies
are the system's. Signatures are checked by apt as ever.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from labkit.guests.errors import GuestError

__all__ = ["Apt", "Offer", "Progress"]

Progress = Callable[[str, int, int], None]
"""Called with what is going on, and how many bytes of how many are done (total 0: not known)."""

# No hook of the system (a desktop's package index, a container's clean-up) is to run for a private update.
_CLEAR_HOOKS = """#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""

_URI_LINE = re.compile(r"'[^']*' (\S+) (\d+) ?(\S*)")


@dataclass(frozen=True, slots=True)
class Offer:
    """A package that the sources offer; size in bytes."""

    package: str
    version: str
    file: str
    size: int


class Apt:
    """apt-get and apt-cache on private package lists below `directory`."""

    def __init__(self, directory: Path) -> None:
        if not shutil.which("apt-get") or not shutil.which("apt-cache"):
            raise GuestError("there is no apt-get on this system to fetch packages with")
        self._files = directory / "files"
        for name in ("lists/partial", "cache/archives/partial", "files"):
            (directory / name).mkdir(parents=True)
        (directory / "status").touch()
        (directory / "hooks.conf").write_text(_CLEAR_HOOKS, "ascii")
        settings = {
            "Dir::State::Lists": directory / "lists",
            "Dir::State::status": directory / "status",
            "Dir::Cache": directory / "cache",
            "APT::Architecture": "i386",
            "APT::Architectures": "i386",
            "APT::Sandbox::User": "",  # root's apt would else download as a user who may not write here
            "Acquire::Languages": "none",
            "Acquire::Retries": "1",
            "Acquire::http::Timeout": "20",
            "Acquire::https::Timeout": "20",
        }
        self._options = ["-q", "-c", str(directory / "hooks.conf")]
        for key, value in settings.items():
            self._options += ["-o", f"{key}={value}"]
        self._lists = directory / "lists"

    def update(self, progress: Progress) -> None:
        """Read the sources' package lists. A source that fails is left out; none at all is a GuestError."""
        _, log = self._with_progress(["update"], lambda _: progress("package lists", 0, 0))
        if not any(self._lists.glob("*_Packages*")):
            raise GuestError(f"no package list can be read ({_reason(log) or 'no source for i386'})")

    def names(self, prefix: str) -> list[str]:
        """All package names that start with `prefix`."""
        return self._query("apt-cache", "pkgnames", prefix).split()

    def depends(self, package: str) -> list[str]:
        """What a package depends on, in its order; empty if it is not offered."""
        return re.findall(r"^ *Depends: (\S+)$", self._query("apt-cache", "depends", package), re.MULTILINE)

    def offer(self, package: str) -> Offer | None:
        """The version of a package that apt would choose, None if the sources do not have it."""
        match = _URI_LINE.search(self._query("apt-get", "download", "--print-uris", package))
        if not match:
            return None
        file, size = match[1], int(match[2])
        version = unquote(file.split("_")[1]) if file.count("_") >= 2 else ""
        return Offer(package, version, file, size)

    def download(self, offer: Offer, progress: Progress) -> bytes:
        """The package file, its checksum verified by apt. Raises GuestError when it cannot be had."""

        def report(percent: float) -> None:
            progress(offer.package, min(int(offer.size * percent / 100), offer.size), offer.size)

        report(0)
        code, log = self._with_progress(["download", offer.package], report)
        path = self._files / offer.file
        if code or not path.is_file():
            raise GuestError(
                f"package {offer.package} cannot be downloaded ({_reason(log) or f'apt: {code}'})"
            )
        report(100)
        return path.read_bytes()

    def _query(self, program: str, *arguments: str) -> str:
        command = [program, *self._options, *arguments]
        return subprocess.run(
            command, cwd=self._files, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace", check=False,
        ).stdout  # fmt: skip

    # apt writes lines to the status descriptor:  dlstatus:<file number>:<percent of all>:<text>
    def _with_progress(self, arguments: list[str], report: Callable[[float], None]) -> tuple[int, str]:
        """Run apt-get; its exit code and its messages."""
        status, writer = os.pipe()
        command = ["apt-get", *self._options, "-o", f"APT::Status-Fd={writer}", *arguments]
        log = self._files.parent / "log"
        with log.open("wb") as messages, os.fdopen(status, "rb") as lines:
            try:
                process = subprocess.Popen(
                    command, cwd=self._files, env=_environment(), stdin=subprocess.DEVNULL, stdout=messages,
                    stderr=subprocess.STDOUT, pass_fds=(writer,),
                )  # fmt: skip
            finally:
                os.close(writer)
            with process:
                try:
                    for line in lines:
                        if match := re.match(rb"dlstatus:\d+:([\d.]+):", line):
                            report(float(match[1]))
                except BaseException:
                    process.terminate()
                    raise
        return process.returncode, log.read_text("utf-8", "replace")


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}


def _reason(log: str) -> str:
    """The first thing that apt says went wrong."""
    match = re.search(r"^(?:E|W|Err:\d+): *(.*)$", log, re.MULTILINE)
    return match[1][:200] if match else ""

import bz2
import contextlib
import gzip
import io
import lzma
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from labkit.guests import deb
from labkit.guests.errors import GuestError

PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard.compress,
}
WANTED = {"kernel": re.compile(r"boot/vmlinuz-.*"), "shell": re.compile(r"bin/sh")}
FILES = {"./boot/vmlinuz-6.1": b"kernel" * 99, "./bin/sh": b"shell", "./etc/x": b"y"}


def tar(files, links=()):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, target in links:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def ar(*members):
    data = b"!<arch>\n"
    for name, body in members:
        data += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode()
            + body
            + b"\n" * (len(body) % 2)
        )
    return data


def package(files, suffix=".xz", links=()):
    return ar(
        ("debian-binary", b"2.0\n"),
        ("control.tar", b"odd"),
        ("data.tar" + suffix, PACK[suffix](tar(files, links))),
    )


@pytest.mark.parametrize("suffix", PACK)
def test_files_come_out(suffix):
    assert deb.extract(package(FILES, suffix), WANTED) == {"kernel": b"kernel" * 99, "shell": b"shell"}


def test_a_link_is_no_file():
    with pytest.raises(GuestError, match="no file like bin/sh"):
        deb.extract(package({"./boot/vmlinuz-6.1": b"k"}, links=[("./bin/sh", "/etc/passwd")]), WANTED)


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb, the other maker of packages, is not here")
def test_what_dpkg_builds_is_read(tmp_path):
    (tmp_path / "p/DEBIAN").mkdir(parents=True)
    (tmp_path / "p/DEBIAN/control").write_text(
        "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: n <n@n>\nDescription: d\n"
    )
    for name, data in FILES.items():
        (tmp_path / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "p" / name).write_bytes(data)
    subprocess.run(["dpkg-deb", "-b", "p", "p.deb"], cwd=tmp_path, check=True, capture_output=True)
    assert deb.extract((tmp_path / "p.deb").read_bytes(), WANTED)["kernel"] == b"kernel" * 99


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no ar archive"),
        (ar(("debian-binary", b"2.0\n")), "no data.tar"),
        (ar(("data.tar.rar", b"x")), "compressed in a way"),
        (ar(("data.tar.xz", b"x")), "data.tar.xz of the package is damaged"),
        (package(FILES)[:-20], "cut off"),
        (b"!<arch>\n" + b"x" * 60, "damaged at offset 0x8"),
        (package({}), "no file like boot/vmlinuz"),
    ],
)
def test_each_fault_is_named(data, words):
    with pytest.raises(GuestError, match=words):
        deb.extract(data[: len(data)], WANTED)


@given(damage=st.data(), suffix=st.sampled_from(list(PACK)))
def test_damage_gives_files_or_a_guest_error(make, damage, suffix):
    hurt = damage.draw(make.damages)(package(FILES, suffix), 256)
    with contextlib.suppress(GuestError):
        assert set(deb.extract(hurt, WANTED)) == set(WANTED)

"""Fetching, with an apt made here: what it offers is in a folder, and what goes wrong is up to the test."""

import io
import json
import sys
import tarfile
from typing import Any

import pytest

from labkit.guests import GuestError, catalog
from labkit.guests.fetch import fetch, fetched

FAKE_APT = """#!{python} -I
import json, os, re, shutil, sys
here = {folder!r}
arguments, options = sys.argv[1:], {{}}
words = []
while arguments:
    word = arguments.pop(0)
    if word == "-o":
        key, _, value = arguments.pop(0).partition("=")
        options[key] = value
    elif word == "-c":
        options["conf"] = arguments.pop(0)
    elif word != "-q":
        words.append(word)
with open(here + "/calls", "a") as log:
    log.write(json.dumps([os.path.basename(sys.argv[0]), words, options]) + "\\n")
world = json.load(open(here + "/world"))
def status(percent):
    if fd := options.get("APT::Status-Fd"):
        os.write(int(fd), f"dlstatus:1:{{percent}}:Retrieving file\\nnoise\\n".encode())
if words[0] == "update":
    status(50)
    if world["online"]:
        open(options["Dir::State::Lists"] + "/source_Packages", "w").close()
    else:
        print("Err:1 source\\n  Temporary failure resolving\\nW: Failed to fetch source  Temporary failure")
elif words[0] == "pkgnames":
    print(*[name for name in world["packages"] if name.startswith(words[1])], sep="\\n")
elif words[0] == "depends":
    print(words[1], *["  Depends: " + name for name in world["depends"].get(words[1], [])], sep="\\n")
elif words[:2] == ["download", "--print-uris"]:
    if words[2] not in world["packages"]:
        sys.exit("E: Unable to locate package")
    file = world["packages"][words[2]]
    print(f"'scheme://host/pool/{{file}}' {{file}} {{os.path.getsize(here + '/' + file)}} SHA256:00")
elif words[0] == "download":
    status(10)
    status(60)
    if words[1] in world["broken"]:
        sys.exit("E: Failed to fetch it  404  Not Found")
    shutil.copy(here + "/" + world["packages"][words[1]], ".")
"""


def package(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo("./" + name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    body = stream.getvalue()
    return (
        b"!<arch>\n"
        + f"{'data.tar.xz':<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(body):<10}`\n".encode()
        + body
    )


class World:
    """A system with an apt of ours."""

    def __init__(self, folder):
        self.folder = folder
        self.state: dict[str, Any] = {"online": True, "packages": {}, "depends": {}, "broken": []}
        (folder / "bin").mkdir()
        for name in ("apt-get", "apt-cache"):
            path = folder / "bin" / name
            path.write_text(FAKE_APT.format(python=sys.executable, folder=str(folder)))
            path.chmod(0o755)
        self.offer("linux-image-6.1.0-9-686", "6.1.9-1", {"boot/vmlinuz-6.1.0-9-686": b"kernel 9"})
        self.offer("busybox-static", "1:1.35-4", {"bin/busybox": b"box"})
        self.offer(
            "memtest86+", "6.10-4", {"boot/memtest86+ia32.bin": b"memtest", "boot/memtest86+x64.bin": b"64"}
        )

    def offer(self, name, version, files):
        file = f"{name}_{version.replace(':', '%3a')}_i386.deb"
        (self.folder / file).write_bytes(package(files))
        self.state["packages"][name] = file
        self.save()

    def save(self, **changes):
        self.state.update(changes)
        (self.folder / "world").write_text(json.dumps(self.state))

    def calls(self):
        return [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]


@pytest.fixture
def world(tmp_path, monkeypatch, own_cache):
    (tmp_path / "world").mkdir()
    made = World(tmp_path / "world")
    monkeypatch.setenv("PATH", str(made.folder / "bin"))
    return made


def test_linux_is_fetched_recorded_and_found_again(world, own_cache):
    seen = []
    found = fetch("linux", lambda *step: seen.append(step))
    assert {name: path.read_bytes() for name, path in found.files.items()} == {
        "vmlinuz": b"kernel 9",
        "busybox": b"box",
    }
    assert [(p.name, p.version) for p in found.packages] == [
        ("linux-image-6.1.0-9-686", "6.1.9-1"),
        ("busybox-static", "1:1.35-4"),
    ]
    manifest = json.loads((own_cache / "linux/manifest.json").read_text())
    assert set(manifest["files"]) == {"vmlinuz", "busybox"}
    before = len(world.calls())
    assert fetched("linux") == fetch("linux") == found
    assert len(world.calls()) == before
    assert [path.name for path in own_cache.iterdir()] == ["linux"]
    assert seen[0] == ("package lists", 0, 0)
    assert ("busybox-static", 0, seen[-1][2]) in seen
    assert seen[-1] == ("busybox-static", seen[-1][2], seen[-1][2])
    assert all(0 <= done <= total for _, done, total in seen)


def with_drivers(world):
    folder = "lib/modules/6.1.0-9-686/kernel/drivers/net/ethernet/8390"
    world.offer("linux-image-6.1.0-9-686", "6.1.9-1", {
        "boot/vmlinuz-6.1.0-9-686": b"kernel 9", f"{folder}/8390p.ko": b"chip", f"{folder}/ne.ko": b"card",
        f"{folder}/ne2k-pci.ko": b"another", "lib/modules/6.1.0-9-686/kernel/ne.ko": b"elsewhere",
    })  # fmt: skip


def test_the_network_cards_drivers_come_with_their_kernel(world):
    with_drivers(world)
    found = fetch("linux-net")
    assert {name: path.read_bytes() for name, path in found.files.items()} == {
        "vmlinuz": b"kernel 9", "8390p.ko": b"chip", "ne.ko": b"card", "busybox": b"box",
    }  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [("linux", "linux-net"), ("linux-net", "linux")])
def test_two_guests_of_one_kernel_download_it_once(world, first, second):
    with_drivers(world)
    fetch(first)
    before = len(world.calls())
    found = fetch(second)
    assert len(world.calls()) == before
    assert found.packages == fetched(first).packages
    assert sum(words[:1] == ["download"] and len(words) == 2 for _, words, _ in world.calls()) == 2


def test_a_kernel_without_the_drivers_is_a_guest_all_the_same(world, own_cache):
    fetch("linux")
    assert fetched("linux-net") is None
    assert [path.name for path in own_cache.iterdir()] == ["linux"]
    with pytest.raises(GuestError, match="no file like"):
        fetch("linux-net")


def test_what_is_there_already_stays_as_it_is(world):
    with_drivers(world)
    fetch("linux-net")
    fetched("linux").files["vmlinuz"].write_bytes(b"damaged")
    world.offer("linux-image-6.1.0-10-686", "6.1.10-1", {"boot/vmlinuz-6.1.0-10-686": b"kernel 10"})
    assert fetch("linux").packages[0].version == "6.1.10-1"
    assert fetched("linux-net").packages[0].version == "6.1.9-1"


def test_nothing_of_the_system_is_touched(world, own_cache):
    fetch("memtest86+")
    for _, _, options in world.calls():
        assert options["APT::Architecture"] == options["APT::Architectures"] == "i386"
        for key in ("Dir::State::Lists", "Dir::State::status", "Dir::Cache", "conf"):
            assert options[key].startswith(str(own_cache / ".apt."))


@pytest.mark.parametrize(
    ("offers", "depends", "wanted"),
    [
        (["6.1.0-10-686", "6.1.0-10-686-unsigned"], [], "6.1.0-10-686"),
        (["6.1.0-10-686-unsigned", "6.1.0-10-686-dbg"], [], "6.1.0-10-686-unsigned"),
        (["6.1.0-10-686-pae", "6.1.0-10-rt-686-pae"], [], "6.1.0-9-686"),
        (["6.12.0-1-686"], [], "6.1.0-9-686"),
        (["6.1.0-10-686", "6.1.0-11-686"], ["6.1.0-10-686"], "6.1.0-10-686"),
    ],
)
def test_which_kernel(world, offers, depends, wanted):
    for name in offers:
        world.offer(f"linux-image-{name}", "1", {f"boot/vmlinuz-{name}": b"kernel"})
    world.save(depends={"linux-image-686": [f"linux-image-{name}" for name in depends]})
    assert fetch("linux").packages[0].name == f"linux-image-{wanted}"


def test_a_package_that_cannot_be_downloaded_is_not_the_end_if_there_is_another(world):
    world.offer("linux-image-6.1.0-10-686", "1", {"boot/vmlinuz-6.1.0-10-686": b"kernel"})
    world.save(broken=["linux-image-6.1.0-10-686"])
    assert fetch("linux").packages[0].name == "linux-image-6.1.0-9-686"


def test_no_apt(world, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        GuestError, match=r"no apt-get on this system.*\nGive files instead: --kernel FILE --initrd FILE"
    ):
        fetch("linux")


def test_offline(world, own_cache):
    world.save(online=False)
    with pytest.raises(GuestError, match=r"no package list can be read \(.*\).\nGive files instead"):
        fetch("linux")
    assert not list(own_cache.iterdir())


def test_the_package_is_gone(world):
    world.save(packages={})
    with pytest.raises(GuestError, match=r"package sources have no linux-image-.*-686 for i386"):
        fetch("linux")
    with pytest.raises(GuestError, match=r"no memtest86\+ for i386.\nGive files instead: --kernel FILE$"):
        fetch("memtest86+")


def test_a_download_that_fails(world, own_cache):
    world.save(broken=["busybox-static"])
    with pytest.raises(GuestError, match=r"busybox-static cannot be downloaded .*404"):
        fetch("linux")
    assert fetched("linux") is None
    assert not list(own_cache.iterdir())


def test_a_package_without_the_file(world):
    world.offer("busybox-static", "2", {"bin/other": b""})
    with pytest.raises(GuestError, match="holds no file like"):
        fetch("linux")


def test_a_cache_that_cannot_be_written(world, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(GuestError, match="cannot be kept in"):
        fetch("linux")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "vmlinuz").write_bytes(b"other"),
        lambda folder: (folder / "busybox").unlink(),
        lambda folder: (folder / "manifest.json").write_text("{"),
        lambda folder: (folder / "manifest.json").write_text('{"packages": [], "files": {"vmlinuz": 1}}'),
        lambda folder: (folder / "manifest.json").write_text('{"packages": [], "files": {}}'),
        lambda folder: (folder / "manifest.json").write_bytes(b"\xff" * 100_000),
    ],
)
def test_damage_in_the_cache_is_found_and_mended(world, own_cache, damage):
    fetch("linux")
    damage(own_cache / "linux")
    assert fetched("linux") is None
    with pytest.raises(GuestError, match="linux is not fetched yet; write: labkit fetch linux"):
        catalog.boot("linux")
    fetch("linux")
    assert fetched("linux") is not None


def test_again_looks_for_newer_packages(world):
    fetch("memtest86+")
    world.offer("memtest86+", "7.00-1", {"boot/memtest86+ia32.bin": b"newer"})
    assert fetch("memtest86+").packages[0].version == "6.10-4"
    assert fetch("memtest86+", again=True).files["memtest.bin"].read_bytes() == b"newer"


def test_a_callback_that_raises_leaves_nothing_behind(world, own_cache):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch("linux", stop)
    assert not list(own_cache.iterdir())


def test_an_unknown_name():
    with pytest.raises(GuestError, match=r"no guest 'minix' to fetch; there are: linux, linux-net, memtest86\+"):
        fetch("minix")
    assert fetched("../linux") is None

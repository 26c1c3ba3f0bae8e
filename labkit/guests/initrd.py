"""The initial RAM disk: a cpio archive (newc format) with busybox and an init that ends at a shell prompt."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["INIT", "NETWORK", "PROMPT", "Entry", "busybox_initrd", "newc"]

PROMPT = "/ # "
"""What the shell prints when it waits for a command."""

INIT = b"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
$b uname -srm
exec $b setsid $b cttyhack /bin/sh
"""
NETWORK = b"""$b insmod /net/8390p.ko
$b insmod /net/ne.ko io=0x300 irq=9
$b ifconfig lo 127.0.0.1 up
$b ifconfig eth0 10.0.2.15 up
"""
"""What INIT does before its shell where the network card's drivers are there."""

_DIRECTORY, _FILE, _LINK, _CHARACTER = 0o040000, 0o100000, 0o120000, 0o020000


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the archive: mode as in stat(2), contents, device numbers."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


# 110 bytes of header, all ASCII: magic "070701", then 13 fields of 8 hexadecimal digits:
#   ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
# then the name with its NUL, padded to 4 bytes, then the data, padded to 4 bytes.
def newc(entries: Iterable[Entry]) -> bytes:
    """The archive of `entries`, byte for byte the same every time: times 0, owner 0, inodes counted from 1.

    Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    archive = bytearray()
    for inode, entry in enumerate((*entries, Entry("TRAILER!!!", 0)), 1):
        name = entry.name.encode() + b"\0"
        fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, *entry.device, len(name), 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        archive += bytes(-len(archive) % 4)
        archive += entry.data
        archive += bytes(-len(archive) % 4)
    return bytes(archive + bytes(-len(archive) % 512))


def busybox_initrd(busybox: bytes, drivers: Mapping[str, bytes] | None = None) -> bytes:
    """The initrd that labkit boots Linux with: busybox (a static i386 executable), sh, and INIT as /init.

    `drivers` are those of the network card by file name; with them /init sets up the network.
    """
    script = INIT
    if drivers:
        script = INIT.replace(b"exec ", NETWORK + b"exec ")
    return newc(
        (
            *(Entry(name, _DIRECTORY | 0o755) for name in ("bin", "dev", "proc", "sys", "tmp")),
            *((Entry("net", _DIRECTORY | 0o755),) if drivers else ()),
            *(Entry(f"net/{name}", _FILE | 0o644, data) for name, data in (drivers or {}).items()),
            Entry("dev/console", _CHARACTER | 0o600, device=(5, 1)),
            Entry("bin/busybox", _FILE | 0o755, busybox),
            Entry("bin/sh", _LINK | 0o777, b"busybox"),
            Entry("init", _FILE | 0o755, script),
        )
    )

import stat

from hypothesis import given
from hypothesis import strategies as st

from labkit.guests import initrd
from labkit.guests.initrd import Entry


def read_newc(archive: bytes) -> list[Entry]:
    """A reader written from buffer-format.rst alone."""
    entries, at, inodes = [], 0, set()
    while True:
        assert archive[at : at + 6] == b"070701"
        assert at % 4 == 0
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        inode, mode, uid, gid, links, mtime, size, _, _, major, minor, name_size, check = fields
        assert (uid, gid, links, mtime, check) == (0, 0, 1, 0, 0)
        assert inode not in inodes
        inodes.add(inode)
        name = archive[at + 110 : at + 110 + name_size]
        assert name.endswith(b"\0")
        at = (at + 110 + name_size + 3) & ~3
        data = archive[at : at + size]
        assert len(data) == size
        at = (at + size + 3) & ~3
        if name == b"TRAILER!!!\0":
            assert not archive[at:].strip(b"\0")
            return entries
        entries.append(Entry(name[:-1].decode(), mode, data, (major, minor)))


names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=30)


@given(
    st.lists(
        st.builds(
            Entry,
            names.filter(lambda name: name != "TRAILER!!!"),
            st.integers(0, 0o177777),
            st.binary(max_size=50),
            st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
        )
    )
)
def test_what_went_in_comes_out(entries):
    archive = initrd.newc(entries)
    assert read_newc(archive) == entries
    assert len(archive) % 512 == 0


def test_our_initrd_is_the_same_every_time_and_has_what_the_kernel_needs():
    archive = initrd.busybox_initrd(b"\x7fELF busybox")
    assert archive == initrd.busybox_initrd(b"\x7fELF busybox")
    files = {entry.name: entry for entry in read_newc(archive)}
    assert files["bin/busybox"].data == b"\x7fELF busybox"
    assert stat.S_ISLNK(files["bin/sh"].mode)
    assert files["bin/sh"].data == b"busybox"
    assert stat.S_ISCHR(files["dev/console"].mode)
    assert files["dev/console"].device == (5, 1)
    assert files["init"].mode & 0o111 == 0o111
    assert files["init"].data.startswith(b"#!/bin/busybox sh\n")
    assert b"exec $b setsid $b cttyhack /bin/sh\n" in files["init"].data
    order = list(files)
    assert "net" not in order
    assert all(order.index(name.rpartition("/")[0]) < order.index(name) for name in order if "/" in name)


def test_with_the_cards_drivers_it_sets_up_the_network_before_the_shell():
    files = {entry.name: entry for entry in read_newc(initrd.busybox_initrd(b"box", {"ne.ko": b"card"}))}
    assert files["net/ne.ko"].data == b"card"
    script = files["init"].data
    assert script.count(b"exec ") == 1
    assert script.index(b"insmod /net/ne.ko io=0x300 irq=9") < script.index(b"ifconfig eth0") < script.index(b"exec ")

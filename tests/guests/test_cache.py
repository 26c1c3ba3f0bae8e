from pathlib import Path

import pytest

from labkit.guests import cache


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({"LABKIT_CACHE": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/labkit"),
        ({"XDG_CACHE_HOME": "", "HOME": "/h"}, "/h/.cache/labkit"),
        ({"LABKIT_CACHE": "", "HOME": "/h"}, "/h/.cache/labkit"),
        ({"LABKIT_CACHE": "~/mine", "HOME": "/h"}, "/h/mine"),
    ],
)
def test_where_the_cache_is(monkeypatch, environment, wanted):
    for name in ("LABKIT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache.directory() == Path(wanted)


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    cache.write(path, b"first")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("no room")))
    with pytest.raises(OSError, match="no room"):
        cache.write(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_an_unpacked_file_is_checked(own_cache):
    kept = cache.unpacked("abc")
    assert kept.read() is None
    kept.store(b"contents")
    assert cache.unpacked("abc").read() == b"contents"
    kept.path.write_bytes(b"damaged")
    assert kept.read() is None
    kept.path.with_suffix(".sha256").write_bytes(b"\xff\xfe")
    assert kept.read() is None

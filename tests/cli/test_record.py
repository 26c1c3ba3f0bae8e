"""`labkit record`, `replay` and `info` on our own kernel and on Linux."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "labkit"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def labkit(*arguments: str, code: int = 0) -> dict:
    ran = subprocess.run(
        [*COMMAND, *arguments, "--json"], env=ENVIRONMENT, check=False, capture_output=True, timeout=240
    )
    assert ran.returncode == code, ran.stderr.decode()[-2000:]
    return json.loads(ran.stdout) if ran.stdout else {"said": ran.stderr.decode()}


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("recordings") / "t.rec")
    made = labkit("record", "teaching", "-o", path, "--until-text", "$ ", "--input", r"help\n")
    assert made["clock"] == "live"
    return path


def test_what_was_recorded_is_verified_in_another_process(recording):
    found = labkit("replay", recording, "--verify")
    assert found["verified"]
    assert found["divergence"] is None
    held = labkit("info", recording)
    assert found["matched"]["entries"] == held["entries"]
    assert found["matched"]["ram_sha256"] == held["end"]["ram_sha256"]
    assert found["matched"]["registers_sha256"] == held["end"]["registers_sha256"]


def test_what_matched_is_said_to_people(recording):
    ran = subprocess.run(
        [*COMMAND, "replay", recording, "--verify"], env=ENVIRONMENT, check=True, capture_output=True, timeout=240
    )
    held = labkit("info", recording)
    (said,) = [line for line in ran.stderr.decode().splitlines() if "verified" in line]
    assert "1 given" in said
    assert f"RAM {held['end']['ram_sha256'][:16]} (sha256)" in ran.stderr.decode()
    part = [*COMMAND, "replay", recording, "--until", "200k"]
    silent = subprocess.run(part, env=ENVIRONMENT, check=True, capture_output=True, timeout=240)
    assert "verified" not in silent.stderr.decode()


def test_info_says_what_it_holds(recording):
    found = labkit("info", recording)
    assert found["header"]["guest"] == "teaching"
    assert found["entries"]["given"] == 1
    assert found["end"]["reason"] == "requested"


def test_a_part_and_then_live(recording):
    found = labkit("replay", recording, "--until", "200k", "--go-live", "--input", r"echo li''ve\n",
                   "--until-text", "li")  # fmt: skip
    assert found["instructions"] > 200_000


def test_what_is_no_recording(tmp_path):
    file = tmp_path / "no.rec"
    file.write_bytes(b"nothing of that kind")
    assert "no recording" in labkit("replay", str(file), code=2)["said"]
    assert "cannot be read" in labkit("info", str(tmp_path / "missing"), code=2)["said"]


def test_beyond_the_end(recording):
    assert "ends at" in labkit("replay", recording, "--until", "1e12", code=2)["said"]


@pytest.mark.skipif(os.name == "nt", reason="no signal 9 there")
@pytest.mark.parametrize("seed", range(100 if os.environ.get("LABKIT_FULL") == "1" else 3))
def test_a_recorder_that_is_killed_leaves_what_it_has_written(tmp_path, seed):
    path = tmp_path / "killed.rec"
    typed = "--input", r"primes 20000000 &\n", "--input-after", "$ "
    command = [*COMMAND, "record", "teaching", "-o", str(path), *typed]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not path.exists() or path.stat().st_size < 20_000:
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(random.Random(seed).uniform(0, 2))
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = labkit("replay", str(path))
    assert found["damage"]
    assert found["divergence"] is None
    assert found["instructions"] == found["recorded_instructions"] > 0
    labkit("replay", str(path), "--verify", code=1)


@pytest.mark.guest("linux")
@pytest.mark.slow
def test_a_linux_session(tmp_path):
    path = str(tmp_path / "linux.rec")
    typed = r"dd if=/dev/urandom of=/tmp/r bs=1k count=8; sleep 0.1; md5sum /tmp/r; date; poweroff -f\n"
    made = labkit("record", "linux", "-o", path, "--input", typed)
    assert made["reason"] == "halted"
    assert made["log_bytes_per_1000_instructions"] < 2
    assert labkit("replay", path, "--verify")["verified"]


@pytest.mark.guest("linux-net")
@pytest.mark.slow
def test_a_linux_session_with_network_and_files(tmp_path):
    path, out = str(tmp_path / "net.rec"), str(tmp_path / "net.parquet")
    typed = r"ping -c 2 10.0.2.2; cp /bin/busybox /tmp/b; md5sum /tmp/b; date; echo over$((1+1))\n"
    made = labkit("record", "linux-net", "-o", path, "--input", typed, "--until-text", "over2")
    assert "2 packets received, 0% packet loss" in made["console"]
    assert made["log_bytes_per_1000_instructions"] < 2
    packets = labkit("info", path)["entries"]["given"] - 1
    assert packets >= 3, "an ARP reply and two echoes"
    found = labkit("replay", path, "--verify")
    assert found["verified"]
    assert found["divergence"] is None
    traced = labkit("trace", path, "--what", "events", "--window", f"{made['instructions'] - 2_000_000}:1G", "-o", out)
    assert traced["rows"]["events"]

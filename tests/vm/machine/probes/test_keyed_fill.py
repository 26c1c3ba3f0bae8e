"""Unmodified guests with user and supervisor told apart by keys end in the same state as without."""

import pytest

from labkit import guests
from labkit.vm.machine import Machine
from labkit.vm.machine.keyed_paging import check_keys, keyed_paging
from labkit.vm.monitor import Monitor


def run(guest: str, mmu: str, until: bytes | None = None, instructions: int | None = None, keys: bool = True):
    machine = Machine(32 << 20 if guest != "linux" else 128 << 20, mmu=mmu)
    if not keys:
        check_keys(machine.processor, False)
    monitor = Monitor(machine)
    machine.load(guests.boot(guest, memory=machine.memory.size))
    seen = bytearray()

    def listen(data: bytes) -> None:
        seen.extend(data)
        if until is not None and until in seen:
            monitor.request_stop("the prompt")

    machine.board.serial.on_output.append(listen)
    stop = monitor.run(instructions)
    return machine, stop, bytes(seen)


@pytest.mark.parametrize("guest", ["paging32", "pae", "exceptions"])
def test_rights_and_faults_of_every_kind(guest):
    plain, _, expected = run(guest, "labkit", instructions=30_000_000)
    keyed, _, found = run(guest, "keyed paging", instructions=30_000_000)
    assert b"PASS" in expected
    assert found == expected
    assert keyed.ram_sha256() == plain.ram_sha256()
    assert keyed.registers_sha256() == plain.registers_sha256()
    told = keyed_paging(keyed.processor)
    assert told.stale == 0
    assert told.forbidden > 0


def test_without_the_check_of_keys_the_translations_permit_too_much():
    _, _, found = run("paging32", "keyed paging", instructions=30_000_000, keys=False)
    assert b"FAIL" in found


def test_another_machine_has_no_such_unit():
    machine = Machine(1 << 20)
    with pytest.raises(ValueError, match="keyed paging"):
        keyed_paging(machine.processor)
    with pytest.raises(ValueError, match="give one of"):
        Machine(1 << 20, mmu="another")


def test_a_kernel_with_programs():
    plain, stop, _ = run("teaching", "labkit", until=b"$ ")
    keyed, keyed_stop, _ = run("teaching", "keyed paging", until=b"$ ")
    assert keyed_stop.point == stop.point
    assert keyed.ram_sha256() == plain.ram_sha256()
    assert keyed.registers_sha256() == plain.registers_sha256()


@pytest.mark.guest("linux")
@pytest.mark.slow
def test_linux_reaches_its_shell_with_the_same_hashes():
    plain, stop, _ = run("linux", "labkit", until=b"/ # ")
    keyed, keyed_stop, _ = run("linux", "keyed paging", until=b"/ # ")
    assert keyed_stop.point == stop.point
    assert keyed.ram_sha256() == plain.ram_sha256()
    assert keyed.registers_sha256() == plain.registers_sha256()
    told = keyed_paging(keyed.processor)
    assert told.stale == 0
    assert told.level_changes > 100
    assert told.register_writes == 3 * told.level_changes

"""What a privilege change costs when access rights are virtualized: by keys, by purging, by an entry per level.

sweep      the guest `rings` on the processor, its rate of level changes set; the hardware's TLB refills counted
keys       the same with more and more keys in the guest's data
verdicts   every combination, and random programs, held against the architecture's rules
guest code random scripts on the processor, by shadow keys and on the real unit: each access as the rules foretell
pressure   four and sixty-four times more keys than the hardware has registers
linux      a boot to the shell by keyed paging and by paging: the same end, the same memory and registers
"""

from collections.abc import Sequence
from itertools import product

from labkit import guests
from labkit.bench.figure import Figure, Progress
from labkit.bench.steps import Steps
from labkit.guests.fetch import fetched
from labkit.vm.keys import KeyVirtualizer, NoVirtualization, Retranslation
from labkit.vm.keys.comparison import compare
from labkit.vm.keys.costs import Cost, key_costs, rate_costs
from labkit.vm.keys.programs import Program, run
from labkit.vm.keys.reference import Reference
from labkit.vm.keys.scripts import write
from labkit.vm.keys.unit import VirtualUnit
from labkit.vm.machine import Machine
from labkit.vm.machine.access_rights import LEVELS, RIGHTS, Access
from labkit.vm.machine.keyed_paging import keyed_paging
from labkit.vm.machine.protection_keys import KeyRegister
from labkit.vm.machine.tlb import Entry, Fault
from labkit.vm.monitor import Monitor, Stop

__all__ = ["KEYS", "RATES", "exhaustive", "guest_code", "measure", "plan", "same_end", "sweep"]

RATES = (100, 300, 1_000, 3_000, 10_000)
"""Level changes per million instructions that are asked for; what comes about is measured."""
KEYS = (4, 16, 64, 256)
FILES = (16, 32, 64, 128)
"""Key registers of the hardware, for 64 keys of the guest."""
SCRIPT = 25_000
"""Accesses in one script of guest code."""
SWEEP_SECONDS, KEYS_SECONDS, FILES_SECONDS = (0.3, 0.3, 0.5, 1.1, 3.1), (0.5, 3.5, 4.0, 7.4), (2.4, 2.1, 2.0, 0.1)
RANDOM_SECONDS, GUEST_SECONDS, BOOT_SECONDS = ((0.0, 11e-6), (0.0, 14e-6), (0.7, 51e-6)), 400e-6, 4.0
"""What the plan counts with: the random programs' own start, and then each access."""
GOAL_RATE, GOAL_RATIO = 10_000, 10
REGISTERS = 16
PC_MEMORY = 128 << 20
SWEEP = "guest rings on the processor, its system calls only; {:.0f} level changes per million instructions"
MANY = "the same with {} keys, a page each; {:.0f} level changes per million instructions"
ALL_CASES = "access right x page level x key state x guest level x access"


def measure(accesses: int, say: Progress) -> list[Figure]:
    """All figures; `accesses` in the random programs."""
    linux = fetched("linux") is not None
    if not linux:
        say("keys: linux is not fetched, so its boot by keys is left out: labkit fetch linux")
    say = Steps(plan(accesses, linux=linux), say)
    say("keys: every combination")
    cases, wrong = exhaustive()
    figures = [
        Figure("keys.cases", cases, "accesses", ALL_CASES),
        _none("keys.cases_wrong", wrong, "accesses", "of these, not the architecture's verdict"),
    ]
    for rate in RATES:
        say(f"keys: {rate} level changes per million instructions")
        figures += sweep(rate)
    for count in KEYS:
        say(f"keys: {count} keys of the guest")
        figures += _many(key_costs([count]))
    for registers in FILES:
        say(f"keys: {registers} key registers for 64 keys of the guest")
        cost = key_costs([64], registers=registers, ways=(KeyVirtualizer,))[0]
        method = f"{MANY.format(64, cost.changes)}; {registers} key registers of the hardware"
        name = f"keys.{registers}_registers.shadow_keys"
        figures += [
            Figure(f"{name}.hidden_misses", cost.key_misses, "per M", method),
            Figure(f"{name}.key_writes", cost.key_writes, "per change", method),
        ]
    figures += _random(accesses, say)
    figures += guest_code(accesses, say)
    return figures + same_end("linux", b"/ # ", say) if linux else figures


def plan(accesses: int, *, linux: bool) -> list[float]:
    """The processor's seconds that each step of `measure` took on one machine, in their order."""
    scripts, rest = divmod(accesses, SCRIPT)
    return [
        0.1, *SWEEP_SECONDS, *KEYS_SECONDS, *FILES_SECONDS,
        *(fixed + accesses * each for fixed, each in RANDOM_SECONDS),
        *[SCRIPT * GUEST_SECONDS] * scripts, *[rest * GUEST_SECONDS] * bool(rest), *[BOOT_SECONDS] * 2 * linux,
    ]  # fmt: skip


def same_end(guest: str, prompt: bytes, say: Progress) -> list[Figure]:
    """A guest up to its prompt by keyed paging and by paging: how many of clock, RAM and registers differ."""
    ends = []
    for mmu in ("labkit", "keyed paging"):
        say(f"keys: {guest} to its prompt, mmu {mmu!r}")
        machine = Machine(PC_MEMORY, mmu=mmu)
        machine.load(guests.boot(guest, memory=PC_MEMORY))
        stop = _until(machine, prompt)
        ends.append((stop.point, machine.ram_sha256(), machine.registers_sha256()))
        if mmu == "keyed paging":
            told = keyed_paging(machine.processor)
        machine.processor.close()
    method = f"{guest} to its prompt, keyed paging against paging; RAM {ends[1][1][:16]}"
    differ = sum(one != other for one, other in zip(*ends, strict=True))
    return [
        _none(f"keys.{guest}.differing", differ, "of 3", f"{method}: clock, SHA-256 of RAM and of registers"),
        _none(f"keys.{guest}.stale_keys", told.stale, "", method),
        Figure(f"keys.{guest}.level_changes_seen", told.level_changes, "", f"{method}; those that a TLB fill has met"),
    ]


def _until(machine: Machine, prompt: bytes) -> Stop:
    monitor, seen = Monitor(machine), bytearray()

    def listen(data: bytes) -> None:
        seen.extend(data)
        if prompt in seen[-len(prompt) - len(data) :]:
            monitor.request_stop("the prompt")

    machine.board.serial.on_output.append(listen)
    stop = monitor.run()
    if prompt not in seen:
        raise RuntimeError(f"the prompt {prompt!r} never came: {stop}")
    return stop


def _none(name: str, value: float, unit: str, method: str) -> Figure:
    return Figure(name, value, unit, method, goal=0, at_least=False)


def exhaustive() -> tuple[int, int]:
    """How many combinations there are, and on how many of them shadow keys differ from a `Reference`."""
    cases = wrong = 0
    for rights, page_level, key in product(RIGHTS, LEVELS, [None, *range(8)]):
        unit, reference = KeyVirtualizer(), Reference(REGISTERS)
        for one in (unit, reference):
            one.insert(Entry(1, 1, rights, page_level, key=7))
            if key is not None:
                one.set_register(3, KeyRegister(7, key))
        for level, access in product(LEVELS, Access):
            unit.set_level(level)
            reference.set_level(level)
            cases += 1
            wrong += unit.access(1, access) is not reference.access(1, access)
    return cases, wrong


def guest_code(accesses: int, say: Progress) -> list[Figure]:
    """Random scripts of guest code: what of notes, memory and clock is not foretold, or not as on the real unit."""
    done, wrong, seed, passed, misses = 0, 0, 0, 0, 0
    while done < accesses:
        seed += 1
        part, times = min(SCRIPT, accesses - done), (1, 4, 64)[seed % 3]
        say(f"keys: guest code, {done} of {accesses} accesses; {times} x as many keys as registers")
        registers = REGISTERS * times
        script = write(seed, part, keys=max(8, registers - 3), registers=registers, pages=128 if times == 1 else 256)
        virtual = KeyVirtualizer(REGISTERS, guest_registers=registers)
        units: tuple[VirtualUnit, ...] = (NoVirtualization(registers), virtual)
        compared = compare(script, *units)
        done, wrong = done + compared.accesses, wrong + len(compared.differences)
        passed, misses = passed + compared.verdicts[Fault.NONE], misses + virtual.counts.key_misses
    method = (
        f"{seed} random scripts of guest code on the processor; by shadow keys and on the real unit, each note, the "
        f"memory and the clock; {passed} accesses pass, the others fault"
    )
    return [
        Figure("keys.guest_code.accesses", done, "accesses", method),
        _none("keys.guest_code.wrong", wrong, "differences", method),
        Figure("keys.guest_code.hidden_misses", misses, "key misses", method),
    ]


def _named(costs: Sequence[Cost]) -> dict[str, Cost]:
    return {cost.way: cost for cost in costs}


def sweep(rate: int) -> list[Figure]:
    """Refills by each way at a rate of level changes, per million instructions."""
    costs = _named(rate_costs([rate]))
    figures: list[Figure] = []
    for way, cost in costs.items():
        key, method = f"keys.{rate}.{way.replace(' ', '_')}", SWEEP.format(cost.changes)
        figures.append(Figure(f"{key}.refills", cost.refills, "per M", method))
        if way == KeyVirtualizer.name:
            figures += [
                _none(f"{key}.purges", cost.purges, "", method),
                _none(f"{key}.rewritten", cost.rewritten, "entries", method),
                Figure(f"{key}.key_writes", cost.key_writes, "per change", method),
            ]
    purging, keyed = costs[Retranslation.name], costs[KeyVirtualizer.name]
    million = 1 / max(keyed.refills, 1e-9)
    ratio = purging.refills * million if keyed.refills else purging.refills
    goal = GOAL_RATIO if rate == GOAL_RATE else None
    how = "refills, purge / shadow keys (taken as 1 per M where there are none)"
    figures.append(Figure(f"keys.{rate}.fewer_refills", ratio, "x", how, goal=goal))
    return figures


def _many(costs: Sequence[Cost]) -> list[Figure]:
    return [
        Figure(
            f"keys.{cost.keys}_keys.{cost.way.replace(' ', '_')}.faults", cost.faults, "hidden per M",
            MANY.format(cost.keys, cost.changes),
        )
        for cost in costs
    ]  # fmt: skip


def _random(accesses: int, say: Progress) -> list[Figure]:
    figures = []
    for times in (1, 4, 64):
        keys = REGISTERS * times
        say(f"keys: random programs with {times} x as many keys as registers")
        unit = KeyVirtualizer(registers=REGISTERS, guest_registers=keys)
        program = Program(seed=times, pages=max(200, 4 * keys), keys=keys, accesses=accesses, loaded=True)
        outcome = run(unit, program)
        method = (
            f"random program of {accesses} accesses, {program.pages} pages, {keys} keys of the guest in its own {keys} "
            f"registers, {REGISTERS} of the hardware"
        )
        name = f"keys.random_{times}x"
        rate = 100 * unit.counts.key_misses / accesses
        figures += [
            _none(f"{name}.wrong", len(outcome.mismatches), "accesses", method),
            Figure(f"{name}.keys_used", len(outcome.keys), "keys", method),
            Figure(f"{name}.hidden_misses", rate, "%", method),
        ]
    return figures

"""The expansion designer: fields make parameters, estimates are about right, a run can be watched and cancelled."""

import asyncio
import json

import pytest

from labkit.vm.replay.expansion_estimate import take
from labkit.vm.replay.expansion_parameters import EVERYTHING, ExpansionParameters, Hits, TraceError
from labkit.vm.replay.trace_parts import GuestRecipe, RecordingRecipe
from labkit.widgets.replay import ExpansionDesigner
from labkit.widgets.replay.form import Form

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def samples(recorded):
    return take(RecordingRecipe(str(recorded)))


@pytest.fixture
def designer(recorded, samples) -> ExpansionDesigner:
    return ExpansionDesigner(recorded, samples)


def tell(widget: ExpansionDesigner, **command: object) -> None:
    widget._handle_custom_msg(command, [])


PARAMETERS = [
    EVERYTHING,
    ExpansionParameters(windows=((100, 20_000),), what=frozenset({"memory"}), privilege=frozenset({3})),
    ExpansionParameters(hits=(Hits(0xC0100000, 2, 50),), every=7, period=1000, length=10),
    ExpansionParameters(start_at=0xC0100000, stop_at=0xC0100040, code=((0xC0000000, 0xC0200000),)),
    ExpansionParameters(times=((20_000_000, 1_500_000_000),), code_physical=((0x100000, 0x110000),)),
    ExpansionParameters(what=frozenset({"bytes", "registers", "walks", "linear"})),
    ExpansionParameters(events=((3, 9),), data=((0, 4096),), spaces=frozenset({0x1000})),
]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_parameters_go_into_the_fields_and_come_out(parameters):
    form = Form()
    form.show(parameters)
    assert form.errors == {}
    assert form.parameters == parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [("end", "nothing"), ("events", "5"), ("period", "3"), ("period", "9/3"), ("stop_at", "c0100000"), ("hit", "zz#1"),
     ("code", "8:4"), ("every", "-2"), ("time", "soon"), ("time", "2:1"), ("code_physical", "x"), ("jobs", "0"),
      ("start", "9" * 4000), ("code", "0:" + "9" * 30)],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_field_and_changes_nothing(name, value):
    form = Form()
    form.set("end", "1000")
    before = form.parameters
    form.set(name, value)
    assert name in form.errors
    assert form.parameters == before
    form.set(name, "")
    assert form.errors == {}


def test_a_symbol_is_an_address(designer):
    designer.designer.form.set("start_at", "page_fault")
    address = designer.parameters.start_at
    assert address is not None
    assert address > 0xC0000000
    assert f"--start-at {address:#x}" in designer.designer.command


@pytest.mark.parametrize("form", ["parquet", "text", "champsim"])
def test_the_estimate_is_about_what_comes_out(designer, tmp_path, form):
    designer.show(ExpansionParameters(windows=((10_000, 60_000),), privilege=frozenset({0})), form)
    designer.designer.form.set("out", str(tmp_path / "run.trace"))
    estimate = designer.designer.estimate
    made = designer.run()
    assert estimate is not None
    assert made is not None, designer.designer.told()
    assert made.size == pytest.approx(estimate.size, rel=0.25)
    assert made.instructions == pytest.approx(estimate.instructions, rel=0.05)
    assert str(tmp_path) in designer.designer.told()


def test_the_cache_simulator_needs_references_and_has_no_command(designer):
    designer.show(ExpansionParameters(windows=((0, 30_000),)), "caches")
    assert designer.designer.command == ""
    made = designer.run()
    assert made is not None
    assert "L1D" in made.said
    assert "L1D" in str(designer)
    tell(designer, do="set", name="what", text="values")
    tell(designer, do="set", name="what", text="memory")
    assert "memory references" in designer.designer.form.errors["form"]


def test_workers_are_for_parquet_and_in_the_command(designer):
    form = designer.designer.form
    form.set("jobs", "2")
    assert "--jobs 2" in designer.designer.command
    form.set("scheduler", "tcp://10.0.0.1:8786")
    assert "--scheduler tcp://10.0.0.1:8786" in designer.designer.command
    form.set("form", "text")
    assert "Parquet" in form.errors["jobs"]
    form.set("form", "parquet")
    assert form.errors == {}


@pytest.mark.slow
def test_two_workers_write_what_one_does(designer, tmp_path):
    written = []
    for jobs in ("1", "2"):
        out = tmp_path / f"{jobs}.parquet"
        designer.designer.form.set("out", str(out))
        designer.designer.form.set("jobs", jobs)
        assert designer.run() is not None, designer.designer.told()
        written.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.parquet")})
    assert written[0] == written[1]


def test_by_messages_with_progress_and_cancel(designer, tmp_path):
    async def scene() -> None:
        tell(designer, do="set", name="out", text=str(tmp_path / "run.parquet"), seq=1)
        tell(designer, do="run", seq=2)
        if designer.designer.busy:  # a small job may be over already
            tell(designer, do="run")
            assert "cancel it first" in designer.view["message"] or not designer.designer.busy
            tell(designer, do="cancel")
        assert designer._task is not None
        await asyncio.wait_for(designer._task, 20)

    asyncio.run(scene())
    assert designer.view["told"].startswith("cancelled") or designer.designer.job.state == "done"
    assert not designer.view["running"]
    tell(designer, do="cancel")
    assert "nothing runs" in designer.view["message"]


def test_samples_are_taken_when_a_page_asks(recorded):
    async def scene() -> ExpansionDesigner:
        widget = ExpansionDesigner(recorded)
        assert widget.view["estimate"] is None
        tell(widget, do="sample")
        assert "taking samples" in widget.view["sampling"]
        assert widget._task is not None
        await asyncio.wait_for(widget._task, 30)
        return widget

    assert asyncio.run(scene()).view["estimate"]["rows"]


def test_a_small_place_between_samples_says_so_and_is_sampled_when_asked(recorded):
    few = take(RecordingRecipe(str(recorded)), places=2, size=2000)
    widget = ExpansionDesigner(recorded, few)
    widget.show(ExpansionParameters(windows=((100, 5000),)))
    assert "no sample lies there" in widget.view["estimate"]["note"]
    assert widget.view["coarse"]

    async def scene() -> None:
        tell(widget, do="sample")
        assert widget._task is not None
        await asyncio.wait_for(widget._task, 30)

    asyncio.run(scene())
    estimate = widget.designer.estimate
    assert estimate is not None
    assert estimate.seen == estimate.through == estimate.instructions == 4900
    assert not widget.view["coarse"]


@pytest.mark.parametrize(
    "message",
    ["rubbish", {"do": "set", "name": "no such"}, {"do": "fly"}, {"do": "set", "name": "ring", "text": "9"}],
)
def test_what_is_no_command_is_said(designer, message):
    designer._handle_custom_msg(message, [])
    assert designer.view["message"]
    json.dumps(designer.view)


def test_a_file_that_is_something_else_is_not_overwritten(designer, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    designer.designer.form.set("out", str(precious))
    assert designer.run() is None
    assert "not done" in designer.designer.told()
    assert precious.read_text() == "mine"


def test_the_static_faces_say_what_is_chosen(designer):
    designer.show(ExpansionParameters(privilege=frozenset({3}), every=10))
    data, _ = designer._repr_mimebundle_()
    assert "ring 3" in data["text/html"]
    assert "--every 10" in data["text/html"]
    assert "--every 10" in data["text/plain"]
    assert "<script" not in data["text/html"]


def test_without_pyarrow_the_estimate_says_what_is_missing(designer, monkeypatch):
    def gone(*_names):
        raise TraceError("trace files need pyarrow")

    monkeypatch.setattr("labkit.vm.replay.trace_file.arrow", gone)
    designer.refresh()
    assert designer.view["estimate"] is None
    assert "pyarrow" in designer.view["sampling"]
    assert "pyarrow" in str(designer)


def test_a_guest_can_be_designed_for_as_well():
    widget = ExpansionDesigner(GuestRecipe("teaching", memory=8 << 20, until=b"$ "))
    assert widget.designer.command.startswith("labkit trace teaching --memory 8388608 --until-text '$ '")

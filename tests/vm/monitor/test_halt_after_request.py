"""A guest that asks for something and then waits in HLT gets it, and the stop says so."""

import pytest

from labkit.vm.monitor import StopReason

HLT_FOR_EVER = "f4 ebfd"


@pytest.mark.parametrize("interrupts", ["fa", "fb"], ids=["off", "on"])
@pytest.mark.parametrize(
    "request_code",
    ["b0fe e664", "b003 e692", "bace0c0000 66baf90c b006 ee"],
    ids=["keyboard controller", "port 92h", "port CF9h"],
)
def test_a_reset_and_then_hlt_is_a_reset(bare, interrupts, request_code):
    stop = bare.run(bytes.fromhex(interrupts + request_code + HLT_FOR_EVER))
    assert stop.reason is StopReason.RESET


@pytest.mark.parametrize("interrupts", ["fa", "fb"], ids=["off", "on"])
def test_a_text_and_then_hlt_stops_there(bare, interrupts):
    bare.machine.board.serial.on_output.append(lambda _: bare.monitor.request_stop("text seen"))
    # mov dx, 3f8h; mov al, '$'; out dx, al; hlt: a prompt, and an idle wait with no timer running
    stop = bare.run(bytes.fromhex(interrupts + "66baf803 b024 ee" + HLT_FOR_EVER))
    assert (stop.reason, stop.message) == (StopReason.REQUESTED, "text seen")
    assert bare.machine.halted

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading, time
from labkit.vm.machine.machine import Machine
from labkit.vm.monitor.monitor import Monitor

machine = Machine(1 << 20)
machine.processor.write_physical(0x1000, bytes.fromhex("a1 00 20 00 00 40 eb f8"))  # mov eax, [2000h]; inc; jmp
registers = machine.processor.registers
registers.set_flat(8, 16)
registers.eip = 0x1000
threading.Thread(target=Monitor(machine).run, args=(1 << 50,), daemon=True).start()
time.sleep(float(sys.argv[1]))
"""


@pytest.mark.parametrize("seconds", ["0", "0.01", "0.2"])
def test_a_thread_that_still_runs_a_guest_does_not_crash_the_process_at_its_end(seconds):
    done = subprocess.run([sys.executable, "-c", PROGRAM, seconds], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr

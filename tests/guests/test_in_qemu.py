"""Boot images under another machine: a boot ROM made here puts one in place and QEMU runs it."""

import os
import re
import selectors
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

from labkit.guests import boot
from labkit.vm.machine.boot import BootImage, StartState

QEMU = shutil.which("qemu-system-i386")
pytestmark = [
    pytest.mark.skipif(
        QEMU is None, reason="qemu-system-i386 is not installed: no second opinion on boot images"
    ),
    pytest.mark.slow,
]
ROM = 0xF0000


# offset 00 (16-bit):  cli; lgdt cs:[A0]; mov eax,cr0; or al,1; mov cr0,eax; jmp far code:F0040
# offset 40 (32-bit):  mov ax,data; mov ds,es,fs,gs,ss from ax; mov eax,ebx,ecx,edx,esi,edi,ebp,esp; jmp eip
# offset A0: the GDT's limit and address     offset FFF0, the reset vector: jmp far F000:0
def boot_rom(start: StartState) -> bytes:
    """A 64 KB BIOS that does nothing but reach the start state."""
    rom = bytearray(0x10000)
    rom[:0x10] = bytes.fromhex("FA 2E660F0116A000 0F20C0 0C01 0F22C0")
    rom[0x10:0x18] = b"\x66\xea" + struct.pack("<IH", ROM + 0x40, start.code_selector)
    code = b"\x66\xb8" + struct.pack("<H", start.data_selector) + bytes.fromhex("8ED8 8EC0 8EE0 8EE8 8ED0")
    registers = (start.eax, start.ebx, start.ecx, start.edx, start.esi, start.edi, start.ebp, start.esp)
    for opcode, value in zip(b"\xb8\xbb\xb9\xba\xbe\xbf\xbd\xbc", registers, strict=True):
        code += bytes([opcode]) + struct.pack("<I", value)
    code += b"\xe9" + struct.pack("<I", (start.eip - (ROM + 0x40 + len(code) + 5)) & 0xFFFF_FFFF)
    rom[0x40 : 0x40 + len(code)] = code
    struct.pack_into("<HI", rom, 0xA0, start.gdt_limit, start.gdt_address)
    rom[0xFFF0:0xFFF5] = b"\xea" + struct.pack("<HH", 0, ROM >> 4)
    return bytes(rom)


def serial_output(image: BootImage, until: bytes, folder: Path, seconds: float) -> bytes:
    """What the guest prints on the serial port, up to `until` or the end of `seconds`."""
    (folder / "rom").write_bytes(boot_rom(image.start))
    command = [
        str(QEMU),
        "-m",
        "128",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-monitor",
        "none",
        "-net",
        "none",
    ]
    # Without an APIC the 8259 pair is wired to the processor; with one, firmware would have to say so.
    command += ["-no-reboot", "-cpu", "pentium3,-apic", "-bios", str(folder / "rom")]
    for index, part in enumerate(image.placements):
        (folder / str(index)).write_bytes(part.data)
        command += ["-device", f"loader,file={folder / str(index)},addr={part.address:#x},force-raw=on"]
    printed = b""
    end = time.monotonic() + seconds
    with (
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as qemu,
        selectors.DefaultSelector() as selector,
    ):
        assert qemu.stdout is not None
        selector.register(qemu.stdout, selectors.EVENT_READ)
        while until not in printed and time.monotonic() < end:
            if selector.select(0.2):
                chunk = os.read(qemu.stdout.fileno(), 65536)
                if not chunk:
                    break
                printed += chunk
        qemu.kill()
    return printed


def test_teaching_kernel_reaches_its_prompt(tmp_path):
    printed = serial_output(boot("teaching"), b"$ ", tmp_path, 20)
    assert printed.endswith(b"$ "), printed


@pytest.mark.guest("linux")
@pytest.mark.parametrize("firmware_path", [False, True], ids=["unpacked", "unpacks-itself"])
def test_linux_reaches_the_shell(tmp_path, firmware_path):
    image = boot("linux", firmware_path=firmware_path, append="panic=-1")
    printed = serial_output(image, b"/ # ", tmp_path, 60)
    assert b"/ # " in printed, printed[-2000:]
    assert re.search(rb"Kernel command line: .*console=ttyS0.* panic=-1\r?\n", printed)
    assert b"0000000000100000-0x0000000007ffffff] usable" in printed

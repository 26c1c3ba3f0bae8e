"""The Linux/x86 32-bit boot protocol: a bzImage, an initrd and a command line become a boot image.

By default the compressed kernel inside the bzImage is unpacked here and started at its own entry point: the
guest's own decompressor, which runs with `firmware_path`, needs 2.4 billion instructions for that.
Source: Linux, Documentation/arch/x86/boot.rst.
"""

import struct
from dataclasses import dataclass, replace

from labkit.guests import cache, compression, elf, files, kallsyms, layout
from labkit.guests.core import Core, from_elf
from labkit.guests.errors import GuestError
from labkit.vm.machine.boot import BootImage, Placement

__all__ = ["SetupHeader", "is_bzimage", "is_compressed_kernel", "load", "unpacked_kernel"]

BOOT_PARAMS = 0x90000
COMMAND_LINE = 0x9E000
_COMMAND_LINE_ROOM = layout.LOW_MEMORY_END - COMMAND_LINE
_MIN_VERSION = 0x0206  # 2.6.22 (2007): the first with cmdline_size
_MAX_KERNEL = 256 << 20


# Offsets in the file (and in boot_params, where the header is copied to):
#   1F1 setup_sects   1FE boot_flag AA55   200 jump (201: length)   202 "HdrS"   206 version   211 loadflags
#   214 code32_start  218 ramdisk_image    21C ramdisk_size   228 cmd_line_ptr   22C initrd_addr_max
#   230 kernel_alignment   234 relocatable   238 cmdline_size   248 payload_offset   24C payload_length
#   258 pref_address (8 bytes)   260 init_size
_FIELDS_END = ((0x207, 0x23C), (0x208, 0x248), (0x209, 0x250), (0x20A, 0x258), (0x20B, 0x264))
"""Before this version of the protocol, fields end there (Documentation/x86/boot.rst)."""


@dataclass(frozen=True, slots=True)
class SetupHeader:
    """The setup header of a bzImage; addresses guest-physical, sizes in bytes, absent late fields 0."""

    raw: bytes
    """From offset 1F1h to the header's own end."""
    protected_mode: int
    """Offset in the file of the protected-mode kernel."""
    initrd_max: int
    command_line_max: int
    load_at: int
    preferred: int
    init_size: int
    payload: range
    """Where in the file the compressed kernel lies; empty if the header does not say."""

    @classmethod
    def parse(cls, data: bytes) -> "SetupHeader":
        """Read and check the header. Raises GuestError for anything but a whole bzImage of protocol 2.06."""
        _check_kind(data)
        end = 0x202 + data[0x201]
        start = ((data[0x1F1] or 4) + 1) * 512
        if end < 0x23C or len(data) <= max(end, start):
            raise GuestError(
                f"the setup header ends at {end:#x} and the kernel starts at {start:#x}, but the file has"
                f" {len(data):,} bytes: cut off or damaged"
            )
        # Fields that the header is too short for are absent: 0. A loader program in the kernel's place (iPXE)
        # has code of its own where its protocol, older, has no field yet: these are absent too.
        version = struct.unpack_from("<H", data, 0x206)[0]
        known = next((stop for since, stop in _FIELDS_END if version < since), end)
        raw = data[0x1F1 : min(end, known)]
        word = struct.Struct("<I").unpack_from
        late = raw.ljust(0x280 - 0x1F1, b"\0")
        at = {offset: int(word(late, offset - 0x1F1)[0]) for offset in range(0x214, 0x264, 4)}
        payload = range(start + at[0x248], start + at[0x248] + at[0x24C])
        if payload.stop > len(data):
            raise GuestError(
                f"the payload lies at {payload.start:#x}-{payload.stop - 1:#x} (offset 248h), but the file"
                f" has {len(data):,} bytes: cut off"
            )
        return cls(
            raw, protected_mode=start, payload=payload, initrd_max=at[0x22C], command_line_max=at[0x238],
            load_at=at[0x214], preferred=at[0x258], init_size=at[0x260],
        )  # fmt: skip


def _check_kind(data: bytes) -> None:
    if not is_bzimage(data):
        raise GuestError('no Linux setup header ("HdrS" at offset 202h, AA55 at 1FEh): not a bzImage')
    version = struct.unpack_from("<H", data, 0x206)[0]
    if version < _MIN_VERSION:
        raise GuestError(
            f"boot protocol {version >> 8}.{version & 255:02} (offset 206h); labkit needs 2.06 or later"
            " (Linux 2.6.22 of 2007)"
        )
    if not data[0x211] & 1:
        raise GuestError("a zImage, to be loaded below 1 MB (bit 0 at offset 211h is 0); build a bzImage")


def is_bzimage(data: bytes) -> bool:
    """Whether `data` has the signature of the Linux boot protocol."""
    return len(data) > 0x210 and data[0x1FE:0x200] == b"\x55\xaa" and data[0x202:0x206] == b"HdrS"


def is_compressed_kernel(data: bytes) -> bool:
    """Whether `data` is a bzImage with a compressed kernel inside, which memtest86+ for example is not."""
    try:
        return bool(SetupHeader.parse(data).payload)
    except GuestError:
        return False


def load(
    kernel: files.Source, initrd: files.Source | None = None, cmdline: str = "",
    memory: int = layout.DEFAULT_MEMORY, firmware_path: bool = False,
) -> BootImage:  # fmt: skip
    """The boot image of a bzImage with its initrd and command line, for `memory` bytes.

    Raises GuestError when the kernel is not a bzImage, or the parts do not fit.
    """
    layout.check_memory(memory)
    data = files.read(kernel, "kernel")
    header = SetupHeader.parse(data)
    whole = firmware_path or not header.payload  # no payload: not compressed (memtest86+)
    core = _as_it_is(data, header, memory) if whole else _unpacked(data, header, memory)
    ram_disk = _ram_disk(initrd, header, memory, core.end)
    zero_page = Placement(BOOT_PARAMS, _boot_params(header, memory, ram_disk), "the boot parameters")
    gdt = layout.flat_gdt(code_selector=layout.LINUX_CODE)
    rest = (*ram_disk, zero_page, _command_line(cmdline, header), gdt)
    layout.check_extents([*core.extents, *(layout.extent_of(p) for p in rest)], memory)
    start = replace(layout.bare_start(core.entry, gdt), esi=BOOT_PARAMS)
    return BootImage(files.name_of(kernel, "linux"), (*core.placements, *rest), start, core.symbols)


def unpacked_kernel(data: bytes, header: SetupHeader) -> bytes:
    """The ELF file inside a bzImage, out of the cache when it was unpacked before."""
    kept = cache.unpacked(cache.sha256(data))
    if found := kept.read():
        return found
    payload = data[header.payload.start : header.payload.stop]
    size = int.from_bytes(payload[-4:], "little")  # every compressed payload ends with its unpacked size
    if size > _MAX_KERNEL:
        raise GuestError(f"the payload unpacks to {size:,} bytes; labkit unpacks at most {_MAX_KERNEL:,}")
    result = compression.unpack(payload, size)
    if len(result) != size or not elf.is_elf(result):
        raise GuestError(
            f"the payload unpacks to {len(result):,} bytes that are no ELF file of {size:,}: damaged"
        )
    kept.store(result)
    return result


def _unpacked(data: bytes, header: SetupHeader, memory: int) -> Core:
    kernel = from_elf(unpacked_kernel(data, header), memory)
    if not kernel.symbols:
        kernel = replace(kernel, symbols=kallsyms.Symbols([p.data for p in kernel.placements]))
    # The kernel also uses what lies between its end and pref_address + init_size (its first page tables).
    more = max(header.preferred + header.init_size - kernel.end, 0)
    room = layout.Extent(kernel.end, more, "the kernel's start-up area")
    return replace(kernel, extents=(*kernel.extents, room))


def _as_it_is(data: bytes, header: SetupHeader, memory: int) -> Core:
    placement = Placement(header.load_at, data[header.protected_mode :], "the kernel")
    if header.preferred >= layout.HIGH_MEMORY:
        room = layout.Extent(header.preferred, header.init_size, "the kernel, unpacked,")
        layout.check_extents([room], memory)
    return Core((placement,), header.load_at, (), (layout.extent_of(placement),))


def _ram_disk(
    source: files.Source | None, header: SetupHeader, memory: int, above: int
) -> tuple[Placement, ...]:
    """The initrd as high as the kernel allows, on a page boundary."""
    data = files.read(source, "initrd") if source is not None else b""
    if not data:
        return ()
    top = min(memory, header.initrd_max + 1)
    address = (top - len(data)) & ~0xFFF
    needed = max(above, header.preferred + header.init_size)
    if address < needed:
        raise GuestError(
            f"the initrd ({len(data):,} bytes) does not fit between the kernel's end ({needed:08x}) and"
            f" {top:08x}; give the guest more memory"
        )
    return (Placement(address, data, "the initrd"),)


def _command_line(cmdline: str, header: SetupHeader) -> Placement:
    text = cmdline.encode("utf-8", "surrogateescape")
    limit = min(header.command_line_max, _COMMAND_LINE_ROOM - 1)
    if b"\0" in text:
        raise GuestError("the command line holds a NUL character")
    if len(text) > limit:
        raise GuestError(f"the command line has {len(text):,} bytes; this kernel takes at most {limit:,}")
    return Placement(COMMAND_LINE, text + b"\0", "the command line")


# boot_params ("zero page"), 4096 bytes:
#   000 screen_info   1E0 alt_mem_k   1E8 e820_entries   1F1 setup header   2D0 e820_table (20 bytes each:
#   address 8, size 8, type 4)
def _boot_params(header: SetupHeader, memory: int, ram_disk: tuple[Placement, ...]) -> bytes:
    """What the kernel finds at ESI (Linux, arch/x86/include/uapi/asm/bootparam.h)."""
    params = bytearray(4096)
    _screen_info(params)
    extended = (memory - layout.HIGH_MEMORY) >> 10
    struct.pack_into("<H", params, 0x002, min(extended, 0xFFFF))
    struct.pack_into("<I", params, 0x1E0, extended)
    params[0x1F1 : 0x1F1 + len(header.raw)] = header.raw
    params[0x210] = 0xFF  # type_of_loader: none that has a number
    for disk in ram_disk:
        struct.pack_into("<II", params, 0x218, disk.address, len(disk.data))
    struct.pack_into("<I", params, 0x228, COMMAND_LINE)
    regions = layout.memory_map(memory)
    params[0x1E8] = len(regions)
    for index, region in enumerate(regions):
        struct.pack_into("<QQI", params, 0x2D0 + 20 * index, region.address, region.size, region.kind)
    return bytes(params)


# screen_info:  06 mode   07 columns   0A EGA BX   0E lines   0F is VGA   10 points per character
def _screen_info(params: bytearray) -> None:
    """VGA in text mode 3, 80 x 25, cursor in the upper left corner (bootparam.h, struct screen_info)."""
    params[0x06], params[0x07], params[0x0E], params[0x0F] = 3, 80, 25, 1
    struct.pack_into("<H", params, 0x0A, 3)  # 256 KB of video memory, as INT 10h, AH=12h, BL=10h says
    struct.pack_into("<H", params, 0x10, 16)

"""What runs inside: loaders for guest images, our own kernels and programs, and fetched real kernels.

Every guest ends as a `BootImage`, which `Machine.load` puts in place. Entry: `boot("linux")`, or `boot_files`
for a kernel of one's own. Read first: `image`, which tells the kinds apart, then `multiboot` or `linux`.
"""

from labkit.guests.catalog import boot, boot_files, names
from labkit.guests.errors import GuestError
from labkit.guests.fetch import fetch

__all__ = ["GuestError", "boot", "boot_files", "fetch", "names"]

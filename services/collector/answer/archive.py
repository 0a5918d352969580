"""A ZIP whose bytes depend on its files alone: no clock, no file system.

Written with `struct`: the standard library's zipfile costs more than the compression of what an answer holds. Packed by
ISA-L, in a fifth of zlib's time; a processor of another kind may pack the same into other bytes.
APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16; no ZIP64, so at most 65,535 files and 4 GiB.
"""

import struct
import zlib
from collections.abc import Iterable
from typing import Final

from isal import isal_zlib

_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_VERSION: Final = 20
_LEVEL: Final = 0
"""A third of the time of 1, for a file that is a sixth larger."""
_UTF8_NAMES: Final = 0x0800
_DEFLATED: Final = 8
_UNIX: Final = 3 << 8
_REGULAR_FILE_0644: Final = 0o100644 << 16
_MIDNIGHT: Final = 0
_FIRST_DAY: Final = (1 << 5) | 1
"""1 January 1980, the first date that a ZIP can carry."""


def archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    """The files under their names, in the order given."""
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for path, content in files:
        name = path.encode()
        packed = isal_zlib.compress(content, _LEVEL, -zlib.MAX_WBITS)
        facts = (isal_zlib.crc32(content), len(packed), len(content))
        shared = (_UTF8_NAMES, _DEFLATED, _MIDNIGHT, _FIRST_DAY, *facts, len(name), 0)
        local = _LOCAL.pack(b"PK\x03\x04", _VERSION, *shared) + name
        directory.append(
            _CENTRAL.pack(b"PK\x01\x02", _UNIX | _VERSION, _VERSION, *shared, 0, 0, 0, _REGULAR_FILE_0644, offset)
            + name
        )
        parts += (local, packed)
        offset += len(local) + len(packed)
    central = b"".join(directory)
    end = _END.pack(b"PK\x05\x06", 0, 0, len(directory), len(directory), len(central), offset, 0)
    return b"".join((*parts, central, end))

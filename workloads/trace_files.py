"""The bytes of a trace file, whatever it is packed in."""

import gzip
import zlib
from io import BytesIO
from pathlib import Path

from workloads.errors import WorkloadError

_GZIP = b"\x1f\x8b"
_HANDED = ("/dev/stdin", "/dev/fd/", "/proc/self/fd/")
MAX_TRACE_BYTES = 8 << 30
"""Of a trace file, unpacked."""


def trace_bytes(path: Path) -> bytes:
    """The content of a trace file, unpacked. A pipe or a device may never end; what a shell hands over is read.

    Raises:
        WorkloadError: there is none, it is no file, too large, or packed and cut off.
    """
    try:
        if not path.is_file() and path.exists() and not path.is_dir() and not path.as_posix().startswith(_HANDED):
            raise WorkloadError(f"{path}: found a pipe or a device, which may never end; expected a trace file")
        with path.open("rb") as file:
            read = file.read(MAX_TRACE_BYTES + 1)
        if read.startswith(_GZIP):
            with gzip.open(BytesIO(read)) as packed:
                read = packed.read(MAX_TRACE_BYTES + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise WorkloadError(f"{path}: no valid gzip file: {str(error)[:80]}; is it cut off?") from error
    except OSError as error:
        raise WorkloadError(f"{path}: cannot be read: {error.strerror}; expected a trace file") from error
    if len(read) > MAX_TRACE_BYTES:
        raise WorkloadError(f"{path}: found more than {MAX_TRACE_BYTES >> 30} GiB; expected a part of the trace")
    return read

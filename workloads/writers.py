"""Writers: from requests in columns to the plain trace file that ``read_trace`` reads."""

import os
from errno import EINVAL
from pathlib import Path
from tempfile import NamedTemporaryFile

from workloads.traces import Trace


def write_plain_csv(trace: Trace, path: Path) -> None:
    """Write a trace as ``arrival_s,prompt_tokens,output_tokens``.

    The file appears whole or not at all. Times are written with every digit, so reading gives the same requests back;
    classes are not written, and the window is again inferred from the arrivals.

    Raises:
        OSError: the directory is missing or not writable, or the path names a device or a pipe.
    """
    path = path.resolve()  # a link stays a link
    if path.exists() and not path.is_file():
        raise OSError(EINVAL, "is no file", str(path))
    columns = (trace.arrival_s.tolist(), trace.prompt_tokens.tolist(), trace.output_tokens.tolist())
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8") as file:
        partial = Path(file.name)
        try:
            file.write("arrival_s,prompt_tokens,output_tokens\n")
            file.writelines(
                f"{arrival!r},{prompt},{output}\n" for arrival, prompt, output in zip(*columns, strict=True)
            )
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            partial.unlink()
            raise
    partial.chmod(0o644)
    partial.replace(path)

"""Which files a misspelt path may mean."""

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

_MOST = 3


def meant_instead(path: Path, fits: Callable[[Path], bool]) -> str:
    """The end of a sentence that refuses a path: the files of its folder that are spelt like it, else those there are.

    Args:
        path: what is not there.
        fits: whether a path is one of the kind that was wanted.

    Returns:
        For example ``did you mean 'my/config.json'?``, ``there is no folder 'm'`` or ``there is none in 'my'``.
    """
    folder = path.parent
    try:
        if not folder.is_dir():
            return f"there is no folder '{folder}'"
        there = {each.name: each for each in sorted(folder.iterdir()) if fits(each)}
    except (OSError, ValueError):
        return f"'{folder}' cannot be read"
    stems = {name: Path(name).stem.lower() for name in there}
    close = get_close_matches(path.stem.lower(), list(stems.values()), n=_MOST)
    near = [f"'{there[name]}'" for stem in dict.fromkeys(close) for name in stems if stems[name] == stem][:_MOST]
    if near:
        return f"did you mean {' or '.join(near)}?"
    shown = ", ".join(f"'{each}'" for each in list(there.values())[:_MOST])
    more = f" and {len(there) - _MOST} more" if len(there) > _MOST else ""
    return f"there are {shown}{more}" if shown else f"there is none in '{folder}'"

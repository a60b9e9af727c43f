"""What kernel tables leave out of a plan's instances, by layout where measured clusters were run in it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hw_catalog.engines import EngineTiming, load_engines, load_layout_timings, load_own_engines, timing_of
from hw_catalog.profiles import KernelProfile
from planner.perf.layout import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Entries of engines, and where entries of layouts go before them.

    Attributes:
        engines: entries by key.
        laid_out: ``set/gpu`` in whose layouts the model was measured, with no entry of the user's own.
    """

    engines: Mapping[str, EngineTiming]
    laid_out: Collection[str] = field(default_factory=frozenset)

    def of(self, profile: KernelProfile, role: Role) -> EngineTiming:
        """What a profile leaves out at instances of a role."""
        layouts = f"{profile.profile_set}/{profile.gpu}" in self.laid_out
        return timing_of(self.engines, profile, layouts=layouts, together=layouts and role is Role.MIXED)


def timings_of(directory: Path | None, model: str, laid_out: Collection[str]) -> Timings:
    """What is known of engines that serve a model.

    Args:
        directory: of the user's catalog files, whose entries count before those of layouts; None: the built-in ones.
        model: its name.
        laid_out: ``set/gpu`` in whose layouts the model was measured.

    Raises:
        CatalogError: the user's file is broken.
    """
    engines = load_engines(directory)
    if not laid_out:
        return Timings(engines=engines)
    own = load_own_engines(directory)
    left = [of for of in laid_out if not {of, of.split("/")[0], f"{of}/{model}"} & own.keys()]
    return Timings(engines={**load_layout_timings(), **engines}, laid_out=frozenset(left))

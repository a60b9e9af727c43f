"""Where the numbers behind a plan come from."""

from hw_catalog.load import SLOWDOWNS, load_catalog
from planner.resolve.provenance import gpu_sources


def test_a_ratio_of_one_by_definition_is_no_number() -> None:
    """A GPU with profiles of its own is as fast as they say, which is not measured; a capped variant has a ratio."""
    gpus = load_catalog().gpus
    itself, capped = gpus["h100-sxm"], gpus["h100-sxm-cap350"]
    assert set(SLOWDOWNS) <= set(itself.provenance)
    assert len(gpu_sources(itself)) == len(itself.provenance) - len(SLOWDOWNS)
    assert not any("by definition" in source.source for source in gpu_sources(itself))
    assert gpu_sources(capped) == list(capped.provenance.values())

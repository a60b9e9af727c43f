"""phasewise: plans LLM inference clusters and proves each plan in an embedded simulator."""

__version__ = "0.1.0"

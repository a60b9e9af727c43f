"""What holds for every test."""

import os

from hypothesis import settings

# A rule is true however busy the machine is: no test may fail for having taken long.
# The same inputs every time, so that a change that passed does not fail later by chance; `make laws` draws new ones.
settings.register_profile("patient", deadline=None, derandomize=True)
settings.register_profile("wide", deadline=None, derandomize=False, max_examples=500)
settings.load_profile(os.environ.get("PHASEWISE_LAWS", "patient"))

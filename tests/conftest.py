"""What holds for every test."""

from hypothesis import settings

# A rule is true however busy the machine is: no test may fail for having taken long.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

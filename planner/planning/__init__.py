"""The planning loop: propose, simulate, tighten, improve, certify."""

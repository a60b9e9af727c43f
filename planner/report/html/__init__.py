"""The report as one file: pages of sections, drawn without any network."""

"""The plan in the words of the stacks that serve it: manifests, tables, a page of text."""

"""The event engine that served before the core did: what the core is held against, step by step."""

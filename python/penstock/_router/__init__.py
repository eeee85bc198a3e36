"""The process that a custom request router runs in; docs/design/dataplane.md has the design."""

__all__: list[str] = []

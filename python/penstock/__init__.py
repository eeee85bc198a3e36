"""Penstock: Ray Serve's API on a native engine, where resources are a fact.

``from penstock import serve`` is Ray Serve's API; docs/differences.md lists every wilful departure.
"""

__version__ = "0.1.0"
__all__ = ["__version__"]

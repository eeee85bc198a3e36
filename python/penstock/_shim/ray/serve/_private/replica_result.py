"""Ray Serve's inner name for what ``on_request_routed`` gets."""

from penstock.serve.request_router import ReplicaResult

__all__ = ["ReplicaResult"]

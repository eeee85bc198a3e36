"""Ray Serve's inner names for ids and for what a request says of itself."""

from penstock.serve.context import DeploymentID, ReplicaID
from penstock.serve.request_router import RequestMetadata

__all__ = ["DeploymentID", "ReplicaID", "RequestMetadata"]

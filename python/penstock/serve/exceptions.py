"""Ray Serve's exceptions."""

from __future__ import annotations

from typing import Any, Optional

from penstock._errors import TaskCancelledError

__all__ = [
    "BackPressureError",
    "DeploymentUnavailableError",
    "RayServeException",
    "ReplicaUnavailableError",
    "RequestCancelledError",
]


class RayServeException(Exception):
    """Base of what Serve raises."""


class BackPressureError(RayServeException):
    """As many callers wait as ``max_queued_requests`` allows."""

    def __init__(
        self,
        num_queued_requests: int,
        max_queued_requests: int,
        status_code: int = 503,
        retry_after_s: Optional[float] = None,
    ) -> None:
        super().__init__(num_queued_requests, max_queued_requests, status_code, retry_after_s)
        self.status_code = status_code
        self.retry_after_s = retry_after_s
        self.message = (
            f"Request dropped due to backpressure (num_queued_requests={num_queued_requests}, "
            f"max_queued_requests={max_queued_requests})."
        )

    def __str__(self) -> str:
        return self.message


class RequestCancelledError(RayServeException, TaskCancelledError):
    """The caller, or its caller, cancelled the request."""

    def __init__(self, request_id: Optional[str] = None) -> None:
        super().__init__(request_id)
        self.request_id = request_id

    def __str__(self) -> str:
        return f"Request {self.request_id} was cancelled." if self.request_id else "Request was cancelled."


class DeploymentUnavailableError(RayServeException):
    """The deployment failed to deploy, or was deleted, and has no replica."""

    def __init__(self, deployment_id: Any) -> None:
        super().__init__(deployment_id)
        self.deployment_id = deployment_id

    def __str__(self) -> str:
        return f"{self.deployment_id} is unavailable because it failed to deploy."


class ReplicaUnavailableError(RayServeException):
    """The chosen replica is gone."""

    def __init__(self, replica_id: Any) -> None:
        super().__init__(replica_id)
        self.replica_id = replica_id

    def __str__(self) -> str:
        return f"{self.replica_id} is not available."

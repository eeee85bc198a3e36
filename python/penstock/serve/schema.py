"""What ``serve.status()`` returns: Ray Serve's status records."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Optional

from penstock.serve.config import EncodingType, LoggingConfig

__all__ = [
    "ApplicationStatus",
    "ApplicationStatusOverview",
    "DeploymentStatus",
    "DeploymentStatusOverview",
    "DeploymentStatusTrigger",
    "EncodingType",
    "LoggingConfig",
    "ProxyStatus",
    "ReplicaState",
    "ServeStatus",
]


class ApplicationStatus(str, Enum):
    """Status of an application."""

    NOT_STARTED = "NOT_STARTED"
    DEPLOYING = "DEPLOYING"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    RUNNING = "RUNNING"
    UNHEALTHY = "UNHEALTHY"
    DELETING = "DELETING"


class DeploymentStatus(str, Enum):
    """Status of a deployment."""

    UPDATING = "UPDATING"
    UPSCALING = "UPSCALING"
    DOWNSCALING = "DOWNSCALING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DEPLOY_FAILED = "DEPLOY_FAILED"


class DeploymentStatusTrigger(str, Enum):
    """What led to the status of a deployment."""

    UNSPECIFIED = "UNSPECIFIED"
    CONFIG_UPDATE_STARTED = "CONFIG_UPDATE_STARTED"
    CONFIG_UPDATE_COMPLETED = "CONFIG_UPDATE_COMPLETED"
    UPSCALE_COMPLETED = "UPSCALE_COMPLETED"
    DOWNSCALE_COMPLETED = "DOWNSCALE_COMPLETED"
    AUTOSCALING = "AUTOSCALING"
    REPLICA_STARTUP_FAILED = "REPLICA_STARTUP_FAILED"
    DEPLOYMENT_ACTOR_FAILED = "DEPLOYMENT_ACTOR_FAILED"
    HEALTH_CHECK_FAILED = "HEALTH_CHECK_FAILED"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    DELETING = "DELETING"


class ReplicaState(str, Enum):
    """State of a replica."""

    STARTING = "STARTING"
    UPDATING = "UPDATING"
    RECOVERING = "RECOVERING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    PENDING_MIGRATION = "PENDING_MIGRATION"


class ProxyStatus(str, Enum):
    """Status of a proxy."""

    STARTING = "STARTING"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"
    DRAINED = "DRAINED"


@dataclass
class DeploymentStatusOverview:
    """One deployment. ``replica_states`` counts only states that occur."""

    status: DeploymentStatus
    status_trigger: DeploymentStatusTrigger
    replica_states: dict[ReplicaState, int]
    message: str


@dataclass
class ApplicationStatusOverview:
    """One application. ``last_deployed_time_s`` is seconds since 1970."""

    status: ApplicationStatus
    message: str
    last_deployed_time_s: float
    deployments: dict[str, DeploymentStatusOverview]


@dataclass
class ServeStatus:
    """Everything: proxies by node id, applications by name."""

    proxies: dict[str, ProxyStatus] = field(default_factory=dict)
    applications: dict[str, ApplicationStatusOverview] = field(default_factory=dict)
    target_capacity: Optional[float] = None


def _deployment(details: dict[str, Any]) -> DeploymentStatusOverview:
    return DeploymentStatusOverview(
        status=DeploymentStatus(details["status"]),
        status_trigger=DeploymentStatusTrigger(details["status_trigger"]),
        replica_states={ReplicaState(state): n for state, n in details["replica_states"].items()},
        message=details["message"],
    )


def _application(details: dict[str, Any]) -> ApplicationStatusOverview:
    return ApplicationStatusOverview(
        status=ApplicationStatus(details["status"]),
        message=details["message"],
        last_deployed_time_s=details["last_deployed_time_s"],
        deployments={name: _deployment(d) for name, d in details["deployments"].items()},
    )


def status_from(details: dict[str, Any]) -> ServeStatus:
    """From the controller's answer."""
    return ServeStatus(
        proxies={node: ProxyStatus(status) for node, status in details["proxies"].items()},
        applications={name: _application(a) for name, a in details["applications"].items()},
        target_capacity=details["target_capacity"],
    )

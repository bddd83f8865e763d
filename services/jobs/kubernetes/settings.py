"""How jobs run on a cluster: a file of YAML, which the chart writes from its values."""

import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from services.common.settings import EXIT_BAD_SETTING
from services.jobs.settings import LaunchSettings

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"

# The rules of Kubernetes for names: of namespaces, of most objects, of labels' values.
Namespace = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}$", max_length=63)]
Name = Annotated[str, StringConstraints(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253)]
NameOrNone = Annotated[str, StringConstraints(pattern=rf"^({_LABEL}(\.{_LABEL})*)?$", max_length=253)]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63)]
LabelKey = Annotated[
    str, StringConstraints(pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]
# Without exponents, which nobody writes; `cpu: 2` is a number to YAML.
Quantity = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) in {int, float} else value),
    StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|[KMGTPE]i|[MGTPE])?$"),
]
StoreSetting = Annotated[str, StringConstraints(pattern=r"^BOOKMILL_STORE_[A-Z_]+$")]

_SECRET_SETTINGS = ("BOOKMILL_STORE_ACCESS_KEY", "BOOKMILL_STORE_SECRET_KEY")
_UNITS = {"": 1, "k": 10**3} | {unit: 10 ** (3 * n) for n, unit in enumerate("MGTPE", 2)}
_UNITS |= {f"{unit}i": 1 << (10 * n) for n, unit in enumerate("KMGTPE", 1)}


class _Closed(BaseModel):
    # Keys as Kubernetes and the chart's values write them. A misspelt one is refused.
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True)


class Toleration(_Closed):
    """A taint that the job's pod bears, as Kubernetes defines it."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class Amounts(_Closed):
    """Of a container; disk and GPU are not here, since the job itself decides them."""

    cpu: Quantity | None = None
    memory: Quantity | None = None


class Resources(_Closed):
    """What the program may take."""

    requests: Amounts = Amounts()
    limits: Amounts = Amounts()


class Owner(_Closed):
    """An object of the release in the same namespace; when it is deleted, so are the jobs that it owns."""

    api_version: Literal["v1", "apps/v1"]
    kind: Literal["ConfigMap", "ServiceAccount", "Deployment"]
    name: Name


class ClusterSettings(_Closed):
    """How jobs of one kind run on a cluster."""

    namespace: Namespace
    """Where Jobs are made."""
    image: str = Field(min_length=1, pattern=r"^\S+$")
    """Of the job's program, whose entry point it starts."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[Name, ...] = ()
    """Names of Secrets to pull the image with."""
    service_account_name: Name = "default"
    """Whose token the pod does not get."""
    accelerator: Literal["nvidia", "cpu"] = "cpu"
    """`nvidia`: a training asks for exactly one GPU."""
    runtime_class_name: NameOrNone = ""
    node_selector: dict[LabelKey, LabelValue] = {}
    tolerations: tuple[Toleration, ...] = ()
    queue_name: NameOrNone = ""
    """A LocalQueue of Kueue. Jobs are made suspended then, and Kueue lets them go."""
    priority_class_name: NameOrNone = ""
    active_deadline_seconds: int = Field(172_800, ge=1)
    """A job that takes longer is ended, `DEADLINE`."""
    ttl_seconds_after_finished: int = Field(86_400, ge=0)
    """A finished Job is deleted after this; its result is in the store."""
    termination_grace_period_seconds: int = Field(300, ge=1, le=3600)
    """To save the state after SIGTERM."""
    resources: Resources = Resources()
    """Memory is raised to what the job needs, where that is known; disk is always computed."""
    shared_memory: Quantity = "1Gi"
    """Size of /dev/shm, which counts as memory of the container."""
    threads: int = Field(2, ge=1, le=256)
    """Of arithmetic. Digests depend on it."""
    store_secret: Name
    """A Secret with the keys `access_key` and `secret_key`."""
    store_settings: dict[StoreSetting, str] = {}
    """`BOOKMILL_STORE_*` of the program, but its keys."""
    labels: dict[LabelKey, LabelValue] = {}
    """On the Job and its pods; those of the chart that network policies select by are among them."""
    owner: Owner | None = None
    """None for Jobs that outlive the release."""

    @model_validator(mode="after")
    def _no_secret(self) -> Self:
        for name in _SECRET_SETTINGS:
            if name in self.store_settings:
                raise ValueError(f"storeSettings.{name} would show a secret in the manifest: name a storeSecret")
        return self


def load_cluster(settings: LaunchSettings) -> ClusterSettings | None:
    """Reads the file that the setting `cluster_file` names, or ends the program.

    A wrong key is named on standard error, and the program exits with 2.

    Returns:
        What is in it; None when jobs run on this machine.
    """
    if settings.launcher == "local" or settings.cluster_file is None:
        return None
    try:
        return parse_cluster(settings.cluster_file)
    except ValueError as error:
        refuse_cluster(settings, str(error))


def parse_cluster(path: Path) -> ClusterSettings:
    """Reads a file.

    Raises:
        ValueError: names each wrong key in a line of its own.
    """
    try:
        value = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"it cannot be read: {error}") from error
    try:
        return ClusterSettings.model_validate(value)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, p['loc'])) or 'the file'}: {p['msg']}" for p in error.errors())
        raise ValueError("\n".join(lines)) from None


def refuse_cluster(settings: LaunchSettings, problems: str) -> NoReturn:
    """Says on standard error what is wrong with the file, and ends the program."""
    name = f"{settings.model_config.get('env_prefix', '')}CLUSTER_FILE"
    for line in problems.splitlines():
        print(f"setting {name} ({str(settings.cluster_file)!r}): {line}", file=sys.stderr)  # noqa: T201
    raise SystemExit(EXIT_BAD_SETTING)


def size_of(quantity: str) -> int:
    """Gives the bytes of a quantity of memory or disk; a fraction of a byte counts as one."""
    number = quantity.rstrip("mkKMGTPEi")
    unit = quantity.removeprefix(number)
    if unit == "m":
        return -int(-float(number) // 1000)
    return -int(-float(number) * _UNITS[unit] // 1)

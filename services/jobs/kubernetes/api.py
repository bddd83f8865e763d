"""The calls to the Kubernetes API, each with a deadline and a bounded number of attempts.

| verb | on |
|---|---|
| create, get, list, delete | jobs (batch) |
| list | pods, events |
| get | the one object that owns the Jobs |

Objects are plain JSON, as `kubectl get -o json` shows them.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from services.common.errors import BookmillError, Exhausted, NotFound, PermissionDenied, Refused, Unavailable
from services.jobs.kubernetes.settings import Owner

Object = dict[str, Any]

TIMEOUT_SECONDS = (5.0, 15.0)
"""Of connecting, and of one read."""
WAITS_SECONDS = (0.2, 1.0, 3.0)
"""Between attempts."""

_PAGE = 500
_PASSING = {None, 0, 401, 408, 429, 500, 502, 503, 504}  # 0: TLS; 401: a token that is being renewed


class Cluster:
    """A namespace of a cluster. Safe to use from several threads; every call blocks.

    All calls raise:
        Unavailable: `CLUSTER_UNAVAILABLE`.
        PermissionDenied: `CLUSTER_FORBIDDEN`: the service's Role lacks a verb.
    """

    def __init__(self, namespace: str) -> None:
        """Reads the credentials: those of the pod, or of the kubeconfig outside of a cluster.

        Raises:
            Unavailable: `NO_CLUSTER`: there are none.
        """
        self._namespace = namespace
        configuration = client.Configuration()
        untyped: Any = config
        try:
            untyped.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            try:
                untyped.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=configuration)
            except config.ConfigException as error:
                raise Unavailable("NO_CLUSTER", f"neither a pod's credentials nor a kubeconfig: {error}") from error
        configuration.retries = urllib3.Retry(0)  # ours are the only ones
        self._client: Any = client.ApiClient(configuration)
        self._batch = client.BatchV1Api(self._client)
        self._core = client.CoreV1Api(self._client)
        self._apps = client.AppsV1Api(self._client)

    def create_job(self, body: Object) -> bool:
        """Makes a Job.

        Returns:
            False when there is one of that name.

        Raises:
            Exhausted: `TOO_MANY_JOBS`: a quota of the namespace is used up.
            Refused: `JOB_REFUSED`: the cluster does not take it.
        """
        try:
            self._call(self._batch.create_namespaced_job, self._namespace, body)
        except _Answer as answer:
            if answer.status == 409:
                return False
            if "exceeded quota" in answer.words:
                raise Exhausted("TOO_MANY_JOBS", f"the namespace is full: {answer.words}") from answer
            if answer.status == 403 and "cannot create resource" in answer.words:
                raise answer.translated() from answer
            raise Refused("JOB_REFUSED", f"the cluster does not take the Job: {answer.words}") from answer
        return True

    def job(self, name: str) -> Object | None:
        """Gives a Job; None where there is none."""
        try:
            found: Object = self._call(self._batch.read_namespaced_job, name, self._namespace)
        except _Answer as answer:
            if answer.status == 404:
                return None
            raise answer.translated() from answer
        return found

    def jobs(self, labels: dict[str, str]) -> Iterator[Object]:
        """Lists the Jobs that have labels."""
        yield from self._listed(self._batch.list_namespaced_job, label_selector=_selector(labels))

    def delete_job(self, name: str, uid: str = "") -> None:
        """Deletes a Job after its pods: they are asked to stop, and the Job is there until they have.

        Args:
            name: of the Job; nothing happens where there is none.
            uid: deletes only the one that has it.
        """
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self._call(self._batch.delete_namespaced_job, name, self._namespace, body=body)
        except _Answer as answer:
            if answer.status not in {404, 409}:
                raise answer.translated() from answer

    def pods(self, job: Object) -> list[Object]:
        """Lists the pods of a Job, the newest last."""
        labels = {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}
        found = self._listed(self._core.list_namespaced_pod, label_selector=_selector(labels))
        return sorted(found, key=lambda pod: (pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]))

    def events(self, **about: str) -> list[Object]:
        """Lists the events about one object, by its `uid` or `name`."""
        fields = _selector({f"involvedObject.{field}": value for field, value in about.items()})
        return list(self._listed(self._core.list_namespaced_event, field_selector=fields))

    def uid(self, owner: Owner) -> str:
        """Gives the uid of the object that is to own Jobs.

        Raises:
            NotFound: `NO_SUCH_OWNER`.
        """
        reads = {
            "ConfigMap": self._core.read_namespaced_config_map,
            "ServiceAccount": self._core.read_namespaced_service_account,
            "Deployment": self._apps.read_namespaced_deployment,
        }
        try:
            return str(self._call(reads[owner.kind], owner.name, self._namespace)["metadata"]["uid"])
        except _Answer as answer:
            if answer.status != 404:
                raise answer.translated() from answer
            raise NotFound(
                "NO_SUCH_OWNER", f"there is no {owner.kind} {owner.name!r} in the namespace {self._namespace!r}"
            ) from answer

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _listed(self, method: Callable[..., Any], **selectors: str) -> Iterator[Object]:
        following: dict[str, str] = {}
        while True:
            try:
                page = self._call(method, self._namespace, limit=_PAGE, **selectors, **following)
            except _Answer as answer:
                raise answer.translated() from answer
            yield from page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return
            following = {"_continue": token}

    def _call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Calls and gives the JSON.

        Raises:
            Unavailable: `CLUSTER_UNAVAILABLE`, after the last attempt.
            _Answer: any other answer that is no success.
        """
        for wait in (*WAITS_SECONDS, None):
            try:
                response = method(*arguments, **options, _preload_content=False, _request_timeout=TIMEOUT_SECONDS)
                return json.loads(response.data)
            except ApiException as error:
                if error.status not in _PASSING or (wait is None and error.status == 401):
                    raise _Answer(error) from error
                problem = _words(error)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                problem = str(error)
            if wait is not None:
                time.sleep(wait)
        raise Unavailable("CLUSTER_UNAVAILABLE", f"the Kubernetes API does not answer: {problem}")


class _Answer(Exception):
    """What the API said that was no success."""

    def __init__(self, error: ApiException) -> None:
        self.status: int = error.status
        self.words = _words(error)
        super().__init__(self.words)

    def translated(self) -> BookmillError:
        if self.status in {401, 403}:
            return PermissionDenied("CLUSTER_FORBIDDEN", f"the Kubernetes API forbids it: {self.words}")
        return Unavailable("CLUSTER_UNAVAILABLE", f"the Kubernetes API answers {self.status}: {self.words}")


def _words(error: ApiException) -> str:
    """Gives what the API says, for a person: the message of its Status."""
    try:
        return str(json.loads(error.body or "")["message"])
    except (TypeError, ValueError, KeyError):
        return str(error.reason)


def _selector(pairs: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(pairs.items()))

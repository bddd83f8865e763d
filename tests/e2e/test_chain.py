"""The chain in the cluster, from books to the GGUF, over REST and over gRPC; equal to the same on this machine."""

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from bookmill.v1 import object_pb2, run_pb2, run_pb2_grpc
from deploy.kind import release
from tests.support.chain import digests
from tests.support.e2e_reference import Reference
from tests.support.e2e_release import Bookmill
from tests.support.e2e_runs import RUN_SECONDS, Run


def test_over_rest_it_gives_the_same_bytes_as_this_machine(
    bookmill: Bookmill, chain: Run, reference: Reference
) -> None:
    assert chain["verified"], chain["not_verified"]
    assert len(chain["books"]) == 10
    made = digests(chain)
    assert set(made["export"]) >= {"q4_k_m"}
    assert made == reference.digests(bookmill.spec())


def test_over_grpc_it_gives_the_same_bytes_as_this_machine(bookmill: Bookmill, reference: Reference) -> None:
    spec = bookmill.spec(seed=11, steps=20)
    metadata = (("authorization", f"Bearer {bookmill.gateway.token}"),)
    with grpc.insecure_channel(release.address(bookmill.cluster.settings, 30051)) as channel:
        stub = run_pb2_grpc.RunServiceStub(channel)
        request = run_pb2.CreateRunRequest(spec=ParseDict(spec, run_pb2.RunSpec()))
        run = stub.CreateRun(request, metadata=metadata, timeout=30)
        watch = stub.WatchRun(run_pb2.WatchRunRequest(name=run.name), metadata=metadata, timeout=RUN_SECONDS)
        *_, run = watch
    assert run.state == object_pb2.STATE_SUCCEEDED, MessageToDict(run)
    assert digests(bookmill.gateway.summary(run.name)) == reference.digests(spec)


def test_a_stranger_gets_nothing_but_health(bookmill: Bookmill) -> None:
    path = "/v1/runs"
    assert bookmill.gateway.request("GET", path).status_code == 200
    for given in ("", "Bearer", "Bearer wrong", f"Basic {bookmill.gateway.token}", bookmill.gateway.token):
        response = bookmill.gateway.request("GET", path, headers={"Authorization": given})
        assert response.status_code == 401, given
        assert bookmill.gateway.token not in response.text
    assert bookmill.gateway.request("GET", "/healthz", headers={"Authorization": ""}).status_code == 200
    with grpc.insecure_channel(release.address(bookmill.cluster.settings, 30051)) as channel:
        stub = run_pb2_grpc.RunServiceStub(channel)
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            with pytest.raises(grpc.RpcError) as error:
                stub.ListRuns(run_pb2.ListRunsRequest(), metadata=metadata, timeout=10)
            assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]


def test_a_second_run_is_answered_from_records(bookmill: Bookmill, chain: Run) -> None:
    before = {
        job["metadata"]["name"] for job in bookmill.cluster.get("jobs", "--selector=app.kubernetes.io/name=bookmill")
    }
    run = bookmill.gateway.create(bookmill.spec())
    assert digests(bookmill.gateway.finished(run["name"])) == digests(chain)
    after = {
        job["metadata"]["name"] for job in bookmill.cluster.get("jobs", "--selector=app.kubernetes.io/name=bookmill")
    }
    assert after == before


def test_what_services_take_in_memory(bookmill: Bookmill, chain: Run) -> None:
    """Shown at the end; a service that held what it carries would show here."""
    del chain
    for component in ("ingest", "clean", "chunk", "train", "export", "gateway"):
        used = bookmill.cluster.python_in(bookmill.cluster.pod(component), "memory")
        bookmill.measured[f"memory of {component} after a run, MiB"] = used["now"] / (1 << 20)
        bookmill.measured[f"memory of {component} at most, MiB"] = used["peak"] / (1 << 20)
        assert used["peak"] < 512 << 20

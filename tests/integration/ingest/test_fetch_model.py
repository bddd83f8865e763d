import asyncio
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from bookmill.v1 import ingest_pb2
from services.common.errors import (
    BookmillError,
    Corrupt,
    InvalidInput,
    NotFound,
    PermissionDenied,
    Refused,
    Unavailable,
)
from services.common.objects import Reference
from services.common.server import RECORDED_KEY
from services.common.storage import Store
from tests.support.hub import READ_TOKEN, HubDouble
from tests.support.model_files import CONFIG, MODEL, WEIGHTS

CARD = b"---\nlanguage: en\nlicense: apache-2.0\n---\n# Tiny\n"
MORE = {"README.md": CARD, ".gitattributes": b"", "modeling.py": b"import os", "original/model.safetensors": b"x"}
"""What is not."""


def shards() -> dict[str, bytes]:
    first, second = save({"a": np.zeros(1000, np.float16)}), save({"b": np.zeros(7, np.float16)})
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    rest = {name: data for name, data in MODEL.items() if name != "model.safetensors"}
    return rest | {
        "model-00001-of-00002.safetensors": first,
        "model-00002-of-00002.safetensors": second,
        "model.safetensors.index.json": json.dumps(index).encode(),
    }


def in_store(store: Store, reference: object) -> dict[str, bytes]:
    folder = Reference.from_proto(reference)
    return {file.path: store.read(store.file_of(folder, file.path)) for file in store.folder(folder)}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def replace(token: Path, text: str) -> None:
    token.write_text(text)


def tarred(files: dict[str, bytes], mode: str = "w:gz", prefix: str = "tiny/") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zipped(files: dict[str, bytes], prefix: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return buffer.getvalue()


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    with HubDouble() as running:
        yield running


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{READ_TOKEN}\n")
    return file


# --- hf: --------------------------------------------------------------------------------------------------------


async def test_a_model_comes_from_the_hub(serve, hub: HubDouble, store: Store) -> None:
    commit = hub.add_model("org/tiny", MODEL | MORE, licence="apache-2.0")
    async with serve(hub_endpoint=hub.url) as client:
        model, progress = await client.model("hf:org/tiny")
    assert in_store(store, model.folder) == MODEL
    assert model.folder.key == f"models/{model.folder.sha256}/manifest.json"
    assert (model.resolved_uri, model.licence) == (f"hf:org/tiny@{commit}", "apache-2.0")
    assert (model.parameters, model.architecture) == (300_000, "llama")
    last = progress[-1].progress
    assert (last.completed, last.total, last.unit) == (len(b"".join(MODEL.values())),) * 2 + ("bytes",)
    assert last.activity.startswith("fetching ")


async def test_shards_are_brought_as_the_index_names_them(serve, hub: HubDouble, store: Store) -> None:
    hub.add_model("org/tiny", shards() | {"consolidated.safetensors": b"another form"})
    async with serve(hub_endpoint=hub.url) as client:
        model, _ = await client.model("hf:org/tiny@main")
    assert in_store(store, model.folder) == shards()
    assert model.parameters == 1007


async def test_a_revision_is_resolved_and_a_commit_needs_no_hub(serve, hub: HubDouble) -> None:
    first = hub.add_model("org/tiny", MODEL)
    hub.add_model("org/tiny", MODEL | {"generation_config.json": b'{"do_sample": true}'})
    hub.add_model("org/tiny", MODEL, revision="v1.0")
    async with serve(hub_endpoint=hub.url) as client:
        old, _ = await client.model(f"hf:org/tiny@{first}")
        tagged, _ = await client.model("hf:org/tiny@v1.0")
    assert old.resolved_uri == f"hf:org/tiny@{first}"
    assert tagged.resolved_uri != old.resolved_uri
    assert tagged.folder == old.folder  # the same files
    asked = len(hub.requests)
    async with serve(hub_endpoint="http://127.0.0.1:9") as client:
        again, progress = await client.model(f"hf:org/tiny@{first}")
    assert (again, progress, len(hub.requests)) == (old, [], asked)


async def test_a_model_is_brought_once(serve, hub: HubDouble) -> None:
    hub.add_model("org/tiny", MODEL)
    hub.add_model("twin/tiny", MODEL)
    async with serve(hub_endpoint=hub.url) as client:
        (first, _), (second, _) = await asyncio.gather(client.model("hf:org/tiny"), client.model("hf:org/tiny"))
        assert first == second
        assert hub.asked("GET", r"resolve/.*/model\.safetensors") == 1
        # Of another repository with the same files, nothing large is downloaded.
        twin, _ = await client.model("hf:twin/tiny")
        assert twin.folder == first.folder
        assert hub.asked("GET", r"resolve/.*/model\.safetensors") == 1


async def test_an_answer_from_the_record_says_so(serve, hub: HubDouble) -> None:
    hub.add_model("org/tiny", MODEL)
    async with serve(hub_endpoint=hub.url) as client:
        said = []
        for _ in range(2):
            call = client.stub.FetchModel(ingest_pb2.FetchModelRequest(uri="hf:org/tiny"), timeout=60)
            assert [message async for message in call][-1].HasField("model")
            said.append(dict(await call.trailing_metadata()).get(RECORDED_KEY))
    assert said == [None, "1"]


async def test_a_token_of_the_machine_is_not_used(serve, hub: HubDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    hub.add_model("org/tiny", MODEL)
    async with serve(hub_endpoint=hub.url) as client:
        await client.model("hf:org/tiny")
    assert hub.tokens_seen == set()


async def test_a_download_that_breaks_goes_on_in_the_file(serve, hub: HubDouble, store: Store, tmp_path: Path) -> None:
    hub.add_model("org/tiny", shards())
    hub.fail("GET", r"/model-00002-of-00002", 503, times=100)
    async with serve(hub_endpoint=hub.url) as client:
        with pytest.raises(Unavailable) as caught:
            await client.model("hf:org/tiny")
    assert caught.value.reason == "SOURCE_UNAVAILABLE"
    assert not list(store.list("results/"))
    hub._faults.clear()
    # A new process: what is in the store is not asked for again, and what is half here is gone on with.
    room = next((tmp_path / "work").iterdir())
    second = shards()["model-00002-of-00002.safetensors"]
    (room / "model-00002-of-00002.safetensors.part").write_bytes(second[:40])
    async with serve(hub_endpoint=hub.url) as client:
        model, _ = await client.model("hf:org/tiny")
    assert in_store(store, model.folder) == shards()
    assert hub.asked("GET", r"resolve/.*/model-00001") == 1
    assert not list((tmp_path / "work").iterdir())


async def test_a_part_that_is_not_of_this_file_is_found_out(
    serve, hub: HubDouble, store: Store, tmp_path: Path
) -> None:
    commit = hub.add_model("org/tiny", MODEL)
    room = tmp_path / "work" / hashlib.sha256(f"hf:org/tiny@{commit}".encode()).hexdigest()[:32]
    room.mkdir(parents=True)
    (room / "model.safetensors.part").write_bytes(b"x" * 1000)
    async with serve(hub_endpoint=hub.url) as client:
        model, _ = await client.model("hf:org/tiny")
    assert in_store(store, model.folder) == MODEL


async def test_bytes_that_are_not_what_the_hub_says_are_not_stored(serve, hub: HubDouble, store: Store) -> None:
    hub.add_model("org/tiny", MODEL)
    hub.change("org/tiny", "model.safetensors", WEIGHTS[:-1] + b"\xff")
    async with serve(hub_endpoint=hub.url) as client:
        with pytest.raises(Corrupt):
            await client.model("hf:org/tiny")
    assert not [key for key in store.list("models/") if key.endswith(("model.safetensors", "manifest.json"))]


async def test_a_busy_hub_is_asked_again(serve, hub: HubDouble) -> None:
    hub.add_model("org/tiny", MODEL)
    hub.fail("GET", r"/api/models/", 503, times=2)
    hub.fail("GET", r"/api/models/", 200, times=1, body=b"<html>maintenance</html>")
    hub.fail("GET", r"/resolve/", 429, times=2, headers={"Retry-After": "1"})
    hub.fail("GET", r"/cdn/", 0, times=1)
    async with serve(hub_endpoint=hub.url) as client:
        await client.model("hf:org/tiny")


async def test_a_hub_that_fails_is_told(serve, hub: HubDouble) -> None:
    hub.fail("*", ".", 500, times=1000)
    for endpoint in (hub.url, "http://127.0.0.1:9"):
        async with serve(hub_endpoint=endpoint) as client:
            with pytest.raises(Unavailable) as caught:
                await client.model("hf:org/tiny")
        assert caught.value.reason == "SOURCE_UNAVAILABLE"
    assert hub.asked("GET", "/api/models/") == 4


async def test_a_gated_model_needs_a_token(serve, hub: HubDouble, token: Path, store: Store) -> None:
    hub.add_model("org/tiny", MODEL, gated="manual")
    hub.add_model("org/closed", MODEL, gated="manual", granted=())
    async with serve(hub_endpoint=hub.url) as client:
        with pytest.raises(Refused, match="BOOKMILL_INGEST_HUB_TOKEN_FILE") as caught:
            await client.model("hf:org/tiny")
        assert caught.value.reason == "GATED"
    async with serve(hub_endpoint=hub.url, hub_token_file=token) as client:
        model, _ = await client.model("hf:org/tiny")
        with pytest.raises(Refused, match="granted access") as caught:
            await client.model("hf:org/closed")
        assert caught.value.reason == "GATED"
        replace(token, "hf_wrong")
        with pytest.raises(PermissionDenied) as denied:
            await client.model("hf:org/closed")
        assert denied.value.reason == "TOKEN_REFUSED"
        assert "hf_wrong" not in denied.value.message
    assert in_store(store, model.folder) == MODEL
    assert hub.tokens_seen == {READ_TOKEN, "hf_wrong"}


@pytest.mark.parametrize(
    ("uri", "kind", "reason"),
    [
        ("hf:org/absent", NotFound, "NO_SUCH_MODEL"),
        ("hf:org/tiny@v9", NotFound, "NO_SUCH_REVISION"),
        (f"hf:org/tiny@{'0' * 40}", NotFound, "NO_SUCH_REVISION"),
        ("hf:org/tiny-bnb-4bit", Refused, "ALREADY_QUANTISED"),
        ("hf:org/pickles", Refused, "ONLY_PICKLES"),
        ("hf:org/quantised", Refused, "ALREADY_QUANTISED"),
        ("hf:org/no-config", Refused, "INCOMPLETE_MODEL"),
        ("hf:org/no-tokenizer", Refused, "INCOMPLETE_MODEL"),
        ("hf:org/broken-config", Refused, "INCOMPLETE_MODEL"),
        ("hf:org/no-weights", Refused, "INCOMPLETE_MODEL"),
        ("hf:org/lacks-a-shard", Refused, "INCOMPLETE_MODEL"),
        ("hf:org/not-safetensors", Refused, "INCOMPLETE_MODEL"),
        ("hf:", InvalidInput, "BAD_URI"),
        ("hf:a/b/c", InvalidInput, "BAD_URI"),
        ("hf:../b", InvalidInput, "BAD_URI"),
        ("hf:a--b/c..d", InvalidInput, "BAD_URI"),
        ("hf:org/tiny@../../x?y", InvalidInput, "BAD_URI"),
        ("https://huggingface.co/org/tiny", InvalidInput, "UNKNOWN_SCHEME"),
        ("org/tiny", InvalidInput, "UNKNOWN_SCHEME"),
    ],
)
async def test_another_model_is_declined(
    serve, hub: HubDouble, store: Store, uri: str, kind: type[BookmillError], reason: str
) -> None:
    def without(*names: str, **changed: bytes) -> dict[str, bytes]:
        return {name: data for name, data in MODEL.items() if name not in names}

    def changed(name: str, data: bytes) -> dict[str, bytes]:
        return MODEL | {name: data}

    quantised = json.dumps(CONFIG | {"quantization_config": {"quant_method": "bitsandbytes"}}).encode()
    hub.add_model("org/tiny", MODEL)
    hub.add_model("org/tiny-bnb-4bit", MODEL)
    hub.add_model("org/pickles", without("model.safetensors") | {"pytorch_model.bin": b"\x80\x04K\x01."})
    hub.add_model("org/quantised", changed("config.json", quantised))
    hub.add_model("org/no-config", without("config.json"))
    hub.add_model("org/no-tokenizer", without("tokenizer.json"))
    hub.add_model("org/broken-config", changed("config.json", b"{"))
    hub.add_model("org/no-weights", without("model.safetensors"))
    incomplete = shards()
    del incomplete["model-00002-of-00002.safetensors"]
    hub.add_model("org/lacks-a-shard", incomplete)
    hub.add_model("org/not-safetensors", changed("model.safetensors", b"\x80\x04K\x01. and more bytes"))
    async with serve(hub_endpoint=hub.url) as client:
        with pytest.raises(kind) as caught:
            await client.model(uri)
    assert caught.value.reason == reason
    assert not [key for key in store.list("models/") if key.endswith("manifest.json")]
    assert not list(store.list("results/"))


async def test_an_unknown_scheme_names_the_known_ones(serve) -> None:
    async with serve() as client:
        with pytest.raises(InvalidInput) as caught:
            await client.model("git:org/tiny")
    assert caught.value.metadata["choices"] == "hf:, s3:, file:, upload:"


async def test_a_model_above_the_limit_is_declined_before_it_comes(serve, hub: HubDouble) -> None:
    hub.add_model("org/tiny", MODEL)
    async with serve(hub_endpoint=hub.url, model_limit=100_000) as client:
        with pytest.raises(Refused) as caught:
            await client.model("hf:org/tiny")
    assert caught.value.reason == "TOO_LARGE"
    assert hub.asked("GET", r"model\.safetensors") == 0


async def test_the_hubs_files_come_from_hosts_on_the_list_alone(serve, hub: HubDouble) -> None:
    hub.add_model("org/tiny", MODEL)
    async with serve(hub_endpoint=hub.url, exempt_hosts=("127.0.0.1",)) as client:
        with pytest.raises(PermissionDenied, match="localhost") as caught:
            await client.model("hf:org/tiny")
    assert caught.value.reason == "HOST_NOT_ALLOWED"


# --- file:, s3: and upload: ---------------------------------------------------------------------------------------


async def test_a_model_comes_from_a_folder(serve, store: Store, tmp_path: Path) -> None:
    root = tmp_path / "models"
    write(root / "tiny", MODEL | MORE)
    async with serve(roots=str(root)) as client:
        model, progress = await client.model(f"file:{root}/tiny")
        again, silence = await client.model("file:tiny")
    assert in_store(store, model.folder) == MODEL
    assert (model.resolved_uri, model.licence, model.parameters) == ("file:tiny", "apache-2.0", 300_000)
    assert progress[-1].progress.completed == progress[-1].progress.total
    assert (again, silence) == (model, [])


async def test_a_folder_that_changed_is_another_model(serve, tmp_path: Path) -> None:
    root = write(tmp_path / "models", {f"tiny/{name}": data for name, data in MODEL.items()})
    async with serve(roots=str(root)) as client:
        first, _ = await client.model("file:tiny")
        (root / "tiny" / "config.json").write_bytes(json.dumps(CONFIG | {"vocab_size": 7}).encode())
        second, _ = await client.model("file:tiny")
    assert first.folder != second.folder


async def test_a_folder_of_links_is_read_where_they_stay_inside(serve, store: Store, tmp_path: Path) -> None:
    """A cache of the Hub's client is made of links into its blobs."""
    root = tmp_path / "cache"
    blobs = write(root / "blobs", MODEL)
    snapshot = root / "snapshots" / "tiny"
    snapshot.mkdir(parents=True)
    for name in MODEL:
        (snapshot / name).symlink_to(blobs / name)
    outside = write(tmp_path / "outside", {"added_tokens.json": b'{"secret": 1}'})
    (snapshot / "added_tokens.json").symlink_to(outside / "added_tokens.json")
    async with serve(roots=str(root)) as client:
        model, _ = await client.model("file:snapshots/tiny")
    assert in_store(store, model.folder) == MODEL


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (
            {**{n: d for n, d in MODEL.items() if n != "model.safetensors"}, "pytorch_model.bin": b"\x80"},
            "ONLY_PICKLES",
        ),
        (MODEL | {"model.safetensors": b"version https://git-lfs.github.com/spec/v1\n"}, "INCOMPLETE_MODEL"),
        ({}, "INCOMPLETE_MODEL"),
    ],
)
async def test_a_folder_that_is_no_model_is_declined(
    serve, tmp_path: Path, files: dict[str, bytes], reason: str
) -> None:
    root = tmp_path / "models"
    (root / "tiny").mkdir(parents=True)
    write(root / "tiny", files)
    async with serve(roots=str(root)) as client:
        with pytest.raises(Refused) as caught:
            await client.model("file:tiny")
    assert caught.value.reason == reason


async def test_no_folder_outside_the_roots_is_read(serve, tmp_path: Path) -> None:
    write(tmp_path / "tiny", MODEL)
    root = tmp_path / "models"
    root.mkdir()
    (root / "escape").symlink_to(tmp_path / "tiny")
    write(root, {"file.txt": b""})
    async with serve(roots=str(root)) as client:
        for uri in (f"file:{tmp_path}/tiny", "file:../tiny", "file:escape"):
            with pytest.raises(PermissionDenied):
                await client.model(uri)
        for uri in ("file:absent", "file:file.txt"):
            with pytest.raises(NotFound) as caught:
                await client.model(uri)
            assert caught.value.reason == "NO_SUCH_MODEL"
    async with serve() as client:
        with pytest.raises(PermissionDenied):
            await client.model(f"file:{tmp_path}/tiny")


async def test_a_model_comes_from_a_bucket(serve, store: Store, store_environment: dict[str, str]) -> None:
    bucket = f"{store_environment['BOOKMILL_STORE_BUCKET']}-models"
    store._client.make_bucket(bucket)
    for name, data in (MODEL | MORE).items():
        store._client.put_object(bucket, f"mine/tiny/{name}", io.BytesIO(data), len(data))
    async with serve(s3_prefixes=f"{bucket}/mine") as client:
        model, progress = await client.model(f"s3:{bucket}/mine/tiny")
        again, silence = await client.model(f"s3://{bucket}/mine/tiny/")
        assert in_store(store, model.folder) == MODEL
        assert (model.resolved_uri, model.licence) == (f"s3:{bucket}/mine/tiny", "apache-2.0")
        assert progress
        assert (again, silence) == (model, [])
        for absent in ("absent", "tin", "tiny/config.json"):
            with pytest.raises(NotFound):
                await client.model(f"s3:{bucket}/mine/{absent}")
        with pytest.raises(PermissionDenied):
            await client.model(f"s3:{bucket}/others/tiny")
        with pytest.raises(NotFound):
            await client.model(f"s3:{bucket}/mine/tiny/original/none")
    # The digests that S3 does not know were written down, one a file, and are not read from the bucket again.
    digests = list(store.list("results/fetch_model_file/"))
    assert len(digests) == len(MODEL)
    for key in store.list("results/fetch_model/"):
        store.delete(key)
    for key in digests:
        store.put_record(key, {"sha256": hashlib.sha256(key.encode()).hexdigest()})
    async with serve(s3_prefixes=f"{bucket}/mine") as client:
        with pytest.raises(Corrupt):
            await client.model(f"s3:{bucket}/mine/tiny")


@pytest.mark.parametrize(
    "pack",
    [tarred, lambda f: tarred(f, "w:xz", "./"), lambda f: tarred(f, "w", ""), zipped, lambda f: zipped(f, "a/b/")],
)
async def test_a_model_comes_from_an_archive(
    serve, store: Store, tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    upload = store.put_bytes("uploads", pack(MODEL | MORE | {"deeper/config.json": b"{}"}))
    async with serve() as client:
        model, _ = await client.model(f"upload:{upload.sha256}")
        again, silence = await client.model(f"upload:{upload.sha256}")
    assert in_store(store, model.folder) == MODEL
    assert (model.resolved_uri, model.licence) == (f"upload:{upload.sha256}", "apache-2.0")
    assert (again, silence) == (model, [])
    assert not list((tmp_path / "work").iterdir())


def tar_of_links() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in MODEL:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no archive", "BAD_ARCHIVE"),
        (tarred(MODEL)[:-2000], "BAD_ARCHIVE"),
        (zipped(MODEL)[:-40], "BAD_ARCHIVE"),
        (
            tarred(MODEL, prefix="one/")
            and zipped({**{f"a/{n}": d for n, d in MODEL.items()}, "b/config.json": b"{}"}),
            "BAD_ARCHIVE",
        ),
        (zipped({"notes.txt": b"nothing"}), "INCOMPLETE_MODEL"),
        (tar_of_links(), "INCOMPLETE_MODEL"),
        (
            zipped({n: d for n, d in MODEL.items() if "safetensors" not in n} | {"pytorch_model.bin": b"\x80"}),
            "ONLY_PICKLES",
        ),
        (zipped(MODEL | {"bomb.txt": b"0" * 20_000_000}), "TOO_LARGE"),
        (tarred(MODEL | {"bomb.txt": b"0" * 20_000_000}), "TOO_LARGE"),
    ],
)
async def test_an_archive_that_is_no_model_is_declined(
    serve, store: Store, tmp_path: Path, data: bytes, reason: str
) -> None:
    upload = store.put_bytes("uploads", data)
    async with serve(model_limit=10_000_000) as client:
        with pytest.raises(Refused) as caught:
            await client.model(f"upload:{upload.sha256}")
        assert caught.value.reason == reason
        missing = hashlib.sha256(b"missing").hexdigest()
        with pytest.raises(NotFound) as absent:
            await client.model(f"upload:{missing}")
        assert absent.value.reason == "NO_SUCH_MODEL"
    assert not list((tmp_path / "work").iterdir())


async def test_members_that_lead_out_of_the_archive_lead_nowhere(serve, store: Store, tmp_path: Path) -> None:
    evil = {"../config.json": b"{}", "/config.json": b"{}", "..": b""}
    upload = store.put_bytes("uploads", zipped({f"m/{name}": data for name, data in MODEL.items()} | evil))
    async with serve() as client:
        with pytest.raises(Refused):
            await client.model(f"upload:{upload.sha256}")
    assert not (tmp_path / "config.json").exists()
    assert not (tmp_path / "work" / "config.json").exists()

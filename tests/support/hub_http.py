"""The routes of the Hub's double: reading, creating, large files, commits."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

from tests.support.hub_repositories import (
    REGULAR_LIMIT,
    Blobs,
    Commit,
    File,
    HubError,
    Repository,
    User,
    check_gate,
    check_read,
    check_write,
    goes_to_lfs,
    pointer,
)

LICENCES = {
    "apache-2.0",
    "mit",
    "cc0-1.0",
    "cc-by-4.0",
    "openrail",
    "llama3.2",
    "llama3",
    "gemma",
    "pddl",
    "unknown",
    "other",
}
PIPELINES = {"text-generation", "text-classification", "fill-mask", "feature-extraction"}
TREE_PAGE = 1000


@dataclass(slots=True)
class Request:
    """One request, parsed as far as every route needs it."""

    method: str
    target: str
    headers: dict[str, str]
    user: User | None
    body: Callable[[], bytes]
    save: Callable[[str], str]
    """Streams the body into the blobs under a provisional name and gives its SHA-256."""

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    def json(self) -> Any:
        try:
            return json.loads(self.body())
        except ValueError as error:
            raise HubError(400, "Body is not JSON") from error


@dataclass(slots=True)
class Reply:
    """An answer: bytes or a blob to stream."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: File | None = None


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


@dataclass(slots=True)
class Routes:
    """Answers requests from repositories and blobs."""

    repositories: dict[tuple[str, str], Repository]
    blobs: Blobs
    url: str = ""
    cdn: str = ""
    """Where large files are served and taken: another host's name, as the real Hub's is."""

    def answer(self, request: Request) -> Reply:
        path = request.path
        if path.startswith(("/cdn/", "/upload/")):
            return self._storage(request, path)
        if path == "/api/whoami-v2":
            return self._whoami(request)
        if path == "/api/repos/create":
            return self._create(request)
        if path == "/api/validate-yaml":
            return self._validate(request)
        if found := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+?)\.git/info/lfs/objects/(batch|verify)", path):
            return self._lfs(request, found[1] or "models", found[2], found[3])
        if found := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(request, found[1] or "models", found[2], found[3], found[4])
        if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/([a-z-]+)(?:/(.+))?)?", path):
            return self._api(request, found[1], found[2], found[3] or "revision", found[4] or "")
        raise HubError(404, "Not found")

    def _api(self, request: Request, kind: str, name: str, verb: str, rest: str) -> Reply:
        repository = check_read(self.repositories.get((kind, name)), request.user)
        # A revision with a slash arrives encoded; the path below it follows after an encoded part.
        raw = urlsplit(request.target).path.split("/")
        revision = unquote(raw[6]) if len(raw) > 6 else "main"
        below = "/".join(unquote(part) for part in raw[7:])
        if request.method == "GET" and verb == "revision":
            return as_json(info(repository, repository.commit(revision), "blobs" in request.query))
        if request.method == "GET" and verb == "tree":
            return self._tree(request, repository.commit(revision), below)
        if request.method == "POST" and verb == "preupload":
            check_write(repository.owner, request.user)
            return self._preupload(request, repository.commit(revision))
        if request.method == "POST" and verb == "commit":
            user = check_write(repository.owner, request.user)
            return self._commit(request, repository, user)
        raise HubError(404, f"No such route: {request.method} {verb}/{rest}")

    def _whoami(self, request: Request) -> Reply:
        if request.user is None:
            raise HubError(401, "Invalid username or password.")
        user = request.user
        token = {"accessToken": {"displayName": "test", "role": user.role}}
        orgs = [{"type": "org", "name": org} for org in user.orgs]
        return as_json({"type": "user", "id": user.name, "name": user.name, "orgs": orgs, "auth": token})

    def _create(self, request: Request) -> Reply:
        wanted = request.json()
        user = request.user
        owner = wanted.get("organization") or (user.name if user else "")
        check_write(owner, user)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}", wanted["name"]) or wanted["name"].endswith(".git"):
            raise HubError(400, f"Invalid repo name: {wanted['name']}")
        kind = {"model": "models", "dataset": "datasets"}[wanted.get("type", "model")]
        name = f"{owner}/{wanted['name']}"
        address = self.url + ("/datasets/" if kind == "datasets" else "/") + name
        if (kind, name) in self.repositories:
            raise HubError(409, f"You already created this {kind[:-1]} repo", url=address)
        repository = Repository(kind, name, private=wanted.get("visibility") == "private")
        attributes = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in (".gguf", ".parquet"))
        first = self.blobs.put(".gitattributes", attributes.encode())
        repository.append("initial commit", "", owner, {first.path: first})
        self.repositories[kind, name] = repository
        return as_json({"url": address, "name": name, "id": name})

    def _validate(self, request: Request) -> Reply:
        content = request.json()
        errors, warnings = front_matter_problems(content["content"], content.get("repoType", "model"))
        body = {"errors": [{"message": e} for e in errors], "warnings": [{"message": w} for w in warnings]}
        return as_json(body, 400 if errors else 200)

    def _preupload(self, request: Request, commit: Commit) -> Reply:
        answers = []
        for wanted in request.json()["files"]:
            lfs = goes_to_lfs(wanted["path"], base64.b64decode(wanted["sample"]), wanted["size"])
            answer = {
                "path": wanted["path"],
                "uploadMode": "lfs" if lfs else "regular",
                "shouldIgnore": False,
            }
            there = commit.files.get(wanted["path"])
            if there is not None:
                answer["oid"] = there.etag
            answers.append(answer)
        return as_json({"files": answers, "commitOid": commit.oid})

    def _lfs(self, request: Request, kind: str, name: str, verb: str) -> Reply:
        repository = check_read(self.repositories.get((kind, name)), request.user)
        check_write(repository.owner, request.user)
        wanted = request.json()
        if verb == "verify":
            there = self.blobs.has(wanted["oid"]) and self.blobs.path(wanted["oid"]).stat().st_size == wanted["size"]
            if not there:
                raise HubError(404, "Object was not uploaded")
            return as_json({})
        if wanted.get("hash_algo", "sha256") != "sha256" or "basic" not in wanted.get("transfers", ["basic"]):
            raise HubError(400, "Only sha256 and basic transfers")
        objects = []
        for item in wanted["objects"]:
            answer: dict[str, Any] = {"oid": item["oid"], "size": item["size"]}
            if not self.blobs.has(item["oid"]):
                upload = {"href": f"{self.cdn}/upload/{item['oid']}?size={item['size']}&X-Signature=signed"}
                verify = {"href": f"{self.url}{request.path.removesuffix('batch')}verify"}
                answer["actions"] = {"upload": upload, "verify": verify}
            objects.append(answer)
        return as_json({"transfer": "basic", "objects": objects})

    def _storage(self, request: Request, path: str) -> Reply:
        """Answers as the storage behind the Hub: signed addresses, and no Hub's token."""
        sha256 = path.split("/")[2]
        if "authorization" in request.headers or request.query.get("X-Signature") != "signed":
            raise HubError(400, "Only one auth mechanism allowed: the signature in the address")
        if request.method == "PUT" and path.startswith("/upload/"):
            if "content-length" not in request.headers:
                raise HubError(411, "MissingContentLength")
            got = request.save(sha256)
            size = self.blobs.part(sha256).stat().st_size
            if got != sha256 or str(size) != request.query.get("size"):
                raise HubError(400, "BadDigest")
            self.blobs.part(sha256).replace(self.blobs.path(sha256))
            return Reply(200, b"", {"ETag": f'"{got}"'})
        if request.method in ("GET", "HEAD") and self.blobs.has(sha256):
            return Reply(200, b"", {"ETag": f'"{sha256}"'}, self.blobs.file(sha256, sha256, True))
        raise HubError(404, "NoSuchKey")

    def _commit(self, request: Request, repository: Repository, user: User) -> Reply:
        lines = [json.loads(line) for line in request.body().splitlines() if line]
        if not lines or lines[0]["key"] != "header" or not lines[0]["value"].get("summary"):
            raise HubError(400, "The first line must be a header with a summary")
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, "", repository.head.oid):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repository.head.files)
        for line in lines[1:]:
            self._apply(line["key"], line["value"], files)
        readme = files.get("README.md")
        if readme is not None:
            errors, _ = front_matter_problems(self.blobs.path(readme.sha256).read_text("utf-8"), repository.kind[:-1])
            if errors:
                raise HubError(400, "; ".join(errors))
        commit = repository.append(header["summary"], header.get("description", ""), user.name, files)
        prefix = "datasets/" if repository.kind == "datasets" else ""
        address = f"{self.url}/{prefix}{repository.id}/commit/{commit.oid}"
        return as_json({"success": True, "commitOid": commit.oid, "commitUrl": address, "hookOutput": ""})

    def _apply(self, key: str, value: dict[str, Any], files: dict[str, File]) -> None:
        path = value["path"]
        if path.startswith("/") or ".." in path.split("/"):
            raise HubError(400, f"Bad path {path}")
        if key == "file":
            data = base64.b64decode(value["content"], validate=True)
            if len(data) > REGULAR_LIMIT or goes_to_lfs(path, data[:512], len(data)):
                raise HubError(400, f"{path} must be in LFS")
            files[path] = self.blobs.put(path, data, lfs=False)
        elif key == "lfsFile":
            if value["algo"] != "sha256" or not self.blobs.has(value["oid"]):
                raise HubError(400, f"LFS object {value['oid']} of {path} was not uploaded")
            files[path] = self.blobs.file(path, value["oid"], lfs=True)
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
        else:
            raise HubError(400, f"Unknown operation {key}")

    def _tree(self, request: Request, commit: Commit, below: str) -> Reply:
        entries = list(tree(commit, below, request.query.get("recursive", "").lower() == "true"))
        if below and not entries:
            raise HubError(404, f"{below} does not exist on {commit.oid}", "EntryNotFound")
        start = int(request.query.get("cursor", 0))
        headers = {}
        if start + TREE_PAGE < len(entries):
            target = urlsplit(request.target).path
            rest = "&".join(f"{k}={quote(v)}" for k, v in request.query.items() if k != "cursor")
            headers["Link"] = f'<{self.url}{target}?{rest}&cursor={start + TREE_PAGE}>; rel="next"'
        return as_json(entries[start : start + TREE_PAGE], **headers)

    def _resolve(self, request: Request, kind: str, name: str, revision: str, path: str) -> Reply:
        repository = check_read(self.repositories.get((kind, name)), request.user)
        commit = repository.commit(revision)
        check_gate(repository, request.user)
        file = commit.files.get(path)
        if file is None:
            raise HubError(404, "Entry not found", "EntryNotFound")
        headers = {"X-Repo-Commit": commit.oid, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
        if not file.lfs:
            return Reply(200, b"", headers, file)
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
        headers["Location"] = f"{self.cdn}/cdn/{file.sha256}?X-Signature=signed"
        return Reply(302, b"", headers)


def info(repository: Repository, commit: Commit, blobs: bool) -> dict[str, Any]:
    """Describes a repository as `/api/models/ID` does."""
    siblings = []
    for file in commit.files.values():
        sibling: dict[str, Any] = {"rfilename": file.path}
        if blobs:
            sibling |= {"size": file.size, "blobId": file.git_oid}
            if file.lfs:
                sibling["lfs"] = {
                    "sha256": file.sha256,
                    "size": file.size,
                    "pointerSize": len(pointer(file.sha256, file.size)),
                }
        siblings.append(sibling)
    card = {"license": repository.licence} if repository.licence else {}
    return {
        "_id": repository.id, "id": repository.id, "modelId": repository.id, "author": repository.owner,
        "sha": commit.oid, "private": repository.private, "gated": repository.gated, "disabled": False,
        "lastModified": "2026-01-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z", "downloads": 0, "likes": 0,
        "tags": [f"license:{repository.licence}"] if card else [], "cardData": card, "siblings": siblings,
    }  # fmt: skip


def tree(commit: Commit, below: str, recursive: bool) -> Iterator[dict[str, Any]]:
    """Lists a folder, its folders first seen first, as the Hub does."""
    prefix = f"{below}/" if below else ""
    folders: set[str] = set()
    for path in sorted(commit.files):
        if not path.startswith(prefix):
            continue
        parts = path.removeprefix(prefix).split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            folder = prefix + "/".join(parts[:depth])
            if folder not in folders:
                folders.add(folder)
                yield {
                    "type": "directory",
                    "oid": hashlib.sha1(folder.encode()).hexdigest(),
                    "size": 0,
                    "path": folder,
                }
        if recursive or len(parts) == 1:
            file = commit.files[path]
            entry: dict[str, Any] = {"type": "file", "oid": file.git_oid, "size": file.size, "path": path}
            if file.lfs:
                entry["lfs"] = {
                    "oid": file.sha256,
                    "size": file.size,
                    "pointerSize": len(pointer(file.sha256, file.size)),
                }
            yield entry


def front_matter_problems(content: str, kind: str) -> tuple[list[str], list[str]]:
    """Checks a card's metadata as the Hub does: errors and warnings."""
    found = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    if not found:
        return [], ["empty or missing yaml metadata in repo card"]
    try:
        data = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return [f"invalid yaml: {error}"], []
    if not isinstance(data, dict):
        return ["metadata must be a mapping"], []
    errors = []
    licences = data.get("license", [])
    for licence in licences if isinstance(licences, list) else [licences]:
        if licence not in LICENCES:
            errors.append(f'"license" must be one of {sorted(LICENCES)}, not {licence!r}')
    for language in data.get("language", []):
        if not isinstance(language, str) or not re.fullmatch(r"[a-z]{2,3}", language):
            errors.append(f'"language" must be ISO 639 codes, not {language!r}')
    for name in ("tags", "datasets", "task_categories", "base_model"):
        value = data.get(name, [])
        if not all(isinstance(v, str) for v in (value if isinstance(value, list) else [value])):
            errors.append(f'"{name}" must be strings')
    if kind == "model" and data.get("pipeline_tag", "text-generation") not in PIPELINES:
        errors.append(f'"pipeline_tag" must be one of {sorted(PIPELINES)}')
    for model in [data["base_model"]] if isinstance(data.get("base_model"), str) else data.get("base_model", []):
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
            errors.append(f'"base_model" {model!r} is not a Hub id')
    for value in data.get("size_categories", []):
        if not re.fullmatch(r"n<1K|1K<n<10K|10K<n<100K|100K<n<1M|1M<n<10M|n>1T", value):
            errors.append(f'"size_categories" {value!r}')
    return errors, []

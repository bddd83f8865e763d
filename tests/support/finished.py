"""A finished export and its dataset in a store, as the exporter leaves them, without any training."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from bookmill.v1 import export_pb2, object_pb2
from services.common.canonical import canonical_json
from services.common.steps import record
from services.common.storage import Store
from services.export.step import EXPORT

BOOKS = {
    "books": [
        {"id": "gutenberg:900002", "title": "The Lamp", "author": "Ada Wren", "source": "gutenberg:900002"},
        {"id": "gutenberg:900001", "title": "A Cold House", "author": "Tom Ash", "source": "gutenberg:900001"},
    ]
}
MODELFILE = """FROM ./tale.q4_k_m.gguf
TEMPLATE \"\"\"{{ .Prompt }}\"\"\"
PARAMETER num_ctx 256
PARAMETER temperature 0.8
PARAMETER stop "<|endoftext|>"
"""
FIGURES = {"base": 30.0, "adapter": 20.0, "merged": 20.01, "f16": 20.02, "q4_k_m": 20.9}


@dataclass
class Finished:
    """What an export leaves in the store; change a part before `save` to get one that must be refused."""

    store: Store
    folder: Path
    figures: dict[str, float] = field(default_factory=lambda: dict(FIGURES))
    reported: dict[str, float] | None = None
    """Perplexities of the report, when they are to differ."""
    parity: list[dict[str, object]] = field(
        default_factory=lambda: [{"subject": s, "apart": 0.001, "bound": 0.01} for s in ("merged", "f16", "q4_k_m")]
    )
    gguf: dict[str, bytes] = field(
        default_factory=lambda: {"f16": b"GGUF" + b"\0\1" * 40_000, "q4_k_m": b"GGUF" + b"\2\3" * 15_000}
    )
    tokens: int = 500
    modelfile: str = MODELFILE

    def books(self) -> object_pb2.ObjectReference:
        """Stores the list of books."""
        return self.store.put_bytes("manifests", canonical_json(BOOKS), ".json").to_proto()

    def dataset(self) -> object_pb2.ObjectReference:
        """Stores a dataset of two splits; the bytes only look like parquet."""
        return self._folder("datasets", {"train.parquet": b"PAR1\0" * 3000, "test.parquet": b"PAR1\0" * 300})

    def save(self) -> str:
        """Stores everything, the record last, and gives the job's name."""
        spec = export_pb2.ExportSpec(
            base_model=self._folder("models", {"config.json": b'{"base": 1}', "model.safetensors": b"\0" * 90}),
            adapter=self._folder("adapters", {"adapter_model.safetensors": b"\1" * 80}),
            dataset=self.dataset(),
            quantizations=["q4_k_m"],
            model_name="tale",
            context_length=256,
            parity_tokens=512,
            bounds=export_pb2.ParityBounds(merged=0.01, f16=0.01, quantized=0.1),
        )
        perplexities = [{"subject": s, "value": v, "tokens": self.tokens} for s, v in self.figures.items()]
        reported = [{"subject": s, "value": v} for s, v in (self.reported or self.figures).items()]
        report = {"perplexities": reported, "parity": self.parity}
        result = export_pb2.ExportResult(
            merged=self._folder("models", {"config.json": b"{}", "model.safetensors": b"\2" * 5000}),
            files=[self._file(name, data) for name, data in self.gguf.items()],
            modelfile=self.store.put_bytes("models", self.modelfile.encode(), ".Modelfile").to_proto(),
            report=self.store.put_bytes("reports", canonical_json(report), ".json").to_proto(),
            perplexities=[export_pb2.Perplexity(**p) for p in perplexities],
            samples=[export_pb2.Sample(prompt="The door", base=" opened.\nTwice.", tuned=" was ```shut```.")],
        )
        hashed = EXPORT.key(spec)
        record(self.store, EXPORT, hashed, spec, result)
        return f"exportJobs/export-{hashed[:20]}"

    def _file(self, quantization: str, data: bytes) -> export_pb2.ModelFile:
        file = self.store.put_bytes("models", data, ".gguf").to_proto()
        name = f"tale.{quantization}.gguf"
        return export_pb2.ModelFile(quantization=quantization, file_name=name, file=file, bits_per_weight=4.5)

    def _folder(self, area: str, files: dict[str, bytes]) -> object_pb2.ObjectReference:
        name = hashlib.sha256(canonical_json([area, *sorted(files)]) + b"".join(files.values())).hexdigest()
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for path, data in files.items():
            (folder / path).write_bytes(data)
        return self.store.put_folder(area, folder).to_proto()

"""Quantised files, against those that llama.cpp's own quantiser writes."""

import hashlib
from pathlib import Path

import gguf
import numpy as np
import pytest

from services.export.job.layout import read_frame
from services.export.job.quantizations import QUANTIZATIONS, quantization
from services.export.job.quantizing import quantize
from services.jobs.exits import NotFinite
from tests.support.plain_gguf import write_plain_gguf

# SHA-256 of what `llama_model_quantize` of llama.cpp (b10605) makes of `write_plain_gguf`: tied with rows that fall
# back, and not tied with rows that fit.
OF_LLAMA_CPP = {
    "q4_0": (
        "e9f89088498083744c9834a51839ff7ec1bc465e457e6118632f55b0905e3383",
        "70c3ef909cb3f091c6f155c2e17781df0b9531232f3e648f0f51600fee468b31",
    ),
    "q4_1": (
        "1acd6dab41e4ae457a41a2ddc0cb054ec9d600422229c21579f65b8644c3616c",
        "665cd2a8fac1d994212a6bf2379ca371a40d82efc563e0d7dafe9a1d1744a261",
    ),
    "q5_0": (
        "8510236f9793d48ed9f686e3b190039fd9ad752e3672079bedf3502a4e1dd6c4",
        "ea53d0a8c0bde52400a09dfc50f395a8d241f215335b956d0454bb38617ca81a",
    ),
    "q5_1": (
        "d02f3bc3796f1c7aa359a06ecdacf29d4b4a57ed3621edac4a789500e58c2d7a",
        "0adef6c8dff33c6e162218ea8b19a547d63f5e4b9e9ad4a69565f623781b3e09",
    ),
    "q8_0": (
        "5df3151661da50b63d1a86d3362c83e0eb704c3a4a7d32166afef5b283883934",
        "de6734e4a9fd393e559021008a70c3845b296a1b57ea3c1597d5dbde7761d1f6",
    ),
    "q4_k_s": (
        "c7db44b76748c015e37006410d768012a4c58a9ca935e8af8130d8c3c4afb04f",
        "4f43005da94409ca0405d7ef7e53f2153dd13f8c97949bd2ea01f53477558caa",
    ),
    "q4_k_m": (
        "246264765ca9559bdef571ff2b028b505644bf6e6367ecd1e034434292f64897",
        "4c6117422370a6fda7f810c1658dbe760b1f8d2bd39ef113b22a6aae79e368d2",
    ),
    "q5_k_s": (
        "227a1a645549715b83168222a6786eeaad479523554697978c28c33c66c2ec5e",
        "d9cb89a4836d0b7897b854cb4c8747eb8c1da875b7324fe06b226c9a000a0e79",
    ),
    "q5_k_m": (
        "3be6555778e022e9e620fc02f851624932fe4e0c351614f7e9dad275394a7d4f",
        "e460f49cd48c983a7bfd2876a0c1b96cb6ebb69896531e7a358168a81f45250f",
    ),
    "q6_k": (
        "f8074152b73a39776138e40380a82a5de99eea478acdc9157acb6c568a3c3a9a",
        "d22363a886e253d7d5a37ff51dbbde226c78f8a7640ca47fb722946e6de2b0d4",
    ),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("plain")
    write_plain_gguf(folder / "tied.gguf", inner=320, tied=True)
    write_plain_gguf(folder / "untied.gguf", inner=512, tied=False)
    return folder / "tied.gguf", folder / "untied.gguf"


@pytest.mark.parametrize("name", [row.name for row in QUANTIZATIONS])
def test_bytes_are_those_of_llama_cpp(name: str, sources: tuple[Path, Path], tmp_path: Path) -> None:
    made = []
    for source in sources:
        quantize(source, tmp_path / "made.gguf", quantization(name))
        made.append(hashlib.sha256((tmp_path / "made.gguf").read_bytes()).hexdigest())
    assert tuple(made) == OF_LLAMA_CPP[name]
    assert [path.name for path in tmp_path.iterdir()] == ["made.gguf"]


def test_a_reader_of_others_finds_the_weights_again(sources: tuple[Path, Path], tmp_path: Path) -> None:
    quantize(sources[0], tmp_path / "made.gguf", quantization("q8_0"))
    before = {tensor.name: tensor for tensor in gguf.GGUFReader(sources[0]).tensors}
    for tensor in gguf.GGUFReader(tmp_path / "made.gguf").tensors:
        source = before[tensor.name]
        wanted = np.asarray(source.data, np.float32)
        found = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert tuple(tensor.shape) == tuple(source.shape)
        assert np.abs(found - wanted).max() <= np.abs(wanted).max() / 127


def test_the_frame_is_kept_and_counts_bits(sources: tuple[Path, Path], tmp_path: Path) -> None:
    quantize(sources[0], tmp_path / "made.gguf", quantization("q4_0"))
    source, made = read_frame(sources[0]), read_frame(tmp_path / "made.gguf")
    changed = {entry.key for entry in source.entries} ^ {entry.key for entry in made.entries}
    assert not changed
    assert made.value("general.file_type") == 2
    assert made.value("general.name") == "plain"
    assert 16 < source.bits_per_weight < 16.1
    assert 4.5 < made.bits_per_weight < 5


def test_progress_reaches_the_end_and_may_stop_it(sources: tuple[Path, Path], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    quantize(sources[0], tmp_path / "made.gguf", quantization("q4_0"), lambda *pair: seen.append(pair))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    (tmp_path / "made.gguf").unlink()
    with pytest.raises(KeyboardInterrupt):
        quantize(sources[0], tmp_path / "made.gguf", quantization("q4_0"), stop)
    assert not list(tmp_path.iterdir())


def test_a_weight_that_is_no_number_is_refused(sources: tuple[Path, Path], tmp_path: Path) -> None:
    frame = read_frame(sources[0])
    tensor = next(tensor for tensor in frame.tensors if tensor.name == "blk.3.ffn_down.weight")
    data = bytearray(sources[0].read_bytes())
    data[tensor.start + 10 : tensor.start + 12] = np.float16("nan").tobytes()
    (tmp_path / "broken.gguf").write_bytes(data)
    with pytest.raises(NotFinite, match=r"blk\.3\.ffn_down\.weight"):
        quantize(tmp_path / "broken.gguf", tmp_path / "made.gguf", quantization("q4_k_m"))


def test_what_is_no_gguf_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_bytes(b"It was a dark and stormy night.")
    with pytest.raises(ValueError, match=r"text\.gguf is no GGUF"):
        read_frame(tmp_path / "text.gguf")

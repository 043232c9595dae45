"""A FLAME file reads the same from every kind of file, and a wrong file gets one sentence."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from safetensors.numpy import save_file

from addon.exchange.errors import HeadFileError
from ml_backend.head.flame_file import FlameArrays, flame_from_arrays, read_flame_file

FIXTURE = Path(__file__).resolve().parents[2] / "shared" / "flame" / "flame_fixture.pkl"
NO_PARENT = 4294967295


def small_flame(vertices: int = 40, joints: int = 5, components: int = 400) -> dict[str, np.ndarray]:
    """FLAME's arrays for a mesh of random points."""
    random = np.random.default_rng(7)
    weights = random.random((vertices, joints))
    regressor = np.zeros((joints, vertices))
    regressor[np.arange(joints), np.arange(joints)] = 1
    return {
        "v_template": random.uniform(-0.1, 0.1, (vertices, 3)),
        "shapedirs": random.normal(size=(vertices, 3, components)).astype(np.float32),
        "posedirs": random.normal(size=(vertices, 3, 9 * (joints - 1))),
        "J_regressor": regressor,
        "kintree_table": np.array([[NO_PARENT, 0] + [1] * (joints - 2), range(joints)], np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
        "f": random.integers(0, vertices, (70, 3)).astype(np.uint32),
    }


def same_flame(left: FlameArrays, right: FlameArrays) -> bool:
    names = set(left.__dataclass_fields__) - {"file_name"}
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in names)


def test_every_kind_of_file_reads_the_same(tmp_path: Path) -> None:
    arrays = small_flame()
    sparse = {**arrays, "J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"])}
    paths = [tmp_path / name for name in ("dense.pkl", "sparse.pkl", "dense.npz", "sparse.npz", "dense.safetensors")]
    paths[0].write_bytes(pickle.dumps({**arrays, "bs_type": "lrotmin"}, protocol=2))
    paths[1].write_bytes(pickle.dumps(sparse, protocol=4))
    np.savez(paths[2], **arrays)
    np.savez_compressed(paths[3], **sparse)
    save_file(arrays, paths[4])
    expected = flame_from_arrays(arrays, "")
    assert expected.shape_basis.shape == (40, 3, 300)
    assert np.array_equal(expected.expression_basis, arrays["shapedirs"][:, :, 300:])
    for path in paths:
        assert same_flame(read_flame_file(path), expected), path.name


def test_fewer_expressions_are_kept_and_surplus_ones_dropped() -> None:
    assert flame_from_arrays(small_flame(components=350), "").expression_basis.shape[2] == 50
    assert flame_from_arrays(small_flame(components=500), "").expression_basis.shape[2] == 100


@pytest.mark.skipif(not FIXTURE.exists(), reason="the FLAME fixture is not here")
def test_fixture_is_flame() -> None:
    flame = read_flame_file(FIXTURE)
    assert flame.template.shape == (5023, 3)
    assert flame.triangles.shape == (9976, 3)
    assert flame.shape_basis.shape == (5023, 3, 300)
    assert flame.expression_basis.shape == (5023, 3, 100)
    # the right eye is the left one mirrored
    assert np.allclose(flame.joints[3] * [-1, 1, 1], flame.joints[4], atol=1e-3)


WRONG = {
    "a body (SMPL)": (small_flame(6890, 24, 10), "6,890 vertices and 24 joints where a head has 5"),
    "no expressions": (small_flame(components=10), "shapedirs is (40, 3, 10)"),
    "other joint tree": (
        {**small_flame(), "kintree_table": np.array([[NO_PARENT, 0, 1, 2, 3], range(5)], np.uint32)},
        "its joints hang together as [0, 1, 2, 3]",
    ),
    "triangles beyond the vertices": ({**small_flame(vertices=40), "f": np.full((9, 3), 40)}, "not there"),
    "triangles as numbers": ({**small_flame(), "f": np.zeros((9, 3))}, "not a list of triangles"),
    "regressor of another mesh": ({**small_flame(), "J_regressor": np.zeros((5, 41))}, "J_regressor is (5, 41)"),
    "millimetres": ({**small_flame(), "v_template": small_flame()["v_template"] * 1000}, "m high"),
    "not finite": ({**small_flame(), "posedirs": np.full((40, 3, 36), np.nan)}, "posedirs holds numbers"),
    "weights": ({**small_flame(), "weights": np.full((40, 5), 0.3)}, "do not sum to one"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_model_gets_one_sentence(kind: str, tmp_path: Path) -> None:
    arrays, reason = WRONG[kind]
    path = tmp_path / "model.npz"
    np.savez(path, **arrays)
    with pytest.raises(HeadFileError) as error:
        read_flame_file(path)
    assert error.value.code == "not_flame"
    assert error.value.message.startswith("model.npz is not a FLAME model: ")
    assert reason in error.value.message
    assert error.value.hint


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    path = tmp_path / "masks.pkl"
    path.write_bytes(pickle.dumps({"v_template": np.zeros((3, 3)), "face": np.arange(3)}))
    with pytest.raises(HeadFileError, match="it has no shapedirs, posedirs, J_regressor, kintree_table, weights, f"):
        read_flame_file(path)


@pytest.mark.parametrize("name", ["model.pkl", "model.npz", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x02", b"{}", b"\x00" * 64])
def test_damaged_file_gets_one_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(HeadFileError) as error:
        read_flame_file(path)
    assert error.value.code in ("head_file_damaged", "not_flame")


def test_cut_off_npz_gets_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    np.savez_compressed(path, **small_flame())
    data = bytearray(path.read_bytes())
    data[2000:2100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(HeadFileError, match="damaged"):
        read_flame_file(path)


def test_malicious_array_in_npz_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "it ran"

    class Payload:
        def __reduce__(self):
            return eval, (f"open({str(marker)!r}, 'w').close()",)

    path = tmp_path / "model.npz"
    np.savez(path, **{**small_flame(), "J_regressor": np.array(Payload(), dtype=object)})
    with pytest.raises(HeadFileError, match=r"asks for (__builtin__|builtins)\.eval"):
        read_flame_file(path)
    assert not marker.exists()
    np.load(path, allow_pickle=True)["J_regressor"]
    assert marker.exists()


def test_other_kinds_and_missing_files_are_said() -> None:
    with pytest.raises(HeadFileError, match=r"head\.obj is not a \.pkl"):
        read_flame_file(Path("head.obj"))
    with pytest.raises(HeadFileError, match="cannot be read"):
        read_flame_file(Path("nowhere") / "flame.pkl")

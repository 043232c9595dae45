"""FLAME's official side files are found by name, win where they speak, and are refused when they are something else."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from addon.exchange.errors import HeadFileError
from ml_backend.head.flame_file import FlameArrays, flame_from_arrays, read_flame_file
from ml_backend.head.transfer_official_files import official_files, read_official_files
from tests.test_flame_file import small_flame

SIDE_FILES = Path(__file__).resolve().parents[2] / "shared" / "flame"
needs_fixture = pytest.mark.skipif(not SIDE_FILES.exists(), reason="FLAME's side files are not here")


@pytest.fixture
def flame() -> FlameArrays:
    return flame_from_arrays(small_flame(), "flame.npz")


@pytest.fixture
def derived() -> dict[str, np.ndarray]:
    return {
        "landmarks_478_triangle": np.zeros(478, np.int32),
        "landmarks_478_barycentric": np.full((478, 3), 1 / 3, np.float32),
        "landmarks_478_weight": np.full(478, 0.5, np.float32),
    }


def embedding(count: tuple[int, ...], triangles: int = 70) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(4)
    return random.integers(0, triangles, count), random.dirichlet(np.ones(3), count)


def save_landmarks(folder: Path, triangles: int = 70) -> None:
    content = {}
    for name, count in (("full", (1, 68)), ("dynamic", (79, 17)), ("static", (51,))):
        content[f"{name}_lmk_faces_idx"], content[f"{name}_lmk_bary_coords"] = embedding(count, triangles)
    np.save(folder / "landmark_embedding.npy", np.array(content, dtype=object), allow_pickle=True)


def test_nothing_beside_the_model_changes_nothing(tmp_path: Path, flame: FlameArrays) -> None:
    (tmp_path / "below").mkdir()
    save_landmarks(tmp_path / "below")
    assert official_files(tmp_path / "flame.npz") == {}
    assert read_official_files(tmp_path / "flame.npz", flame, {}) == {}


def test_landmarks_and_contour_are_taken_over(tmp_path: Path, flame: FlameArrays) -> None:
    save_landmarks(tmp_path)
    arrays = read_official_files(tmp_path / "flame.npz", flame, {})
    triangle, barycentric = embedding((1, 68))
    assert np.array_equal(arrays["landmarks_68_triangle"], triangle[0])
    assert np.allclose(arrays["landmarks_68_barycentric"], barycentric[0])
    assert arrays["contour_triangle"].shape == (79, 17)
    assert np.allclose(np.degrees(arrays["contour_yaw"]), np.arange(-39, 40), atol=1e-4)
    assert np.array_equal(arrays["contour_triangle"][39], embedding((79, 17))[0][0])


def test_mediapipe_points_replace_only_their_own(
    tmp_path: Path, flame: FlameArrays, derived: dict[str, np.ndarray]
) -> None:
    triangle, barycentric = embedding((105,))
    index = np.arange(105) * 3
    np.savez(
        tmp_path / "mediapipe_landmark_embedding.npz",
        lmk_face_idx=triangle.astype(np.uint32),
        lmk_b_coords=barycentric,
        landmark_indices=index,
    )
    arrays = read_official_files(tmp_path / "flame.npz", flame, derived)
    assert np.array_equal(arrays["landmarks_478_triangle"][index], triangle)
    assert (arrays["landmarks_478_weight"][index] == 1).all()
    assert arrays["landmarks_478_weight"][1] == 0.5
    assert derived["landmarks_478_weight"].max() == 0.5


def test_regions_are_taken_over(tmp_path: Path, flame: FlameArrays) -> None:
    masks = {"face": np.arange(9), "left_ear": np.array([1, 2]), "right_ear": np.array([30])}
    (tmp_path / "FLAME_masks.pkl").write_bytes(pickle.dumps(masks, protocol=2))
    arrays = read_official_files(tmp_path / "flame.npz", flame, {})
    assert set(arrays) == {"mask_face", "mask_ears"}
    assert np.flatnonzero(arrays["mask_ears"]).tolist() == [1, 2, 30]


def test_texture_layout_follows_the_models_triangles(tmp_path: Path, flame: FlameArrays) -> None:
    """The .obj has the faces shuffled and turned; each corner still gets its own coordinates."""
    triangles = np.array([[0, 1, 2], [2, 1, 3], [3, 4, 0]], np.uint32)
    model = flame_from_arrays({**small_flame(), "f": triangles}, "flame.npz")
    uv = np.linspace(0.05, 0.95, 18).reshape(9, 2)
    lines = [f"vt {u} {v}" for u, v in uv]
    for row in (2, 0, 1):
        corners = [f"{triangles[row][i] + 1}/{3 * row + i + 1}/7" for i in (1, 2, 0)]
        lines.append("f " + " ".join(corners))
    (tmp_path / "head_template.obj").write_text("# made by hand\n" + "\n".join(lines) + "\n")
    arrays = read_official_files(tmp_path / "flame.npz", model, {})
    assert np.allclose(arrays["official_uv"][arrays["official_uv_triangles"]], uv.reshape(3, 3, 2))


WRONG = {
    "landmark_embedding.npy": [b"", b"\x93NUMPY", b"text"],
    "mediapipe_landmark_embedding.npz": [b"", b"PK\x03\x04", b"text"],
    "head_template.obj": [b"", b"f 1/1 2/2 3/3\n", b"v a b c\nvt x y\n", b"\xff\xfe\x00"],
}


@pytest.mark.parametrize("name", WRONG)
def test_damaged_side_file_gets_one_sentence(name: str, tmp_path: Path, flame: FlameArrays) -> None:
    for content in WRONG[name]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HeadFileError) as error:
            read_official_files(tmp_path / "flame.npz", flame, {})
        assert name in error.value.message
        assert error.value.hint


def test_side_file_of_another_mesh_is_refused(tmp_path: Path, flame: FlameArrays) -> None:
    save_landmarks(tmp_path, triangles=9976)
    with pytest.raises(HeadFileError, match="triangles that are not there"):
        read_official_files(tmp_path / "flame.npz", flame, {})


@pytest.mark.parametrize("name", ["FLAME_masks.pkl", "landmark_embedding.npy"])
def test_malicious_side_file_is_refused(name: str, tmp_path: Path, flame: FlameArrays) -> None:
    marker = tmp_path / "it ran"

    class Payload:
        def __reduce__(self):
            return eval, (f"open({str(marker)!r}, 'w').close()",)

    content = {"face": Payload(), "full_lmk_faces_idx": Payload()}
    if name.endswith(".npy"):
        np.save(tmp_path / name, np.array(content, dtype=object), allow_pickle=True)
    else:
        (tmp_path / name).write_bytes(pickle.dumps(content))
    with pytest.raises(HeadFileError, match=r"(__builtin__|builtins)\.eval"):
        read_official_files(tmp_path / "flame.npz", flame, {})
    assert not marker.exists()


@needs_fixture
def test_official_files_read_as_other_readers_read_them() -> None:
    """numpy and torch's own readers are the oracle; the files are FLAME's real ones."""
    flame = read_flame_file(SIDE_FILES / "flame_fixture.pkl")
    derived = {
        "landmarks_478_triangle": np.zeros(478, np.int32),
        "landmarks_478_barycentric": np.zeros((478, 3), np.float32),
        "landmarks_478_weight": np.zeros(478, np.float32),
    }
    arrays = read_official_files(SIDE_FILES / "flame_fixture.pkl", flame, derived)
    content = np.load(SIDE_FILES / "landmark_embedding.npy", allow_pickle=True, encoding="latin1")[()]
    assert np.array_equal(arrays["landmarks_68_triangle"], content["full_lmk_faces_idx"][0])
    entry = 39 - 20  # sorted by yaw, the straight view is in the middle
    dynamic = content["dynamic_lmk_faces_idx"].numpy()
    assert any(np.array_equal(arrays["contour_triangle"][entry], dynamic[row]) for row in (20, 39 + 20))
    masks = pickle.loads((SIDE_FILES / "FLAME_masks.pkl").read_bytes(), encoding="latin1")
    assert np.array_equal(np.flatnonzero(arrays["mask_face"]), np.unique(masks["face"]))
    # a head turned to its left shows less of its left cheek: the contour there moves towards the nose
    points = np.einsum(
        "ynk,ynkc->ync", arrays["contour_barycentric"], flame.template[flame.triangles[arrays["contour_triangle"]]]
    )
    assert points[-1, 12:, 2].mean() > points[39, 12:, 2].mean() + 0.01
    assert (arrays["landmarks_478_weight"] == 1).sum() == 105
    assert arrays["official_uv_triangles"].shape == flame.triangles.shape

"""The tracker on real pictures, against MediaPipe's own landmarks.

The astronaut portrait is put into `.cache` by build.py; the other photos lie beside the repository. Where they are
absent, the tests that need them are skipped.
"""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from addon.exchange.errors import AssetMissing
from ml_backend.tracking import landmark_topology as topology
from ml_backend.tracking.face_tracker import FaceTracker, region_of_landmarks

ROOT = Path(__file__).resolve().parents[1]
ASTRONAUT = ROOT / ".cache" / "astronaut.png"
ASTRONAUT_LANDMARKS = Path(__file__).with_name("test_tracking_astronaut_landmarks.json")
PHOTOS = ROOT.parent / "shared" / "photos"
MEDIAPIPE_LANDMARKS = PHOTOS / "mediapipe_478.json"

CROP_PX = 192
# MediaPipe's agreement that the tracker must reach: mean distance in the 192-px crop
AGREEMENT_PX = 0.3

needs_astronaut = pytest.mark.skipif(not ASTRONAUT.is_file(), reason="the astronaut portrait is not in .cache")
needs_photos = pytest.mark.skipif(not MEDIAPIPE_LANDMARKS.is_file(), reason="no test photos beside the repository")


@pytest.fixture(scope="module")
def tracker() -> FaceTracker:
    return FaceTracker()


@pytest.fixture(scope="module")
def one_pass() -> FaceTracker:
    """What MediaPipe does with still images."""
    return FaceTracker(passes=1)


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    return read_photo(ASTRONAUT)


def read_photo(path: Path) -> np.ndarray:
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def crop_px(distance: np.ndarray, landmarks: np.ndarray) -> float:
    """A distance in pixels of the photo, as pixels of the crop that the landmark network reads."""
    return float(distance.mean()) * CROP_PX / region_of_landmarks(landmarks).side


def distances(landmarks: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.linalg.norm(landmarks[:, :2] - others[:, :2], axis=1)


def relative_error(landmarks: np.ndarray, others: np.ndarray) -> float:
    """Mean distance over the face's longer side."""
    return float(distances(landmarks, others).mean() / np.ptp(others[:, :2], axis=0).max())


def place(image: np.ndarray, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Carry an image by a (2,3) matrix onto a grey canvas of `size` (width, height)."""
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_AREA, borderValue=(110, 110, 110))


@needs_astronaut
def test_agrees_with_mediapipe_on_the_astronaut(one_pass: FaceTracker, astronaut: np.ndarray):
    expected = np.array(json.loads(ASTRONAUT_LANDMARKS.read_text())["landmarks"])
    (face,) = one_pass.find_faces(astronaut)
    assert crop_px(distances(face.landmarks_px, expected), expected) < AGREEMENT_PX
    assert crop_px(np.abs(face.landmarks_px[:, 2] - expected[:, 2]), expected) < AGREEMENT_PX


@needs_photos
def test_agrees_with_mediapipe_on_the_photos(one_pass: FaceTracker):
    errors = []
    for name, record in json.loads(MEDIAPIPE_LANDMARKS.read_text())["photos"].items():
        faces = one_pass.find_faces(read_photo(PHOTOS / name))
        for expected in map(np.array, record["faces"]):
            if faces:
                candidates = [crop_px(distances(face.landmarks_px, expected), expected) for face in faces]
                errors.append(min(candidates))
    # MediaPipe reports one face more, on a wall; every other one must be found
    found = [error for error in errors if error < 5]
    assert len(found) >= 31
    assert np.mean(found) < AGREEMENT_PX


@needs_photos
def test_finds_the_people_and_not_the_wall(tracker: FaceTracker):
    counts = {"person_obama/obama1.jpg": 1, "several_faces/obama_and_biden.jpg": 2, "several_faces/3ddfa_emma.jpg": 3}
    for name, people in counts.items():
        assert len(tracker.find_faces(read_photo(PHOTOS / name))) == people, name


@needs_photos
def test_finds_a_face_in_every_single_portrait(tracker: FaceTracker):
    for path in sorted((PHOTOS / "single").iterdir()):
        assert len(tracker.find_faces(read_photo(path))) == 1, path.name


@needs_astronaut
def test_the_second_pass_depends_less_on_the_detector(
    tracker: FaceTracker, one_pass: FaceTracker, astronaut: np.ndarray
):
    def scatter(finder: FaceTracker) -> float:
        runs = []
        for angle, scale, shift in ((0, 1.0, 0), (8, 0.9, 11), (-7, 1.1, -17), (3, 0.95, 23), (-4, 1.05, 5)):
            matrix = cv2.getRotationMatrix2D((256, 256), angle, scale)
            matrix[:, 2] += shift
            moved = cv2.warpAffine(astronaut, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
            back = cv2.invertAffineTransform(matrix)
            runs.append(finder.find_faces(moved)[0].landmarks_px[:, :2] @ back[:, :2].T + back[:, 2])
        return float(np.linalg.norm(np.array(runs) - np.median(runs, axis=0), axis=2).mean())

    assert scatter(tracker) < 0.85 * scatter(one_pass)


@needs_astronaut
@pytest.mark.parametrize("degrees", [60, 90, 120, 150, 180, 225, 270, 300])
def test_reads_a_turned_face_the_right_way_up(tracker: FaceTracker, astronaut: np.ndarray, degrees: int):
    (upright,) = tracker.find_faces(astronaut)
    # cv2 turns counter-clockwise on the screen; the tracker counts clockwise
    matrix = cv2.getRotationMatrix2D((256, 256), -degrees, 1.0)
    matrix[:, 2] += 108
    (face,) = tracker.find_faces(place(astronaut, matrix, (728, 728)))
    expected = upright.landmarks_px[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    assert relative_error(face.landmarks_px, expected) < 0.03
    turned_by = face.roll_radians - upright.roll_radians - math.radians(degrees)
    assert abs(math.remainder(turned_by, math.tau)) < math.radians(4)


@needs_astronaut
@pytest.mark.parametrize("scale", [0.3, 0.5, 0.8])
def test_finds_a_small_face_in_a_wide_picture(tracker: FaceTracker, astronaut: np.ndarray, scale: float):
    (near,) = tracker.find_faces(astronaut)
    matrix = np.array([[scale, 0, 700.0], [0, scale, 500.0]])
    small = cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    canvas = np.full((1200, 1600, 3), 110, np.uint8)
    canvas[500 : 500 + len(small), 700 : 700 + small.shape[1]] = small
    (far,) = tracker.find_faces(canvas)
    assert relative_error(far.landmarks_px, near.landmarks_px[:, :2] * scale + matrix[:, 2]) < 0.04


@needs_astronaut
def test_reads_a_large_photo_at_its_full_resolution(tracker: FaceTracker, astronaut: np.ndarray):
    (face,) = tracker.find_faces(astronaut)
    large = cv2.resize(astronaut, (4096, 4096), interpolation=cv2.INTER_CUBIC)
    (enlarged,) = tracker.find_faces(large)
    assert relative_error(enlarged.landmarks_px / 8, face.landmarks_px) < 0.01
    # the detector itself scatters by a few percent of the face
    np.testing.assert_allclose(enlarged.box_px / 8, face.box_px, atol=6)


@needs_astronaut
def test_several_faces_come_largest_first_and_once(tracker: FaceTracker, astronaut: np.ndarray):
    canvas = np.full((560, 1000, 3), 110, np.uint8)
    canvas[24:536, 476:988] = astronaut
    canvas[100:459, 60:419] = cv2.resize(astronaut, (359, 359), interpolation=cv2.INTER_AREA)
    large, small = tracker.find_faces(canvas)
    assert np.ptp(large.landmarks_px[:, 0]) > np.ptp(small.landmarks_px[:, 0])
    assert large.landmarks_px[:, 0].mean() > 476 > small.landmarks_px[:, 0].mean()
    assert len(tracker.find_faces(canvas, max_faces=1)) == 1


@needs_astronaut
def test_triangles_turn_alike_and_features_lie_where_their_names_say(tracker: FaceTracker, astronaut: np.ndarray):
    (face,) = tracker.find_faces(astronaut)
    points = face.landmarks_px[:, :2].astype(np.float64)
    a, b, c = (points[tracker.triangles[:, corner]] for corner in range(3))
    ab, ac = b - a, c - a
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    # y points down, so counter-clockwise for the eye is negative
    assert (area < 0).mean() > 0.97

    def middle(indices):
        return points[list(indices)].mean(0)

    # the person's right is on the photo's left
    assert middle(topology.RIGHT_EYE)[0] < middle(topology.LEFT_EYE)[0]
    assert middle(topology.RIGHT_BROW)[1] < middle(topology.RIGHT_EYE)[1]
    assert middle(topology.LIPS_OUTER_UPPER)[1] < middle(topology.LIPS_OUTER_LOWER)[1]
    np.testing.assert_allclose(middle(topology.RIGHT_IRIS), middle(topology.RIGHT_EYE), atol=3)
    np.testing.assert_allclose(middle(topology.LEFT_IRIS), middle(topology.LEFT_EYE), atol=3)
    contour = points[topology.IBUG_68_FROM_478[:17]]
    assert (np.diff(contour[:, 0]) > -2).all()
    assert contour[8, 1] == contour[:, 1].max()


def draw_smiley() -> np.ndarray:
    image = np.full((500, 500, 3), 255, np.uint8)
    cv2.circle(image, (250, 250), 180, (255, 220, 0), -1)
    for x in (190, 310):
        cv2.circle(image, (x, 200), 22, (0, 0, 0), -1)
    cv2.ellipse(image, (250, 270), (100, 80), 0, 20, 160, (0, 0, 0), 8)
    return image


def draw_house() -> np.ndarray:
    image = np.full((500, 700, 3), (135, 190, 235), np.uint8)
    image[300:] = (60, 140, 50)
    cv2.rectangle(image, (250, 180), (450, 400), (200, 160, 120), -1)
    for x in (290, 370):
        cv2.rectangle(image, (x, 220), (x + 40, 270), (40, 40, 60), -1)
    cv2.rectangle(image, (330, 310), (370, 400), (90, 50, 20), -1)
    return image


def draw_noise() -> np.ndarray:
    rough = np.random.default_rng(5).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    return cv2.resize(rough, (1200, 900), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("draw", [draw_smiley, draw_house, draw_noise])
def test_sees_no_face_where_there_is_none(tracker: FaceTracker, draw):
    assert tracker.find_faces(draw()) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 900, 3), (2000, 2, 3)])
def test_survives_odd_sizes(tracker: FaceTracker, shape: tuple[int, int, int]):
    assert tracker.find_faces(np.zeros(shape, np.uint8)) == []


@pytest.mark.parametrize("image", [np.zeros((50, 50)), np.zeros((50, 50, 3)), np.zeros((50, 50, 4), np.uint8)])
def test_refuses_other_images(tracker: FaceTracker, image: np.ndarray):
    with pytest.raises(ValueError, match="8-bit RGB"):
        tracker.find_faces(image)


def test_says_when_its_file_is_missing_or_damaged(tmp_path: Path):
    with pytest.raises(AssetMissing, match="missing"):
        FaceTracker(tmp_path / "tracker.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not a file of arrays")
    with pytest.raises(AssetMissing, match="damaged"):
        FaceTracker(damaged)

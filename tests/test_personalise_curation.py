"""Curation of a folder without the networks: listing, judgement of figures, who is who, the choice, the report."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from addon.exchange.errors import LikenessError, PhotoError
from ml_backend.coarse.parameters import FitParameters
from ml_backend.personalise.curation import Curation, CurationOptions, JudgedPhoto, judge_readings, load_view, trust_of
from ml_backend.personalise.curation_report import as_json, table
from ml_backend.personalise.face_readings import FaceReading, PhotoReading, scaled_face, scaled_start
from ml_backend.personalise.folder_images import FolderImage, list_images
from ml_backend.personalise.person_identity import FaceIdentity, find_person
from ml_backend.personalise.photo_judgement import (
    Fingerprint,
    JudgementLimits,
    PhotoFigures,
    Verdict,
    fault,
    head_turn,
    sharpness,
)
from ml_backend.personalise.spread_choice import PhotoPlace, choose_spread
from ml_backend.tracking.face_tracker import TrackedFace

NUM_SHAPE = 40
FINE = PhotoFigures(
    sharpness=0.5, eye_distance_px=120.0, yaw=0.1, pitch=0.0, landmark_error_percent=1.2, share_inside=1.0
)


def write_files(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_images_of_a_folder_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_files(tmp_path, "b.JPG", "a.png", "c.webp", "d.tiff", "notes.txt", "._a.png", "later/e.jpeg", ".hidden/f.jpg")
    (tmp_path / "g.jpg").mkdir()
    assert [image.name for image in list_images(tmp_path)] == ["a.png", "b.JPG", "c.webp", "d.tiff"]
    everything = list_images(tmp_path, with_subfolders=True)
    assert [image.name for image in everything] == ["a.png", "b.JPG", "c.webp", "d.tiff", "later/e.jpeg"]
    assert everything[-1].path == tmp_path / "later" / "e.jpeg"


def test_a_ring_of_folders_is_walked_once(tmp_path: Path) -> None:
    write_files(tmp_path, "inside/a.jpg")
    try:
        (tmp_path / "inside" / "up").symlink_to(tmp_path, target_is_directory=True)
    except OSError:
        pytest.skip("no links here")
    assert [image.name for image in list_images(tmp_path, with_subfolders=True)] == ["inside/a.jpg"]


def test_a_folder_that_cannot_be_used_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="There is no folder"):
        list_images(tmp_path / "nowhere")
    write_files(tmp_path, "below/a.jpg", "readme.txt")
    with pytest.raises(PhotoError, match="sub-folders"):
        list_images(tmp_path)
    (tmp_path / "file.jpg").write_bytes(b"x")
    with pytest.raises(PhotoError, match="There is no folder"):
        list_images(tmp_path / "file.jpg")


@pytest.mark.parametrize(
    ("figures", "verdict", "words"),
    [
        (FINE, None, ""),
        (replace(FINE, eye_distance_px=20.0), Verdict.TOO_SMALL, "20 pixels"),
        (replace(FINE, sharpness=0.05), Verdict.BLURRED, "blurred"),
        (replace(FINE, share_inside=0.6), Verdict.CUT_OFF, "edge"),
        (replace(FINE, yaw=-1.4), Verdict.EXTREME_POSE, "80°"),
        (replace(FINE, pitch=0.9), Verdict.EXTREME_POSE, "down"),
        (replace(FINE, pitch=-0.9), Verdict.EXTREME_POSE, "up"),
        (replace(FINE, landmark_error_percent=15.0), Verdict.EXTREME_POSE, "hidden"),
    ],
)
def test_faults_of_a_face(figures: PhotoFigures, verdict: Verdict | None, words: str) -> None:
    found = fault(figures, JudgementLimits())
    assert (found and found[0]) == verdict
    assert verdict is None or words in found[1]


def test_turn_of_a_head() -> None:
    for yaw, pitch in ((0.7, 0.0), (-0.3, 0.4), (0.0, -0.6)):
        about_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
        about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
        assert head_turn(about_y @ about_x) == pytest.approx((yaw, pitch))


def drawn_face(size: int = 400) -> tuple[np.ndarray, TrackedFace]:
    """A picture full of fine lines, and landmarks that fill it as a face does."""
    random = np.random.default_rng(3)
    picture = np.full((size, size, 3), 150, np.uint8)
    for start, end in random.integers(0, size, (150, 2, 2)):
        cv2.line(picture, tuple(map(int, start)), tuple(map(int, end)), (60, 50, 40), 2, cv2.LINE_AA)
    path = Path(__file__).parent / "test_tracking_astronaut_landmarks.json"
    points = np.array(json.loads(path.read_text(encoding="utf-8"))["landmarks"], np.float32)
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    factor = 0.6 * size / (high - low).max()
    points *= factor
    points[:, :2] += size / 2 - (low + high) / 2 * factor
    return picture, TrackedFace(points, np.zeros(4, np.float32), 1.0, 1.0, 0.0)


def test_blur_and_shake_lower_sharpness_and_size_does_not() -> None:
    picture, face = drawn_face()
    sharp = sharpness(picture, face)
    limit = JudgementLimits().sharpness
    assert sharp > 2 * limit
    for across, down in ((8, 8), (8, 0.1), (0.1, 8)):
        assert sharpness(cv2.GaussianBlur(picture, (0, 0), across, sigmaY=down), face) < limit
    larger = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert sharpness(larger, scaled_face(face, 2.0)) == pytest.approx(sharp, abs=0.08)
    darker = (picture * 0.5).astype(np.uint8)
    assert sharpness(darker, face) == pytest.approx(sharp, abs=0.1)
    assert sharpness(np.full_like(picture, 90), face) == 0


def random_fingerprint(random: np.random.Generator) -> Fingerprint:
    grey = random.standard_normal(576).astype(np.float32)
    return Fingerprint(grey, np.ones(576, bool), random.uniform(-0.5, 0.5, (478, 2)).astype(np.float32))


def test_the_same_picture_is_known_by_look_and_place() -> None:
    random = np.random.default_rng(0)
    one, other = random_fingerprint(random), random_fingerprint(random)
    half = np.arange(576) < 300
    again = Fingerprint(
        np.where(half, 0.8 * one.grey + 9, 0).astype(np.float32), half, one.landmarks + np.float32(0.003)
    )
    other_moment = Fingerprint(one.grey, one.inside, one.landmarks + np.float32(0.05))
    assert one.same_picture(again) and again.same_picture(one)
    assert not one.same_picture(other) and not one.same_picture(other_moment)
    assert not again.same_picture(Fingerprint(one.grey, ~half, one.landmarks))


def people(seed: int, *counts: int, noise: float = 0.8) -> list[FaceIdentity]:
    """Photos of people: so many of each."""
    random = np.random.default_rng(seed)
    faces = []
    for count in counts:
        shape = random.standard_normal(NUM_SHAPE)
        for _ in range(count):
            solved, read = (shape + noise * random.standard_normal(NUM_SHAPE) for _ in range(2))
            faces.append(FaceIdentity(solved.astype(np.float32), read.astype(np.float32)))
    return faces


def test_the_majority_is_the_person() -> None:
    for seed in range(6):
        faces = people(seed, 8, 1, 1)
        found = find_person([[face] for face in faces])
        assert found.same == (True,) * 8 + (False,) * 2
        assert min(found.sure[:8]) > 0.72 > max(found.sure[8:])


def test_wrong_people_and_files_without_faces_do_not_move_the_shape() -> None:
    faces = people(4, 8, 1, 1)
    alone = find_person([[face] for face in faces[:8]])
    mixed = find_person([[face] for face in faces] + [[]] * 2)
    assert mixed.face[-1] is None and mixed.sure[-1] == 0
    assert np.sqrt(np.mean((mixed.shape - alone.shape) ** 2)) < 0.2


def test_the_known_person_wins_over_the_majority() -> None:
    faces = people(1, 6, 3)
    known = np.mean([face.solved for face in faces[6:]], axis=0)
    found = find_person([[face] for face in faces], known)
    assert found.same == (False,) * 6 + (True,) * 3
    strangers = find_person([[face] for face in faces[:6]], known)
    assert not any(strangers.same)


def test_the_artist_s_word_wins_over_the_majority() -> None:
    faces = people(2, 5, 3)
    found = find_person([[face] for face in faces], certain=[5, 6, 7])
    assert found.same[5:] == (True,) * 3
    assert not any(found.same[:5])


def test_the_right_one_of_several_faces() -> None:
    faces, others = people(3, 6), people(30, 1, 1, 1, 1, 1, 1)
    rows = [
        [other, face] if number % 2 else [face, other]
        for number, (face, other) in enumerate(zip(faces, others, strict=True))
    ]
    found = find_person(rows)
    assert found.face == (0, 1, 0, 1, 0, 1)
    assert all(found.same)


def test_two_photos_are_enough_unless_they_are_plainly_of_two_people() -> None:
    assert find_person([[face] for face in people(5, 2)]).same == (True, True)
    opposite = people(6, 1)[0]
    opposite = [opposite, FaceIdentity(-opposite.solved, -opposite.read)]
    assert sum(find_person([[face] for face in opposite]).same) < 2
    assert find_person([]).face == ()
    assert find_person([[], []]).face == (None, None)


def test_a_recogniser_takes_the_place_of_shapes() -> None:
    faces = people(7, 10)
    features = np.eye(12)[[0, 0, 0, 0, 0, 0, 0, 0, 1, 2]] + 0.1 * np.random.default_rng(0).standard_normal((10, 12))
    named = [[replace(face, feature=feature)] for face, feature in zip(faces, features, strict=True)]
    assert find_person(named).same == (True,) * 8 + (False,) * 2


def place(yaw: float = 0.0, quality: float = 0.5, brightness: float = 1.0, smile_m: float = 0.0) -> PhotoPlace:
    light = np.zeros((9, 3), np.float32)
    light[0], light[1] = brightness, 0.3 * brightness
    return PhotoPlace(yaw, 0.0, np.full((68, 3), smile_m / 3**0.5, np.float32), light, quality)


def test_the_choice_spreads() -> None:
    crowd = [place(0.01 * number, quality=0.5 + 0.001 * number) for number in range(20)]
    choice = choose_spread([*crowd, place(0.9), place(-0.9), place(smile_m=0.01)], 4)
    assert choice.chosen[0] in range(20)
    assert set(choice.chosen[1:]) == {20, 21, 22}
    assert all(choice.nearest[number] == choice.chosen[0] for number in range(20))
    assert choice.distance[choice.chosen[0]] == 0


def test_exposure_is_no_spread_and_quality_decides_between_likes() -> None:
    assert np.allclose(place(brightness=0.4).steps, place(brightness=1.6).steps)
    assert choose_spread([place(quality=0.2), place(quality=0.9)], 1).chosen == (1,)
    assert choose_spread([place(), place()], 5).chosen == (0, 1)
    assert choose_spread([], 5).chosen == ()
    assert choose_spread([place(), place(0.5), place(1.0)], 1, always=[2, 1]).chosen == (2, 1)


def start_of() -> FitParameters:
    view = torch.tensor([math.log(900.0), 200.0, 220.0])
    return FitParameters(torch.zeros(NUM_SHAPE), torch.zeros(3), torch.zeros(15), view, None, (400, 400))


def reading(name: str, identity: FaceIdentity | None, number: int = 0, **changes: object) -> PhotoReading:
    """A photo with one face, or unreadable."""
    image = FolderImage(name, Path(name))
    if identity is None:
        return PhotoReading(image, refusal="It is damaged.")
    figures = replace(FINE, **changes)
    face = FaceReading(
        number=1,
        face=TrackedFace(np.zeros((478, 3), np.float32), np.zeros(4, np.float32), 1.0, 1.0, 0.0),
        start=start_of(),
        identity=identity,
        figures=figures,
        fingerprint=random_fingerprint(np.random.default_rng(100 + number)),
        place=place(figures.yaw, figures.sharpness),
        fault=fault(figures, JudgementLimits()),
        thumbnail=np.zeros((96, 96, 3), np.uint8),
    )
    return PhotoReading(image, "00", (400, 400), (face,), 1)


def folder_of_readings() -> list[PhotoReading]:
    faces = people(0, 8, 1)
    rows = [reading(f"p{number}.jpg", face, number, yaw=0.1 * number) for number, face in enumerate(faces[:8])]
    # p7 is p6 again, less sharp
    twin = replace(rows[7].faces[0], fingerprint=rows[6].faces[0].fingerprint, place=place(0.6, 0.1))
    rows[7] = replace(rows[7], faces=(twin,))
    rows += [reading("q_other.jpg", faces[8], 8), reading("r_broken.jpg", None), reading("s_soft.jpg", faces[0], 9,
             sharpness=0.01), PhotoReading(FolderImage("t_wall.jpg", Path("t_wall.jpg")), "00", (9, 9))]  # fmt: skip
    return rows


def verdicts(curation: Curation) -> dict[str, Verdict]:
    return {photo.name: photo.verdict for photo in curation.photos}


def test_verdicts_of_a_folder() -> None:
    curation = judge_readings(folder_of_readings(), CurationOptions(most_photos=5))
    found = verdicts(curation)
    assert found["p7.jpg"] is Verdict.DUPLICATE
    assert found["q_other.jpg"] is Verdict.OTHER_PERSON
    assert found["r_broken.jpg"] is Verdict.UNREADABLE
    assert found["s_soft.jpg"] is Verdict.BLURRED
    assert found["t_wall.jpg"] is Verdict.NO_FACE
    used = [name for name, verdict in found.items() if verdict is Verdict.USED]
    assert sorted(curation.chosen) == used and len(used) == 5
    assert sum(verdict is Verdict.NOT_NEEDED for verdict in found.values()) == 2
    assert "p6.jpg" in next(photo.sentence for photo in curation.photos if photo.name == "p7.jpg")
    assert all(photo.sentence.endswith((".", ")")) for photo in curation.photos)
    assert curation.person_shape.shape == (NUM_SHAPE,)


def test_the_artist_overrules() -> None:
    ticks = {"s_soft.jpg": True, "p0.jpg": False, "p7.jpg": True, "r_broken.jpg": True, "gone.jpg": True}
    curation = judge_readings(folder_of_readings(), CurationOptions(overruled=ticks))
    found = verdicts(curation)
    assert found["s_soft.jpg"] is Verdict.USED and found["p7.jpg"] is Verdict.USED
    assert found["p0.jpg"] is Verdict.LEFT_OUT and found["r_broken.jpg"] is Verdict.UNREADABLE
    assert any("gone.jpg" in sentence for sentence in curation.sentences)
    with_other = judge_readings(folder_of_readings(), CurationOptions(overruled={"q_other.jpg": True}))
    assert "q_other.jpg" in with_other.chosen


def test_a_ticked_copy_comes_beside_its_twin_unless_that_is_unticked() -> None:
    both = judge_readings(folder_of_readings(), CurationOptions(overruled={"p7.jpg": True}))
    assert {"p6.jpg", "p7.jpg"} <= set(both.chosen)
    one = judge_readings(folder_of_readings(), CurationOptions(overruled={"p6.jpg": False, "p7.jpg": True}))
    assert "p7.jpg" in one.chosen and "p6.jpg" not in one.chosen


def test_the_less_sure_the_less_a_photo_says_unless_it_is_ticked() -> None:
    options = CurationOptions()
    curation = judge_readings(folder_of_readings(), options)
    sure = {photo.name: photo.sure for photo in curation.photos}
    trust = dict(zip(curation.chosen, trust_of(curation, options), strict=True))
    assert max(trust.values()) == 1 and min(trust.values()) > 0
    assert sorted(trust, key=trust.get) == sorted(trust, key=sure.get)
    # ticked by the artist, it says all, however little it looks like the others
    ticks = CurationOptions(overruled={"q_other.jpg": True})
    ticked = judge_readings(folder_of_readings(), ticks)
    trust = dict(zip(ticked.chosen, trust_of(ticked, ticks), strict=True))
    assert trust["q_other.jpg"] == 1


def test_the_report_says_all_of_every_photo() -> None:
    curation = judge_readings(folder_of_readings(), CurationOptions(most_photos=5))
    lines = table(curation).splitlines()
    assert len(lines) == 1 + len(curation.photos) + 1 + len(curation.sentences)
    assert "another person" in next(line for line in lines if line.startswith("q_other.jpg"))
    values = json.loads(json.dumps(as_json(curation)))
    assert [row["verdict"] for row in values["photos"]] == [photo.verdict.name.lower() for photo in curation.photos]
    assert values["chosen"] == list(curation.chosen)
    assert values["photos"][0]["figures"]["eye_distance_px"] == pytest.approx(120)


def test_a_long_or_broken_name_stays_in_its_line() -> None:
    photo = JudgedPhoto("a" * 60 + "\n1.jpg", Path("x"), "", Verdict.UNREADABLE, "It is damaged.")
    lines = table(Curation((photo,), (), np.zeros(0, np.float32), ())).splitlines()
    assert lines[1].startswith("aaa") and "1.jpg" in lines[1] and "damaged" in lines[1]


def test_a_reading_at_another_size_is_the_same_head() -> None:
    start = start_of()
    point = torch.tensor([[0.03, -0.02, 0.1]])
    half = scaled_start(start, 0.5, (200, 200))
    assert torch.allclose(half.camera.project(point)[:, :2], 0.5 * start.camera.project(point)[:, :2])


def test_only_faces_can_be_loaded_and_options_are_checked() -> None:
    with pytest.raises(PhotoError, match="No face"):
        load_view(JudgedPhoto("a.jpg", Path("a.jpg"), "", Verdict.NO_FACE, "No face was found."), None)
    with pytest.raises(LikenessError, match="At least one photo"):
        CurationOptions(most_photos=0)

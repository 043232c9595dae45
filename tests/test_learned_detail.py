"""The detail networks: what they see, what they give, and whether they can learn it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from addon.exchange.errors import AssetMissing
from ml_backend.head.albedo_model import AlbedoModel, load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.head.head_model import HeadModel
from ml_backend.learned.detail_input import (
    FaceWindow,
    UnwrappedFace,
    cut_window,
    face_window,
    network_input,
    on_window,
    place_in_map,
    posed_in_image,
    projected_by_code,
    unwrap,
)
from ml_backend.learned.detail_networks import (
    MAX_DISPLACEMENT_M,
    OUTPUT_UNIT_M,
    DetailConfig,
    DetailStudent,
    TeacherConfig,
    UNetTeacher,
    bounded,
)
from ml_backend.learned.detail_weights import read_student, write_student
from ml_backend.learned.person_detail import read_person
from ml_backend.rendering.camera import SCALED_ORTHOGRAPHIC, Camera
from ml_backend.rendering.colour import srgb_u8_from_linear
from ml_backend.rendering.render_head import render_head
from ml_backend.rendering.spherical_harmonics import ambient_light

SIZE = 64
IMAGE_PX = 320
SMALL = {"window_px": SIZE, "width": 32, "heads": 2, "encoder_blocks": 2, "decoder_blocks": 1, "stem": (8, 8, 16)}


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return load_head()


@pytest.fixture(scope="module")
def albedo() -> AlbedoModel:
    return load_albedo_model()


@pytest.fixture(scope="module")
def window(head: HeadModel) -> FaceWindow:
    return face_window(head, SIZE)


@pytest.fixture
def student() -> DetailStudent:
    torch.manual_seed(0)
    return DetailStudent(DetailConfig(**SMALL, cell_channels=8)).eval()


def _posed(head: HeadModel, yaw: float = 0.0) -> torch.Tensor:
    pose = torch.zeros(1, 15)
    pose[0, 1] = yaw
    return head.vertices(torch.zeros(1, head.num_shape), torch.zeros(1, head.num_expression), pose)[0]


def test_window_holds_the_face_and_half_as_many_millimetres_a_texel(head: HeadModel, window: FaceWindow) -> None:
    face = head.masks["face"] > 0.5
    skin = head.triangle_part == head.part_names.index("skin")
    texels = window.texels
    face_area = face[torch.from_numpy(texels.vertices).long()].all(1) & skin[torch.from_numpy(texels.triangle)]
    assert face_area.float().mean() > 0.75
    assert 0.5 < window.side_uv < 0.75
    # lips, nose and both eyes lie inside, whatever the layout
    for name in ("lips", "nose", "eye_region_left", "eye_region_right"):
        shown = set(texels.vertices.reshape(-1).tolist())
        wanted = (head.masks[name] > 0.5).nonzero()[:, 0].tolist()
        outer = [vertex for vertex in wanted if bool(face[vertex])]
        assert sum(vertex in shown for vertex in outer) > 0.4 * len(outer)


def test_values_of_the_window_come_back_from_a_whole_map(window: FaceWindow) -> None:
    rows, columns = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    values = np.sin(columns / 5.0) * np.cos(rows / 7.0)
    placed = place_in_map(values, window, 512)
    weight = cut_window(placed.weight, window)
    back = cut_window(placed.values, window)
    inside = weight > 0.99
    assert inside.mean() > 0.4
    assert np.abs(back - values)[inside].max() < 0.02
    # nothing is left outside of the window, and nothing hard at its border
    assert placed.weight[0].max() == 0 and placed.weight[:, 0].max() == 0
    assert np.abs(np.diff(placed.weight, axis=0)).max() < 0.2


def test_vertex_values_arrive_where_the_texel_map_has_them(head: HeadModel, window: FaceWindow) -> None:
    values = torch.randn(2, head.num_vertices, 2, dtype=torch.float32)
    carried = on_window(values, window)
    slow = window.texels.interpolate(values[1].numpy())
    assert torch.allclose(carried[1], torch.from_numpy(slow).permute(2, 0, 1), atol=1e-5)


def test_mirror_image_of_the_window_is_the_other_half(head: HeadModel, window: FaceWindow) -> None:
    place = on_window(head.skinned.template[None], window)
    grid = torch.from_numpy(window.mirror)[None]
    mirrored = torch.nn.functional.grid_sample(place, grid, padding_mode="border", align_corners=False)
    skin = torch.from_numpy(window.skin) > 0.99
    error = (mirrored[0] - place[0] * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]).norm(dim=0)
    assert float(error[skin].quantile(0.95)) < 1.5e-3


@pytest.mark.parametrize("yaw", [0.0, 0.5])
def test_unwrapped_render_shows_the_texture_where_it_is_seen(
    head: HeadModel, albedo: AlbedoModel, window: FaceWindow, yaw: float
) -> None:
    camera = Camera(SCALED_ORTHOGRAPHIC, (IMAGE_PX, IMAGE_PX), 4.0 * IMAGE_PX, (0.5 * IMAGE_PX, 0.45 * IMAGE_PX))
    texture = albedo.texture(torch.zeros(albedo.num_coefficients))
    posed = _posed(head, yaw)
    image = render_head(head, posed, camera, ambient_light(), texture)
    face = unwrap(image, posed_in_image(head, posed, camera.project(posed)), head.triangles.numpy(), window)
    expected = srgb_u8_from_linear(cut_window(texture.numpy(), window)).astype(int)
    seen = (face.confidence > 200) & (window.skin > 0.99)
    assert seen.mean() > (0.3 if yaw else 0.45)
    assert np.abs(face.texture.astype(int) - expected)[seen].mean() < 3.0
    # of a turned head, the far side is not seen
    left, right = face.confidence[:, : SIZE // 2].mean(), face.confidence[:, SIZE // 2 :].mean()
    assert abs(left - right) < 5 if yaw == 0 else left > right + 50


def test_crop_camera_places_vertices_as_the_conventions_say() -> None:
    points = torch.tensor([[0.01, 0.02, 0.03]])
    found = projected_by_code(points, torch.tensor([8.0, 0.1, -0.2]), 100)
    assert torch.allclose(found, torch.tensor([[(0.08 + 0.1 + 1) * 50, (-0.16 - 0.2 + 1) * 50, -0.03]]))


def test_fine_contrast_does_not_depend_on_brightness() -> None:
    pattern = np.random.default_rng(0).uniform(0.5, 0.7, (SIZE, SIZE, 1)).repeat(3, 2)
    confidence = np.full((SIZE, SIZE), 255, np.uint8)
    bright, dark = ((255 * factor * pattern).astype(np.uint8) for factor in (1.0, 0.6))
    first, second = (network_input(UnwrappedFace(image, confidence)) for image in (bright, dark))
    assert np.abs(first[3] - second[3]).mean() < 0.1 * np.abs(first[3]).mean()
    hidden = network_input(UnwrappedFace(bright, np.zeros_like(confidence)))
    assert not hidden.any()


@pytest.mark.parametrize("body", ["mae", "resnet"])
@pytest.mark.parametrize("skip", [True, False])
def test_student_keeps_to_shape_and_range(body: str, skip: bool) -> None:
    network = DetailStudent(DetailConfig(**SMALL, body=body, skip=skip))
    with torch.no_grad():
        network.head.last.bias.fill_(1e4)
    texture, tension = torch.randn(2, 5, SIZE, SIZE), torch.rand(2, 1, SIZE, SIZE)
    displacement = network(texture, tension)
    assert displacement.shape == (2, 1, SIZE, SIZE)
    assert float(displacement.detach().abs().max()) <= MAX_DISPLACEMENT_M
    assert float(displacement.detach().max()) > 0.99 * MAX_DISPLACEMENT_M


def test_teacher_keeps_to_shape_and_starts_smooth() -> None:
    displacement = UNetTeacher(TeacherConfig((4, 8, 16)))(torch.randn(2, 5, SIZE, SIZE))
    assert displacement.shape == (2, 1, SIZE, SIZE)
    assert 0 < float(displacement.detach().abs().mean()) < 2e-4


def test_a_photo_is_encoded_once_for_many_tensions(student: DetailStudent) -> None:
    texture, tensions = torch.randn(1, 5, SIZE, SIZE), torch.rand(3, 1, SIZE, SIZE) - 0.5
    with torch.no_grad():
        face = student.encode(texture, tensions[:1])
        many = student.decode(face.repeat(3), tensions)
        single = torch.cat([student.decode(face, tension[None]) for tension in tensions])
        assert torch.equal(student(texture, tensions[:1]), single[:1])
    assert torch.allclose(many, single, atol=1e-9)
    assert float((many[0] - many[1]).abs().mean()) > 0.01 * float(many[0].abs().mean())


def test_a_student_with_a_teacher_begins_from_what_that_reads() -> None:
    torch.manual_seed(0)
    config = DetailConfig(**SMALL, teacher=TeacherConfig((4, 8)))
    network = DetailStudent(config).eval()
    with torch.no_grad():
        # a teacher that says something
        network.teacher.last.weight.mul_(100)
        for layer in (network.head.last, network.to_gains):
            layer.weight.zero_()
        texture, tension = torch.randn(2, 5, SIZE, SIZE), torch.zeros(2, 1, SIZE, SIZE)
        said, read = network(texture, tension), network.teacher(texture)
        assert float(read.abs().max()) > 1e-5
        assert torch.allclose(said, bounded(0.5 * read / OUTPUT_UNIT_M), atol=1e-9)
        # the second gain is of the mirror image
        network.to_gains.bias.copy_(torch.cat([torch.full((16,), -0.5), torch.ones(16)]))
        assert torch.allclose(network(texture, tension), bounded(read.flip(-1) / OUTPUT_UNIT_M), atol=1e-9)
    network.train()
    network(texture, tension).sum().backward()
    assert all(value.grad is None for value in network.teacher.parameters())


def test_without_tension_the_student_does_not_see_it() -> None:
    network = DetailStudent(DetailConfig(**SMALL, tension=False)).eval()
    texture = torch.randn(1, 5, SIZE, SIZE)
    with torch.no_grad():
        assert torch.equal(
            network(texture, torch.zeros(1, 1, SIZE, SIZE)), network(texture, torch.ones(1, 1, SIZE, SIZE))
        )


def test_config_refuses_sizes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        DetailConfig(patch_px=32)
    with pytest.raises(ValueError, match="body"):
        DetailConfig(body="lstm")


def _lines(seed: int) -> torch.Tensor:
    """(1,SIZE,SIZE) metres: some wrinkles of 0.2 mm."""
    random = np.random.default_rng(seed)
    image = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(4):
        first, second = random.integers(8, SIZE - 8, (2, 2)).tolist()
        cv2.line(image, first, second, -1.0, 1)
    return 2e-4 * torch.from_numpy(cv2.GaussianBlur(image, (0, 0), 1.0))[None]


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_networks_learn_two_faces_by_heart(name: str) -> None:
    torch.manual_seed(1)
    truth = torch.stack([_lines(0), _lines(1)])
    texture = torch.zeros(2, 5, SIZE, SIZE)
    texture[:, 3:4], texture[:, 4] = -2.0 * truth / 2e-4, 1.0
    tension = torch.zeros(2, 1, SIZE, SIZE)
    if name == "student":
        network: torch.nn.Module = DetailStudent(DetailConfig(**SMALL))
    else:
        network = UNetTeacher(TeacherConfig((8, 16)))
    inputs = (texture, tension) if name == "student" else (texture,)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(100):
        loss = (1e4 * (network(*inputs) - truth)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    error = (network(*inputs) - truth).square().mean().sqrt()
    assert float(error.detach()) < 0.4 * float(truth.square().mean().sqrt())


def test_a_person_is_read_off_a_photo(student: DetailStudent, head: HeadModel, window: FaceWindow) -> None:
    image = np.random.default_rng(0).integers(0, 255, (IMAGE_PX, IMAGE_PX, 3), np.uint8)
    posed = _posed(head)
    in_image = posed_in_image(head, posed, projected_by_code(posed, torch.tensor([8.0, 0.0, 0.0]), IMAGE_PX))
    tension = torch.rand(2, head.num_vertices) - 0.5
    person = read_person(student, image, in_image, head, tension[0])
    found = person.displacement(tension)
    texture = torch.from_numpy(network_input(unwrap(image, in_image, head.triangles.numpy(), window)))[None]
    with torch.no_grad():
        maps = on_window(tension[..., None], window)
        expected = student.decode(student.encode(texture, maps[:1]), maps[1:])
    assert found.shape == (2, SIZE, SIZE)
    assert np.allclose(found[1], expected[0, 0].numpy(), atol=1e-9)
    assert np.abs(found[0] - found[1]).max() > 1e-8


def test_weights_file_gives_the_same_student(student: DetailStudent, tmp_path: Path) -> None:
    path = tmp_path / "detail.safetensors"
    write_student(path, student, "open head", {"steps": 3})
    again = read_student(path)
    texture, tension = torch.randn(1, 5, SIZE, SIZE), torch.rand(1, 1, SIZE, SIZE)
    with torch.no_grad():
        difference = (again(texture, tension) - student(texture, tension)).abs().max()
    assert float(difference) < 1e-6
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(AssetMissing, match=r"detail\.safetensors"):
        read_student(path)

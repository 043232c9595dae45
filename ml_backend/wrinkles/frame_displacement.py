"""The exact displacement of one frame of an avatar, from its package alone.

The three maps of the package hold what the photo shows and the best that tension alone can play of the model. What
they miss of the model is worked out anew from the recorded seed, age and anchors, and added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch

from addon.exchange import avatar_package
from addon.exchange.arkit import ARKIT_NAMES
from addon.exchange.avatar_description import DisplacementDescription, WrinkleDescription
from addon.exchange.avatar_package import AvatarPackage, file_sha256
from addon.exchange.conventions import JOINT_NAMES
from addon.exchange.errors import LikenessError, PackageError
from addon.exchange.tension import polygon_edges, wrinkle_weights
from ml_backend.head.head_file import load_head
from ml_backend.head.skinning import SkinnedModel
from ml_backend.learned.detail_input import UnwrappedFace, face_window
from ml_backend.learned.detail_weights import DETAIL_FILE, read_student
from ml_backend.learned.person_detail import person_of_unwrapped
from ml_backend.personalise.person_networks import read_person_student
from ml_backend.rendering.rasterizer import rasterize
from ml_backend.wrinkles.distil import WrinkleScale
from ml_backend.wrinkles.distil_prior import DistilledPrior, ExpressionTensions, distil_prior, sampled_tension_scale
from ml_backend.wrinkles.learned_wrinkles import LearnedWrinkles, distil_person
from ml_backend.wrinkles.prior import MAX_DISPLACEMENT_M, WrinklePrior, wrinkle_prior
from ml_backend.wrinkles.tension import vertex_tension
from ml_backend.wrinkles.wrinkle_surface import SkinTexels, WrinkleSurface


@dataclass(frozen=True)
class FrameModel:
    """An avatar whose frames can be asked for; what they share is worked out once.

    Attributes:
        package: with wrinkles.
    """

    package: AvatarPackage

    def __post_init__(self) -> None:
        if self.package.wrinkles is None:
            raise LikenessError(
                "no_wrinkles", f"{self.package.folder.name} has no wrinkles.", "Make the avatar anew from its photo."
            )

    def displacement(
        self, key_values: Mapping[str, float], bone_pose: Mapping[str, tuple[float, float, float]]
    ) -> np.ndarray:
        """The displacement of a frame.

        Args:
            key_values: strengths of shape keys by name: ARKit shapes and the head's own expressions.
            bone_pose: axis-angle by joint name, radians, relative to the parent, model axes; joints left out rest.

        Returns:
            (N, N) float32 metres outwards along the normal, row 0 at v = 1.

        Raises:
            LikenessError: a key or joint has an unknown name.
        """
        posed = self.posed(key_values, bone_pose)
        tension = vertex_tension(self.surface.neutral, posed, self.surface.edges).numpy()
        weights = wrinkle_weights(self._on_texels(tension), *self._full)
        missed = self.prior.line_change(posed, self.package.wrinkles.line_gain)
        missed -= weights.compressed * self.distilled.compressed_m + weights.expanded * self.distilled.expanded_m
        if self.learned is not None:
            maps = self.learned
            said = maps.change_m(torch.from_numpy(tension))
            said -= weights.compressed * maps.compressed_m + weights.expanded * maps.expanded_m
            missed += self.detail_gain * said
        played = self.neutral_m + weights.compressed * self.compressed_m + weights.expanded * self.expanded_m
        return np.clip(played + missed, -MAX_DISPLACEMENT_M, MAX_DISPLACEMENT_M).astype(np.float32)

    def posed(
        self, key_values: Mapping[str, float], bone_pose: Mapping[str, tuple[float, float, float]]
    ) -> torch.Tensor:
        """(V, 3) the vertices of a frame, metres, model space, as Blender's keys and bones move them."""
        head = self.package.head
        rest = head.vertices.astype(np.float32).copy()
        names = (*ARKIT_NAMES, *self.package.description.expression_names)
        for name, value in key_values.items():
            if name not in names:
                raise LikenessError("unknown_key", f"The avatar has no key {name}.", "Use the names of its shape keys.")
            if value:
                own = name not in ARKIT_NAMES
                keys, at = (head.expression_keys, len(ARKIT_NAMES)) if own else (head.arkit_keys, 0)
                rest += np.float32(value) * keys[names.index(name) - at]
        return self._skinned(torch.from_numpy(rest), bone_pose)

    def _skinned(self, rest: torch.Tensor, bone_pose: Mapping[str, tuple[float, float, float]]) -> torch.Tensor:
        head = self.package.head
        unknown = sorted(set(bone_pose) - set(JOINT_NAMES))
        if unknown:
            raise LikenessError("unknown_joint", f"There is no joint {unknown[0]}.", f"Use {', '.join(JOINT_NAMES)}.")
        pose = torch.tensor([bone_pose.get(name, (0.0, 0.0, 0.0)) for name in JOINT_NAMES], dtype=torch.float32)
        model = SkinnedModel(
            template=rest,
            shape_basis=rest.new_zeros(*rest.shape, 0),
            expression_basis=rest.new_zeros(*rest.shape, 0),
            pose_basis=torch.from_numpy(head.pose_basis),
            skinning_weights=torch.from_numpy(head.skinning_weights),
            joint_template=torch.from_numpy(head.joints),
            joint_shape_basis=rest.new_zeros(len(JOINT_NAMES), 3, 0),
            parents=tuple(head.parents.tolist()),
        )
        none = rest.new_zeros(1, 0)
        return model.positions(none, none, pose.reshape(1, -1))[0]

    @property
    def _full(self) -> tuple[float, float]:
        wrinkles = self.package.description.wrinkles
        return wrinkles.full_compression, wrinkles.full_stretch

    @cached_property
    def surface(self) -> WrinkleSurface:
        """The person's neutral and what moves it."""
        head, wrinkles = self.package.head, self.package.wrinkles
        skin = self.package.description.part_names.index("skin")
        numbers = wrinkles.anchor_landmarks.tolist()
        return WrinkleSurface(
            neutral=torch.from_numpy(head.vertices),
            triangles=torch.from_numpy(head.triangles[self._triangle_part() == skin].astype(np.int64)),
            edges=torch.from_numpy(polygon_edges(head.polygons)),
            arkit_keys=torch.from_numpy(head.arkit_keys),
            masks={name: torch.from_numpy(mask) for name, mask in head.masks.items()},
            anchors=dict(zip(numbers, wrinkles.anchors.astype(np.float64), strict=True)),
        )

    def _triangle_part(self) -> np.ndarray:
        """(F,) the part of each triangle: that of the polygons of its first corner; no vertex has two parts."""
        head = self.package.head
        part_of_vertex = np.zeros(len(head.vertices), np.int64)
        for corner in range(3):
            part_of_vertex[head.polygons[:, corner]] = head.polygon_part
        return part_of_vertex[head.triangles[:, 0]]

    @cached_property
    def texels(self) -> SkinTexels:
        """Where the skin lies in the maps."""
        head, size = self.package.head, self.package.description.wrinkles.size_px
        skin = np.flatnonzero(self._triangle_part() == self.package.description.part_names.index("skin"))
        uv = np.stack([head.uv[:, 0] * size, (1 - head.uv[:, 1]) * size, np.ones(len(head.uv))], 1).astype(np.float32)
        corners = torch.from_numpy(head.uv_triangles[skin].astype(np.int64))
        fragments = rasterize(torch.from_numpy(uv)[None], corners, size, size)
        triangle = fragments.triangle.reshape(-1).numpy()
        index = np.flatnonzero(triangle >= 0)
        barycentric = fragments.barycentric.reshape(-1, 3).numpy()[index]
        return SkinTexels(size, index, head.triangles[skin][triangle[index]].astype(np.int64), barycentric)

    @cached_property
    def prior(self) -> WrinklePrior:
        """The model, drawn again from what was recorded."""
        wrinkles = self.package.description.wrinkles
        return wrinkle_prior(self.surface, self.texels, wrinkles.seed, wrinkles.age)

    @cached_property
    def distilled(self) -> DistilledPrior:
        """What the maps hold of the model."""
        scale, line_gain = WrinkleScale(*self._full), self.package.wrinkles.line_gain
        return distil_prior(self.prior, scale, self._samples, line_gain=line_gain)

    @cached_property
    def _samples(self) -> ExpressionTensions:
        """The expressions that the maps are distilled over."""
        return sampled_tension_scale(self.surface)[1]

    @cached_property
    def learned(self) -> LearnedWrinkles | None:
        """What the detail network says of the person; None where the avatar was made without it.

        Raises:
            LikenessError: the avatar was made with other weights than those that are here.
        """
        detail, wrinkles = self.package.wrinkles.detail, self.package.description.wrinkles
        if detail is None:
            return None
        if not DETAIL_FILE.is_file() or file_sha256(DETAIL_FILE) != wrinkles.detail_weights:
            raise LikenessError(
                "detail_weights",
                f"The wrinkles of {self.package.folder.name} were made with another version of {DETAIL_FILE.name}.",
                "Make the avatar anew from its photo.",
            )
        student = read_student(DETAIL_FILE)
        if self.package.description.person_networks:
            student = read_person_student(self.package.folder / avatar_package.PERSON_FILE, student)
        window = face_window(load_head(), student.config.window_px)
        surface = self.surface
        tension = vertex_tension(surface.neutral, torch.from_numpy(self.package.head.photo_vertices), surface.edges)
        person = person_of_unwrapped(student, UnwrappedFace(detail.texture, detail.confidence), window, tension)
        return distil_person(person, WrinkleScale(*self._full), self._samples, wrinkles.size_px)

    @cached_property
    def detail_gain(self) -> np.ndarray:
        """(N, N) how far the learned detail counts."""
        return self._on_texels(self.package.wrinkles.detail.gain)

    def _on_texels(self, of_vertex: np.ndarray) -> np.ndarray:
        """(N, N) values (V,) of the vertices on the skin's texels, 0 elsewhere."""
        size = self.texels.size_px
        values = np.zeros(size**2, np.float32)
        values[self.texels.index] = (of_vertex[self.texels.vertices] * self.texels.barycentric).sum(1)
        return values.reshape(size, size)

    @cached_property
    def neutral_m(self) -> np.ndarray:
        """(N, N) the map at rest, metres."""
        return self._read(avatar_package.DISPLACEMENT_FILE, self.package.description.displacement)

    @cached_property
    def compressed_m(self) -> np.ndarray:
        """(N, N) the difference to it at full compression."""
        return self._read(avatar_package.COMPRESSED_FILE, self.package.description.wrinkles) - self.neutral_m

    @cached_property
    def expanded_m(self) -> np.ndarray:
        """(N, N) the difference to it at full stretch."""
        return self._read(avatar_package.EXPANDED_FILE, self.package.description.wrinkles) - self.neutral_m

    def _read(self, name: str, coding: DisplacementDescription | WrinkleDescription) -> np.ndarray:
        """One of the maps in metres, at the size of the wrinkle maps."""
        image = cv2.imdecode(np.frombuffer((self.package.folder / name).read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None:
            raise PackageError("package_damaged", f"{name} cannot be read.", "Make the avatar anew from its photo.")
        offset_m = ((image / np.float32(65535) - coding.midlevel) * coding.scale_mm * 1e-3).astype(np.float32)
        size = self.package.description.wrinkles.size_px
        return offset_m if len(offset_m) == size else cv2.resize(offset_m, (size, size), interpolation=cv2.INTER_AREA)


@torch.no_grad()
def displacement_of_frame(
    package: AvatarPackage,
    key_values: Mapping[str, float],
    bone_pose: Mapping[str, tuple[float, float, float]],
) -> np.ndarray:
    """The exact displacement of one frame; for many frames, keep a `FrameModel`.

    Args:
        package: as read by `read_package`.
        key_values, bone_pose: as for `FrameModel.displacement`.

    Returns:
        (N, N) float32 metres outwards along the normal, row 0 at v = 1.

    Raises:
        LikenessError: the avatar has no wrinkles, or a name is unknown.
    """
    return FrameModel(package).displacement(key_values, bone_pose)

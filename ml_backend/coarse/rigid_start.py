"""Where the coarse fit starts: pose and camera of the mean head."""

from __future__ import annotations

import cv2
import torch

from ml_backend.coarse.parameters import FitParameters
from ml_backend.head.head_model import HeadModel


def rigid_start(
    head: HeadModel, landmarks_px: torch.Tensor, focal_px: float | None, image_size_px: tuple[int, int]
) -> FitParameters:
    """Pose and camera from the tracker's landmarks in three dimensions.

    Args:
        landmarks_px: (478,3), z in the scale of x and negative towards the camera.

    Returns:
        FitParameters with zero shape and expression.

    Source: the closed-form similarity of Umeyama (1991).
    """
    template = head.landmarks_478.on(head.skinned.template[None], head.triangles)[0]
    weight = head.landmarks_478_weight / head.landmarks_478_weight.sum()
    target = landmarks_px * landmarks_px.new_tensor([1.0, -1.0, -1.0])
    template_mean, target_mean = (weight[:, None] * template).sum(0), (weight[:, None] * target).sum(0)
    source, goal = template - template_mean, target - target_mean
    u, singular, vh = torch.linalg.svd(goal.T @ (weight[:, None] * source))
    sign = torch.ones(3)
    sign[2] = torch.sign(torch.linalg.det(u @ vh))
    rotation = u @ torch.diag(sign) @ vh
    scale = float((singular * sign).sum() / (weight[:, None] * source * source).sum())
    root = head.skinned.joint_template[0]
    middle = rotation @ (template_mean - root) + root
    centre = landmarks_px.new_tensor([target_mean[0] - scale * middle[0], -target_mean[1] + scale * middle[1]])
    size = scale if focal_px is None else focal_px / scale
    pose = torch.zeros(15)
    pose[:3] = torch.from_numpy(cv2.Rodrigues(rotation.double().numpy())[0][:, 0]).float()
    return FitParameters(
        shape=torch.zeros(head.num_shape),
        expression=torch.zeros(head.num_expression),
        pose=pose,
        view=torch.cat([torch.tensor([size]).log(), centre]),
        focal_px=focal_px,
        image_size_px=image_size_px,
    )

"""The coarse encoder: a vision transformer whose class token becomes a head code (first paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ml_backend.head.head_model import HeadModel
from ml_backend.head.skinning import rotation_matrices
from ml_backend.learned.face_crop import mean_crop_camera
from ml_backend.learned.head_code import CodeSizes, HeadCode
from ml_backend.learned.timm_models import create_model
from ml_backend.rendering.spherical_harmonics import ambient_light
from ml_backend.tracking.landmark_topology import NUM_LANDMARKS

# What one unit of the network's output means for each block: about one standard deviation of faces in photos.
SHAPE_SCALE = 1.0
EXPRESSION_SCALE = 0.25
ALBEDO_SCALE = 1.0
# radians: root, neck, jaw, left eye, right eye
POSE_SCALE = (0.25, 0.5, 0.2, 0.1, 0.1, 0.1, 0.2, 0.05, 0.05, 0.2, 0.3, 0.05, 0.2, 0.3, 0.05)
# of the mean camera's scale; half crops
CAMERA_SCALE, CAMERA_SHIFT_SCALE = 0.1, 0.1
LIGHT_SCALE = 0.5
# the last layer begins this much smaller than usual, so that training begins near the mean head
LAST_LAYER_SIZE = 0.01
# grey levels (0-1) of crops: about their mean and spread
IMAGE_MEAN, IMAGE_SPREAD = 0.45, 0.25
# half crops by which landmarks stray from the mean head's, about one standard deviation
LANDMARK_SPREAD = 0.1


@dataclass(frozen=True)
class EncoderConfig:
    """How the encoder is built.

    Attributes:
        body: timm's name of a vision transformer; image_px: side of its crops, a multiple of its patch.
        hidden: width of the hidden layer between class token and code.
        drop_path: share of the residual branches left out at random while training.
        landmarks: also read the tracker's landmarks, which have to be found for the crop anyway. Without them, this is
            the first paper's encoder.
    """

    body: str = "vit_tiny_patch16_224"
    image_px: int = 160
    hidden: int = 512
    drop_path: float = 0.0
    landmarks: bool = False


class CoarseEncoder(torch.nn.Module):
    """Reads head codes off face crops in one pass.

    Args:
        config: what to build.
        sizes: of the codes.
        body: of the config's kind, where one is there already; by default timm builds it.

    The zero output is the mean head, seen from the front in ambient light: `set_mean_view` says with which camera.
    The network's own camera says where the middle of the face is; the code's shift follows from it. Heads turn about
    the base of the neck, 0.2 m from there, so that with the shift itself as output the least change of a rotation would
    throw the face out of its place. (After 110 steps on 8 samples the loss is at 6; with the shift as output, at 14.)

    Source: first paper, section 3.2 (class token through an MLP with one hidden layer); the camera: own derivation.
    """

    def __init__(self, config: EncoderConfig, sizes: CodeSizes, body: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.config, self.sizes = config, sizes
        self.body = body or create_model(
            config.body, num_classes=0, img_size=config.image_px, dynamic_img_size=True, drop_path_rate=config.drop_path
        )
        width = self.body.num_features
        self.to_code = torch.nn.Sequential(
            torch.nn.Linear(width, config.hidden), torch.nn.GELU(), torch.nn.Linear(config.hidden, sizes.length)
        )
        with torch.no_grad():
            self.to_code[-1].weight.mul_(LAST_LAYER_SIZE)
            self.to_code[-1].bias.zero_()
        self.from_landmarks = torch.nn.Linear(2 * NUM_LANDMARKS, width, bias=False) if config.landmarks else None
        # of the mean head in its crop
        self.register_buffer("mean_landmarks", torch.zeros(NUM_LANDMARKS if config.landmarks else 0, 2))
        self.register_buffer("mean_code", torch.zeros(sizes.length))
        self.register_buffer("code_scale", _code_scale(sizes))
        # of the mean head: root, neck, middle of the face; metres
        self.register_buffer("places", torch.zeros(3, 3))

    def set_mean_view(self, head: HeadModel) -> None:
        """Make the zero output a head that fills its crop, in ambient light of brightness 1."""
        camera = mean_crop_camera(head)
        code = HeadCode.from_vector(torch.zeros(1, self.sizes.length), self.sizes)
        mean = HeadCode(code.shape, code.expression, code.pose, code.albedo, camera[None], ambient_light()[None])
        self.mean_code.copy_(mean.vector[0])
        if self.from_landmarks is not None:
            points = head.landmarks_478.on(head.skinned.template[None], head.triangles)
            self.mean_landmarks.copy_(mean.project(points)[0])
        spread = HeadCode.from_vector(_code_scale(self.sizes)[None], self.sizes)
        spread.camera[0, 0] = CAMERA_SCALE * camera[0]
        self.code_scale.copy_(spread.vector[0])
        middle = head.skinned.template[head.masks["face"] > 0.5].mean(0)
        self.places.copy_(torch.cat([head.skinned.joint_template[:2], middle[None]]))
        # the mean head is not turned: where the middle of its face is seen
        self.mean_code[self._camera] += self._face_offset(mean.pose, mean.camera)[0].to(self.mean_code)

    def forward(self, images: torch.Tensor, landmarks: torch.Tensor | None = None) -> HeadCode:
        """Read codes.

        Args:
            images: (B,3,H,W) sRGB, 0-1; H and W multiples of the patch, by default `config.image_px`.
            landmarks: (B,478,2) the tracker's, crop coordinates, -1 to 1, y down; NaN where they are not known. Read
                where `config.landmarks` says so.
        """
        token = self.body((images - IMAGE_MEAN) / IMAGE_SPREAD)
        if self.from_landmarks is not None and landmarks is not None:
            stray = ((landmarks - self.mean_landmarks) / LANDMARK_SPREAD).nan_to_num()
            token = token + self.from_landmarks(stray.flatten(1))
        output = self.to_code(token)
        # geometry needs all digits, also where networks run in half precision
        with torch.autocast(images.device.type, enabled=False):
            code = HeadCode.from_vector(self.mean_code + self.code_scale * output.float(), self.sizes)
            return replace(code, camera=code.camera - self._face_offset(code.pose, code.camera))

    @property
    def _camera(self) -> slice:
        """The camera's place in the vector."""
        sizes = self.sizes.blocks
        first = sizes["shape"] + sizes["expression"] + sizes["pose"] + sizes["albedo"]
        return slice(first, first + sizes["camera"])

    def _face_offset(self, pose: torch.Tensor, camera: torch.Tensor) -> torch.Tensor:
        """(B,3) what the middle of the mean head's face adds to (0, tx, ty) in the image, by pose and scale."""
        root, neck, middle = self.places.to(pose.device)
        by_neck = (rotation_matrices(pose[:, 3:6]) @ (middle - neck)[:, None])[..., 0] + neck
        turned = (rotation_matrices(pose[:, :3]) @ (by_neck - root)[..., None])[..., 0] + root
        seen = turned[:, :2] * turned.new_tensor([1.0, -1.0]) * camera[:, :1]
        return torch.cat([torch.zeros_like(camera[:, :1]), seen], 1)


def _code_scale(sizes: CodeSizes) -> torch.Tensor:
    """(L,) what one unit of the network's output means."""
    return torch.cat(
        [
            torch.full((sizes.shape,), SHAPE_SCALE),
            torch.full((sizes.expression,), EXPRESSION_SCALE),
            torch.tensor(POSE_SCALE),
            torch.full((sizes.albedo,), ALBEDO_SCALE),
            torch.tensor([CAMERA_SCALE, CAMERA_SHIFT_SCALE, CAMERA_SHIFT_SCALE]),
            torch.full((27,), LIGHT_SCALE),
        ]
    )

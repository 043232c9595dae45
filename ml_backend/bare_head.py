"""A head model alone as an avatar package, without a photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from addon.exchange.avatar_package import check_target
from addon.exchange.errors import LikenessError
from ml_backend.loaded_models import LoadedModels
from ml_backend.one_thread import one_thread
from ml_backend.pipeline import MAX_TEXTURE_PX, MIN_TEXTURE_PX, AvatarResult, Stage, StageClock, no_progress

STAGES = (Stage.LOAD_MODELS, Stage.BAKE_TEXTURE, Stage.WRITE_PACKAGE)


@dataclass(frozen=True)
class BareHeadOptions:
    """What can be chosen.

    Attributes:
        head: the user's head model file; None = the open head.
        name: of the avatar; None = the head's.
        texture_px, displacement_px: sides of the two maps.
    """

    head: Path | None = None
    name: str | None = None
    texture_px: int = 2048
    displacement_px: int = 256

    def __post_init__(self) -> None:
        for size in (self.texture_px, self.displacement_px):
            if not MIN_TEXTURE_PX <= size <= MAX_TEXTURE_PX:
                raise LikenessError(
                    "texture_size", f"A texture of {size} pixels cannot be made.", "Choose 256 to 4096 pixels."
                )


def make_bare_head(
    package: Path,
    options: BareHeadOptions = BareHeadOptions(),
    progress: Callable[[Stage, float], None] = no_progress,
    models: LoadedModels | None = None,
) -> AvatarResult:
    """Write the package of a head model at its mean: neutral, in the mean albedo, without relief.

    Args:
        package: the folder to write; an avatar there is replaced when the new one is whole.
        progress: called at the start of each stage of STAGES with the fraction done.
        models: as in `make_avatar`.

    Raises:
        LikenessError: the head or the place to write cannot be used; nothing is left behind.
    """
    models = models or LoadedModels()
    clock = StageClock(progress, STAGES)
    check_target(package)
    with clock.stage(Stage.LOAD_MODELS):
        from ml_backend.texture.plain_texture import plain_texture

        head, albedo = models.head(options.head), models.albedo
    with clock.stage(Stage.BAKE_TEXTURE), one_thread():
        albedo_srgb = plain_texture(head, albedo, options.texture_px)
    with clock.stage(Stage.WRITE_PACKAGE):
        from ml_backend.bare_head_writer import BareHead, write_bare_head

        name = options.name or head.name
        bare_head = BareHead(name, head, albedo.num_coefficients, albedo_srgb, options.displacement_px)
        description = write_bare_head(package, bare_head, clock.timings_s)
    progress(Stage.WRITE_PACKAGE, 1.0)
    return AvatarResult(package, description, clock.timings_s)

"""What a run on a folder of photos need not do again, since an earlier one has done it before it was interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from addon.exchange.avatar_description import HeldOutError
from addon.exchange.avatar_package import file_sha256
from addon.exchange.typed_json import JsonMismatch, decode, encode
from ml_backend.learned.adapters import Network, person_state, personal_network
from ml_backend.learned.detail_weights import DETAIL_FILE, TEACHER_FILE
from ml_backend.personalise.curation import CurationOptions
from ml_backend.personalise.folder_images import FolderImage
from ml_backend.personalise.held_out import PersonHead
from ml_backend.personalise.joint_fit import JointFit, JointFitOptions
from ml_backend.personalise.kept_files import KeptContent, KeptFiles, array_digest, digest
from ml_backend.personalise.kept_fit_file import fit_content, fit_of
from ml_backend.personalise.kept_readings import files_digest
from ml_backend.personalise.train_adapters import AdapterTraining

JOINT, HELD_OUT, ENCODER, STUDENT = "joint", "held_out", "encoder", "student"
# what people are told of
WORDS = {JOINT: "joint fit", ENCODER: "the person's encoder", STUDENT: "the person's detail network"}


@dataclass(frozen=True)
class _HeldOut:
    """None is an answer as well."""

    error: HeldOutError | None


class KeptRun:
    """The stages of one run behind the reading of the photos.

    Args:
        files: where they are kept, or None.
        images: of the folder; curation, joint, adapters: the run's options (None: no adapters); before: the head that
            the new one is compared with.

    A stage belongs to the files in the folder as they are, and to all options that it depends on: what comes after
    (sizes of maps, name) may be chosen anew.
    """

    def __init__(
        self,
        files: KeptFiles | None,
        images: Sequence[FolderImage],
        curation: CurationOptions,
        joint: JointFitOptions,
        adapters: AdapterTraining | None,
        before: PersonHead | None,
    ) -> None:
        self._files, self._keys = files, {}
        if files is None:
            return
        fit = digest(files_digest(images), _curation_values(curation), asdict(joint))
        self._keys |= {JOINT: fit, HELD_OUT: digest(fit, _head_values(before))}
        if adapters is not None:
            trained = digest(fit, encode(adapters), file_sha256(DETAIL_FILE), file_sha256(TEACHER_FILE))
            self._keys |= {ENCODER: trained, STUDENT: trained}

    def found(self) -> tuple[str, ...]:
        """In words for people, what is there."""
        return tuple(
            WORDS[stage] for stage, key in self._keys.items() if stage in WORDS and self._files.has(stage, key)
        )

    def joint_fit(self, names: Sequence[str], make: Callable[[], JointFit]) -> JointFit:
        """The joint fit of photos of these names, as it was made before or made now."""
        content = self._read(JOINT)
        kept = None if content is None else fit_of(content, names)
        if kept is not None:
            return kept
        joint = make()
        if self._files is not None:
            content = fit_content(joint, names)
            self._files.write(JOINT, self._keys[JOINT], content.arrays, content.document)
        return joint

    def held_out(self, make: Callable[[], HeldOutError | None]) -> HeldOutError | None:
        """The errors on held-out photos, as they were measured before or measured now."""
        content = self._read(HELD_OUT)
        if content is not None:
            with contextlib.suppress(JsonMismatch):
                return decode(_HeldOut, content.document).error
        error = make()
        if self._files is not None:
            self._files.write(HELD_OUT, self._keys[HELD_OUT], {}, encode(_HeldOut(error)))
        return error

    def network(self, stage: str, base: Network, make: Callable[[], Network]) -> Network:
        """A network adapted to the person (ENCODER or STUDENT), as it was trained before or trained now.

        Args:
            base: the shared one.
        """
        content = self._read(stage)
        if content is not None:
            # what belongs to other weights is trained again
            with contextlib.suppress(ValueError):
                return personal_network(base, {name: torch.from_numpy(value) for name, value in content.arrays.items()})
        network = make()
        if self._files is not None:
            arrays = {name: value.numpy() for name, value in person_state(network).items()}
            self._files.write(stage, self._keys[stage], arrays, {})
        return network

    def _read(self, stage: str) -> KeptContent | None:
        return None if self._files is None else self._files.read(stage, self._keys[stage])


def _curation_values(options: CurationOptions) -> dict[str, object]:
    """All of the options as JSON values."""
    return {
        "with_subfolders": options.with_subfolders,
        "most_photos": options.most_photos,
        "overruled": dict(options.overruled),
        "person": None if options.person is None else array_digest(np.asarray(options.person, np.float32)),
        "read_with": options.reading.digest(),
    }


def _head_values(person: PersonHead | None) -> list[str] | None:
    if person is None:
        return None
    neutral = person.head.skinned.template
    return [array_digest(part.cpu().numpy()) for part in (neutral, person.shape, person.albedo)]

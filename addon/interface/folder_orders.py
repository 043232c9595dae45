"""A folder's way through the queue: judged, looked through by the artist, made into an avatar."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

from ..exchange.errors import LikenessError
from ..exchange.folder_messages import FolderAvatarRequest, JudgeFolderRequest
from ..worker.job import Job, JobState
from .folder_list import fill_list, forget_list, ticks
from .orders import FinishedAvatar, FolderOrder, FolderReview
from .session import session
from .texts import text
from .user_folders import cache_folder

_FEWEST_PHOTOS = 2


def judge_folder(order: FolderOrder) -> Job:
    """Have the photos of a folder judged; the list takes the place of an older one.

    Raises:
        LikenessError: the folder is not there, or there is no place for the package.
    """
    if not order.folder.is_dir():
        name = order.folder.name or str(order.folder)
        raise LikenessError("folder_missing", text("error.missing_file", name=name), text("folder.none"))
    # no package is reserved yet, but what cannot be written is said now
    session().free_package_folder(order.settings.name)
    thumbnails = cache_folder() / "folders" / uuid.uuid4().hex
    request = JudgeFolderRequest(str(order.folder), str(thumbnails), order.choice)
    title = text("folder.title", name=order.folder.name)
    return session().add(request, title, lambda job: _end_judging(order, thumbnails, job))


def judge_again() -> Job:
    """Have the listed folder judged anew, with the artist's ticks.

    Raises:
        LikenessError: there is no list any more.
    """
    return judge_folder(_ticked_order(open_review()))


def make_avatar_of_folder() -> Job:
    """Have the avatar of the listed folder made; the list closes.

    Raises:
        LikenessError: there is no list any more, too few photos are ticked, or there is no place for the package.
    """
    review = open_review()
    if sum(ticks().values()) < _FEWEST_PHOTOS:
        raise LikenessError("few_photos", text("folder.few"), text("folder.few.hint"))
    order = _ticked_order(review)
    package = session().free_package_folder(order.settings.name)
    request = FolderAvatarRequest(str(order.folder), str(package), order.choice, order.settings)
    job = session().add(request, order.settings.name, lambda job: _end_making(order, job), package)
    close_review()
    return job


def open_review() -> FolderReview:
    """The folder that the artist looks through.

    Raises:
        LikenessError: there is none.
    """
    review = session().review
    if review is None or len(ticks()) != len(review.judged.photos):
        raise LikenessError("no_review", text("folder.gone"), text("folder.gone.hint"))
    return review


def close_review() -> None:
    """Forget the list and its thumbnails."""
    review, session().review = session().review, None
    forget_list()
    if review is not None:
        _remove(review.thumbnails)


def _ticked_order(review: FolderReview) -> FolderOrder:
    """The order, with whatever the artist wants otherwise than it was judged."""
    chosen = {photo.name: photo.chosen for photo in review.judged.photos}
    otherwise = {name: tick for name, tick in ticks().items() if tick != chosen[name]}
    choice = replace(review.order.choice, overruled={**review.order.choice.overruled, **otherwise})
    return replace(review.order, choice=choice)


def _end_judging(order: FolderOrder, thumbnails: Path, job: Job) -> None:
    if job.state is not JobState.DONE:
        _remove(thumbnails)
        return
    close_review()
    session().review = FolderReview(order, job.result, thumbnails)
    fill_list(session().review)


def _end_making(order: FolderOrder, job: Job) -> None:
    if job.state is JobState.DONE:
        package = Path(job.result.package)
        session().finished.append(
            FinishedAvatar(package, job.title, order.scene_uid, order.options, head_uid=order.head_uid)
        )


def _remove(thumbnails: Path) -> None:
    # what cannot be removed now goes with the cache
    with contextlib.suppress(OSError):
        shutil.rmtree(thumbnails)

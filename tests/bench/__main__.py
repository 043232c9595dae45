"""Prints every figure that the product promises, as tables, with the machine they come from.

`python build.py bench` runs all of it (hours: `personal` alone takes 70 minutes of a core); `--only` picks
parts; `--quick` measures fewer renders and people.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ml_backend.coarse.fit_photo import FitOptions
from ml_backend.head.albedo_model import load_albedo_model
from ml_backend.head.head_file import load_head
from ml_backend.tracking.face_tracker import FaceTracker
from tests.bench.accuracy import (
    mean_head_error,
    photo_results,
    skin_colour_errors,
    smile_mouth_errors,
    surface_errors,
    tracker_parity,
)
from tests.bench.machine import describe_machine
from tests.bench.personal_accuracy import HeldOutErrors
from tests.bench.speed import Timing, cold_run, tracked_mib, warm_run

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
SHARED_PHOTOS = SHARED / "photos" / "single"
DEFAULT_PHOTO = ROOT / ".cache" / "astronaut.png"


def main() -> None:
    parser = argparse.ArgumentParser(prog="build.py bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(PARTS), action="append", help="one part (repeatable); all by default")
    parser.add_argument("--quick", action="store_true", help="20 renders in place of 100")
    parser.add_argument("--photo", type=Path, default=DEFAULT_PHOTO, help="the photo of the speed table")
    arguments = parser.parse_args()
    print(f"Machine: {describe_machine()}\n")
    for name in arguments.only or PARTS:
        PARTS[name](arguments)


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    print(f"{title}\n\n| {' | '.join(header)} |\n| {' | '.join('---' for _ in header)} |")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def print_speed(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        cold = cold_run(arguments.photo, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        warm = warm_run(arguments.photo, Path(folder))
    names = list(dict.fromkeys([*cold.stages_s, *warm.stages_s]))
    rows = [[name, _seconds(cold, name), _seconds(warm, name)] for name in names]
    rows.append(["**all, from the command to the saved .blend**", f"**{cold.total_s:.2f}**", f"**{warm.total_s:.2f}**"])
    print_table(f"Speed: one photo at the defaults ({arguments.photo.name}), seconds", ["stage", "cold", "warm"], rows)
    print_table(
        "Memory and size",
        ["what", "MiB"],
        [
            ["largest process of a cold run, peak", f"{cold.peak_mib:.0f}"],
            ["all tracked files", f"{tracked_mib():.1f}"],
        ],
    )


def _seconds(timing: Timing, stage: str) -> str:
    return f"{timing.stages_s[stage]:.2f}" if stage in timing.stages_s else ""


def print_photos(arguments: argparse.Namespace) -> None:
    if not SHARED_PHOTOS.is_dir():
        print("Photos: ../shared/photos is not here, so this table is left out.\n")
        return
    results = photo_results(SHARED_PHOTOS, load_head(), load_albedo_model(), FaceTracker())
    rows = [
        [r.name, r.refusal or f"{np.degrees(r.yaw):.0f}", "" if r.refusal else f"{r.landmark_percent:.2f}"]
        for r in results
    ]
    counted = [r.landmark_percent for r in results if not r.refusal and not r.full_profile]
    rows.append([f"**mean of the {len(counted)} that are not full profiles**", "", f"**{np.mean(counted):.2f}**"])
    title = "Photos: distance of the 68 landmarks, percent of the outer eye corners' distance"
    print_table(title, ["photo", "yaw, degrees", "landmark error, %"], rows)


def print_tracker(arguments: argparse.Namespace) -> None:
    if not SHARED_PHOTOS.is_dir():
        print("Tracker: ../shared/photos is not here, so this table is left out.\n")
        return
    parity = tracker_parity(SHARED_PHOTOS.parent)
    rows = [[str(parity.faces), f"{parity.mean_px:.2f}", f"{parity.median_px:.2f}", f"{parity.worst_px:.2f}"]]
    title = "Tracker, one pass, against MediaPipe's landmarks: distance in the 192-px crop"
    print_table(title, ["faces", "mean, px", "median, px", "worst face, px"], rows)


def print_renders(arguments: argparse.Namespace) -> None:
    head, albedo, tracker = load_head(), load_albedo_model(), FaceTracker()
    count = 20 if arguments.quick else 100
    variants = {
        "all terms": FitOptions(),
        "silhouette term off": FitOptions(use_silhouette=False),
        "shading off": FitOptions(use_photometric=False),
    }
    rows = [["the mean head, no fit", f"{mean_head_error(head, count):.2f}", *[""] * 5]]
    for name, options in variants.items():
        e = surface_errors(head, albedo, tracker, count, options)
        figures = (e.median, e.mean, e.p95, e.median_scaled, e.landmark_percent)
        rows.append([name, *(f"{value:.2f}" for value in figures), f"{e.found}/{e.renders}"])
    header = ["fit", "median", "mean", "95%", "median, scale aligned too", "landmarks, %", "faces found"]
    print_table("Renders of random heads: surface error of the neutral face after rigid alignment, mm", header, rows)
    wide = smile_mouth_errors(head, albedo, tracker, count // 2)
    figures = [f"{len(wide)}", f"{wide.mean():.1f}", f"{np.sqrt((wide**2).mean()):.1f}"]
    print_table("Renders of smiles and laughs: the neutral's mouth, mm", ["faces", "too wide by", "rms"], [figures])
    skin = skin_colour_errors(head, albedo, tracker, count)
    figures = zip(("brightness", "log(R/G)", "log(B/G)"), skin.spread, skin.rms, skin.correlation, strict=True)
    print_table(
        f"Skin of {skin.faces} synthetic faces under coloured lights: baked texture against the truth, logarithms",
        ["colour", "spread of the truth", "rms error", "correlation"],
        [[name, *(f"{value:.2f}" for value in values)] for name, *values in figures],
    )


def print_wrinkles(arguments: argparse.Namespace) -> None:
    # imported here: the other parts need no Blender in this process
    from tests.bench.wrinkle_cost import SIZES, frame_cost

    rows = []
    for num_vertices in SIZES:
        cost = frame_cost(num_vertices, 30 if arguments.quick else 120)
        figures = (cost.scene_ms, cost.tension_nodes_ms, cost.all_nodes_ms, cost.numpy_handler_ms, cost.python_loop_ms)
        nodes, loop = cost.tension_nodes_ms, cost.python_loop_ms
        rows.append([f"{num_vertices:,}", *(f"{value:.2f}" for value in figures), f"{loop / nodes:.0f}"])
        rows[-1].append(f"{1000 / (cost.scene_ms + cost.all_nodes_ms):.0f}")
    header = ["vertices", "scene alone", "+ tension nodes", "+ tension, subdivision, displacement", "+ numpy handler"]
    header += ["+ Python loop", "Python loop / tension nodes", "frames a second with all nodes"]
    print_table("Wrinkles: milliseconds of a frame, the least of many, and what each way adds", header, rows)


def print_extension(arguments: argparse.Namespace) -> None:
    # imported here: the other parts need no Blender in this process
    from tests.bench.extension_cost import extension_cost

    with tempfile.TemporaryDirectory() as folder:
        cost = extension_cost(arguments.photo, Path(folder))
    rows = [
        ["worker, from its start to ready", f"{cost.worker_start_s:.1f} s"],
        ["timer tick while a job runs, median", f"{cost.tick_median_ms:.2f} ms"],
        ["timer tick while a job runs, worst", f"{cost.tick_worst_ms:.2f} ms"],
        ["drawing the tab, idle: our Python", f"{cost.draw_ms:.2f} ms"],
        ["timer when idle", "runs" if cost.idle_timer else "none"],
        ["finished avatar read and built in the scene", f"{cost.build_s:.2f} s"],
    ]
    print_table("Extension: what it costs Blender", ["what", "cost"], rows)


def print_rendering(arguments: argparse.Namespace) -> None:
    # imported here: pytorch3d, where it is, takes long to load
    from tests.bench.rendering_cost import HEADER, rendering_costs

    rows = [cost.row() for cost in rendering_costs(sizes_px=(224, 256) if arguments.quick else (224, 256, 512))]
    print_table("Differentiable rendering of the open head: milliseconds, the least of many", list(HEADER), rows)


def print_learned(arguments: argparse.Namespace) -> None:
    from ml_backend.learned.weights_file import read_coarse_encoder
    from tests.bench.learned_accuracy import WAYS, photo_errors, synthetic_errors

    models = load_head(), load_albedo_model(), FaceTracker(), read_coarse_encoder()
    errors = synthetic_errors(*models, 20 if arguments.quick else 200)
    rows = []
    for way, e in errors.items():
        surface, landmarks = (e.median_mm, e.mean_mm, e.max_mm), (e.boundary, e.inner, e.overall)
        # the mean head has no view of its own
        shown = [f"{value:.2f}" for value in landmarks] if way in WAYS else [""] * len(landmarks)
        rows.append([way, *(f"{value:.2f}" for value in surface), *shown, str(e.faces)])
    header = ["way", "median, mm", "mean, mm", "farthest, mm", "boundary, %", "inner, %", "overall, %", "faces found"]
    title = "Held-out synthetic faces: surface error of the neutral face after rigid alignment, and of the 68 landmarks"
    print_table(title, header, rows)
    if SHARED_PHOTOS.is_dir():
        photos = photo_errors(SHARED_PHOTOS, *models)
        rows = [[name, *(f"{ways[way]:.2f}" for way in WAYS)] for name, ways in photos.items()]
        rows.append(["**mean**", *(f"**{np.mean([ways[way] for ways in photos.values()]):.2f}**" for way in WAYS)])
        print_table("Photos: distance of the 68 landmarks, percent", ["photo", *WAYS], rows)


def print_detail(arguments: argparse.Namespace) -> None:
    from ml_backend.learned.detail_weights import read_student
    from ml_backend.learned.weights_file import read_coarse_encoder
    from tests.bench.detail_accuracy import image_times, student_figures

    head, albedo, student = load_head(), load_albedo_model(), read_student()
    figures = student_figures(head, albedo, student, 4 if arguments.quick else 32)
    rows = [[name, f"{value:.3f}"] for name, value in figures.items()]
    print_table("Learned detail against the truth, held-out synthetic people", ["figure", "value"], rows)
    times = image_times(arguments.photo, head, albedo, read_coarse_encoder(), student)
    each = (times.coarse_ms, times.read_ms, times.displacement_ms)
    rows = [[*(f"{value:.0f}" for value in each), f"**{sum(each):.0f}**"]]
    header = ["coarse encoder", "photo unwrapped and read", "one displacement", "together"]
    print_table("Learned head and detail of one image: milliseconds, the median of many", header, rows)


def print_personal(arguments: argparse.Namespace) -> None:
    from ml_backend.loaded_models import LoadedModels
    from ml_backend.synthetic.sample import SyntheticFaces
    from tests.bench.personal_accuracy import PEOPLE, film_errors, folder_errors, mean_errors, person_errors

    models = LoadedModels()
    faces = SyntheticFaces(models.head(None), models.albedo, PEOPLE)
    found = [person_errors(person, faces, models) for person in range(2 if arguments.quick else 20)]
    people = [errors for errors in found if errors is not None]
    of = f"{len(people)} synthetic people, 8 images each to learn from, 4 held out"
    ways = people[0].surface_mm
    rows = [[way, f"{np.mean([person.surface_mm[way] for person in people]):.2f}"] for way in ways]
    print_table(f"Neutral face after rigid alignment, mean; {of}", ["way", "mm"], rows)
    _print_held_out(of, mean_errors([person.held_out for person in people]))
    detail = {way: np.mean([person.detail[way] for person in people], 0) for way in people[0].detail}
    shown = [[way, f"{figures[0]:.3f}", f"{figures[1]:.4f}"] for way, figures in detail.items()]
    print_table(f"Displacement of unseen expressions; {of}", ["network", "correlation", "error, mm"], shown)
    if SHARED.is_dir():
        film, folder = SHARED / "video/actor_interview.mp4", SHARED / "photos/person_obama"
        _print_held_out(f"{film.name}, every 15th frame learned from, 20 between held out", film_errors(film, models))
        _print_held_out(f"{folder.name}, each photo held out in turn", folder_errors(folder, models))


def _print_held_out(of: str, errors: HeldOutErrors) -> None:
    rows = [
        [way, f"{percent:.2f}", f"{errors.photometric[way]:.3f}" if way in errors.photometric else ""]
        for way, percent in errors.landmark_percent.items()
    ]
    print_table(f"Held-out images; {of}", ["way", "landmarks by the tracker, %", "photometric, sRGB 0-1"], rows)


def print_robustness(arguments: argparse.Namespace) -> None:
    from ml_backend.loaded_models import LoadedModels
    from tests.bench.personal_robustness import rendered_robustness

    people = (0,) if arguments.quick else (0, 2, 4, 6)
    with tempfile.TemporaryDirectory() as folder:
        results = rendered_robustness(Path(folder), LoadedModels(), people)
    rows = [
        [
            result.name, f"{result.right_used} of {result.right}", f"{result.wrong_used} of {result.wrong}",
            f"{result.rms:.2f}", f"{result.largest:.2f}",
        ]
        for result in results
    ]  # fmt: skip
    header = ["folder", "right photos used", "wrong ones used", "rms", "largest component"]
    print_table("Shape with other people's photos and damaged files in the folder, standard deviations", header, rows)


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "speed": print_speed,
    "tracker": print_tracker,
    "photos": print_photos,
    "renders": print_renders,
    "wrinkles": print_wrinkles,
    "extension": print_extension,
    "rendering": print_rendering,
    "learned": print_learned,
    "detail": print_detail,
    "personal": print_personal,
    "robustness": print_robustness,
}

if __name__ == "__main__":
    main()

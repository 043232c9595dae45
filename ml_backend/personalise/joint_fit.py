"""One head for several photos of a person: the identity shared; expression, pose, camera and light of each its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from addon.exchange.errors import LikenessError
from ml_backend.coarse.appearance import (
    Appearance,
    ScaledPhoto,
    albedo_at_vertices,
    scale_photo,
    visible_vertices,
)
from ml_backend.coarse.coarse_fit import CoarseFit
from ml_backend.coarse.fit_photo import (
    LANDMARK_DAMPING,
    RIGID_ITERATIONS,
    evidence_terms,
    found_head,
    rigid_only,
    skin_region,
)
from ml_backend.coarse.gauss_newton import INITIAL_DAMPING, Term, minimise
from ml_backend.coarse.head_size_term import HeadSizeTerm
from ml_backend.coarse.neutral_mouth_term import NeutralMouthTerm, corner_motion_m
from ml_backend.coarse.parameters import FitParameters
from ml_backend.coarse.photometric_term import PhotometricTerm
from ml_backend.coarse.prior_term import SHAPE_SIGMA, PriorTerm
from ml_backend.coarse.rigid_start import rigid_start
from ml_backend.head.albedo_model import AlbedoModel
from ml_backend.head.head_model import HeadModel
from ml_backend.personalise.joint_solver import IdentityPrior, ViewEvidence, solve_jointly
from ml_backend.personalise.shared_appearance import (
    SeenColours,
    VertexAlbedo,
    estimate_shared_appearance,
)
from ml_backend.personalise.vertex_offsets import (
    FEWEST_VIEWS,
    agreed_coefficients,
    head_of_shape,
    head_with_modes,
    offset_modes,
    personal_head,
)
from ml_backend.personalise.view import View

LANDMARK_ROUNDS = 2
ITERATIONS_A_ROUND = 5
PHOTOMETRIC_ROUNDS = 2
PHOTOMETRIC_ITERATIONS = 3
# a photo that the encoder has not read is first fitted alone, roughly: the joint solve goes on from there
ALONE_ITERATIONS = 10
# iterations of a photo's own unknowns once the identity is known
OWN_ITERATIONS = 8
# The tracker's errors on a person's photos are alike: this share of their variance is common to all, so that n photos
# say as much as n / (1 + (n - 1) ALIKE_ERRORS) whose errors are not related, four at most. Eight rendered people, 8
# photos each, by the say of each photo (1, 0.5, 0.25, 0.12; ALIKE_ERRORS makes it 0.36): surface 1.48, 1.37, 1.27,
# 1.20 mm (the mean head 1.32), held-out landmarks 1.59, 1.58, 1.56, 1.59%. 20 frames of a film (ALIKE_ERRORS makes it
# 0.17): held-out landmarks 1.27, 1.32, 1.37, 1.40%, in which errors that all frames share count as right; the shape's
# rms 1.32, 1.07, 0.85, 0.66 standard deviations.
ALIKE_ERRORS = 0.25

# A photo that would gain this many times as much by an identity of its own as the median photo has lost most of its
# say. A person's own photos reach 5 times (40 rendered ones); at 4 such a photo lost its say altogether.
DOUBTFUL_GAIN = 8.0


class JointFitError(LikenessError):
    """The photos cannot be fitted together."""


@dataclass(frozen=True)
class JointFitOptions:
    """How to fit.

    Attributes:
        use_silhouette, use_photometric: as for one photo.
        use_offsets: also offsets of the vertices, where several photos agree on them; from FEWEST_VIEWS photos on.
    """

    use_silhouette: bool = True
    use_photometric: bool = True
    use_offsets: bool = True


@dataclass(frozen=True)
class JointFit:
    """One person in several photos.

    Attributes:
        shape: (S,) standard deviations; albedo: (A,) standard deviations.
        offsets_m: (V,3) of the neutral's vertices, metres, model space; `personal_head` makes a head of them.
        fits: of each view on the personal head, all with that shape and albedo.
        error_percent: landmark error of each view, percent of the outer eye corners' distance.
        say: of each view about the identity, 0-1: little where it is not trusted, or where its face does not go with
            the others'. The latter tells lost faces; two people who look alike to the tracker are not told apart by it.
    """

    shape: torch.Tensor
    albedo: torch.Tensor
    offsets_m: torch.Tensor
    fits: tuple[CoarseFit, ...]
    error_percent: tuple[float, ...]
    say: tuple[float, ...]


def fit_jointly(
    views: Sequence[View],
    head: HeadModel,
    albedo_model: AlbedoModel,
    options: JointFitOptions = JointFitOptions(),
    progress: Callable[[str, float], None] = lambda text, fraction: None,
    trust: Sequence[float] | None = None,
) -> JointFit:
    """Fit one head to all photos of a person.

    Args:
        views: at least one.
        trust: how much each may say about the identity at most, 0-1; None: all as much as they wish.
        progress: called with what is being done and the fraction done, 0-1.

    Raises:
        JointFitError: there are no views.

    Source: the first paper's coarse stage (sections 3.1-3.2), solved for all photos at once by Gauss-Newton.
    """
    if not views:
        raise JointFitError("no_views", "There is no photo to fit.", "Choose photos that show the person's face.")
    with torch.no_grad():
        problem = _JointProblem(views, head, albedo_model, options, trust)
        for number in range(len(views)):
            progress("the head in each photo", 0.3 * number / len(views))
            problem.begin(number)
        problem.share_identity()
        for number in range(LANDMARK_ROUNDS):
            progress("one head for all photos", 0.3 + 0.1 * number)
            problem.solve(ITERATIONS_A_ROUND, LANDMARK_DAMPING)
            problem.take_prior()
        for number in range(PHOTOMETRIC_ROUNDS if options.use_photometric else 0):
            progress("shading", 0.5 + 0.15 * number)
            problem.look()
            problem.solve(PHOTOMETRIC_ITERATIONS)
        if options.use_offsets and len(views) >= FEWEST_VIEWS:
            progress("what only this person has", 0.8)
            problem.take_offsets()
            problem.solve(PHOTOMETRIC_ITERATIONS)
        problem.look()
        return problem.result()


def fit_again(
    views: Sequence[View],
    fits: Sequence[CoarseFit],
    head: HeadModel,
    albedo_model: AlbedoModel,
    options: JointFitOptions = JointFitOptions(),
    trust: Sequence[float] | None = None,
) -> JointFit:
    """Fit one head to photos that a joint fit has fitted together with others, going on from there.

    Args:
        fits: of the views by that fit, scaled orthographic cameras; head: the plain one; trust: as `fit_jointly`.

    Only the photos' own unknowns are taken from there. The identity begins where the encoder has read it: a solve that
    began at the other fit's would find the rest as good as converged, and keep what photos left out have said.
    """
    with torch.no_grad():
        problem = _JointProblem(views, head, albedo_model, options, trust)
        problem.go_on(fits)
        problem.solve(ITERATIONS_A_ROUND, LANDMARK_DAMPING)
        if options.use_photometric:
            problem.look()
            problem.solve(PHOTOMETRIC_ITERATIONS)
        if options.use_offsets and len(views) >= FEWEST_VIEWS:
            problem.take_offsets()
            problem.solve(PHOTOMETRIC_ITERATIONS)
        problem.look()
        return problem.result()


def fit_view(
    view: View,
    head: HeadModel,
    shape: torch.Tensor,
    albedo: torch.Tensor,
    albedo_model: AlbedoModel,
    options: JointFitOptions = JointFitOptions(),
) -> CoarseFit:
    """Fit expression, pose, camera and light of a new photo of a person whose identity is known.

    Args:
        head: the personal head; shape: (S,); albedo: (A,).
    """
    with torch.no_grad():
        person = head_of_shape(head, shape)
        start = None if view.start is None else replace(view.start, shape=shape[:0])
        parameters = _rigid_fit(view, person, start, options)
        terms = _view_terms(view, person, options)
        everything = torch.ones_like(parameters.vector, dtype=torch.bool)
        parameters = minimise(parameters, terms, everything, OWN_ITERATIONS, LANDMARK_DAMPING)
        shading = _Shading(person, albedo_model)
        for _ in range(PHOTOMETRIC_ROUNDS if options.use_photometric else 0):
            shading.look([view], [parameters], [1.0], albedo)
            parameters = minimise(parameters, [*terms, shading.term(person, 0)], everything, PHOTOMETRIC_ITERATIONS)
        shading.look([view], [parameters], [1.0], albedo)
    return found_head(head, replace(parameters, shape=shape), _landmarks(view), shading.appearances[0])


class _Shading:
    """What the photos show of the skin, and what albedo and light explain it.

    Attributes:
        photos: scaled; seen: the colours at the vertices; appearances: light and albedo; each of every view.
    """

    def __init__(self, head: HeadModel, albedo_model: AlbedoModel) -> None:
        self._head = head
        self._model = VertexAlbedo(*albedo_at_vertices(head, albedo_model))
        self._region = skin_region(head)
        self.photos: list[ScaledPhoto] = []
        self.seen: list[SeenColours] = []
        self.appearances: list[Appearance] = []

    def look(
        self,
        views: Sequence[View],
        parameters: Sequence[FitParameters],
        say: Sequence[float],
        known_albedo: torch.Tensor | None = None,
        head: HeadModel | None = None,
    ) -> None:
        """Look at the photos with heads at these parameters."""
        head = head or self._head
        self.photos, self.seen = [], []
        for view, place, weight in zip(views, parameters, say, strict=True):
            photo, samples = scale_photo(view.pixels, place), visible_vertices(head, place, self._region)
            self.photos.append(photo)
            self.seen.append(SeenColours(photo.sample(samples.image), samples, weight))
        self.appearances = estimate_shared_appearance(self.seen, self._model, known_albedo)

    def term(self, head: HeadModel, number: int) -> PhotometricTerm:
        """The shading of one view as evidence."""
        appearance = self.appearances[number]
        colours = self._model.colours(appearance.albedo)
        return PhotometricTerm(head, self.photos[number], self.seen[number].samples, appearance, colours)


class _JointProblem:
    """The joint fit on its way."""

    def __init__(
        self,
        views: Sequence[View],
        head: HeadModel,
        albedo_model: AlbedoModel,
        options: JointFitOptions,
        trust: Sequence[float] | None,
    ) -> None:
        self.trust = torch.ones(len(views)) if trust is None else torch.tensor(trust, dtype=torch.float32)
        self.views, self.plain_head, self.head, self.options = views, head, head, options
        self.offsets = torch.zeros_like(head.skinned.template)
        self.say = torch.ones(len(views))
        self.parameters: list[FitParameters] = []
        self.terms: list[list[Term]] = [_view_terms(view, head, options) for view in views]
        self.shading = _Shading(head, albedo_model)

    def begin(self, number: int) -> None:
        """Find the head in one photo alone: where the encoder has read it, else from the mean head."""
        view = self.views[number]
        parameters = view.start
        if parameters is None:
            parameters = _rigid_fit(view, self.head, None, self.options)
            alone = [PriorTerm(self.head), HeadSizeTerm(self.head), NeutralMouthTerm(self.head), *self.terms[number]]
            everything = torch.ones_like(parameters.vector, dtype=torch.bool)
            parameters = minimise(parameters, alone, everything, ALONE_ITERATIONS, LANDMARK_DAMPING)
        self.parameters.append(parameters)

    def share_identity(self) -> None:
        """Give all the median identity, which a few mistaken readings do not move far."""
        shape = _median([parameters.shape for parameters in self.parameters])
        rigid = rigid_only(self.head)
        self.parameters = [
            minimise(replace(parameters, shape=shape), terms, rigid, RIGID_ITERATIONS)
            for parameters, terms in zip(self.parameters, self.terms, strict=True)
        ]
        self.take_prior()

    def go_on(self, fits: Sequence[CoarseFit]) -> None:
        """Begin with the views as they were fitted before, and the identity as it was read in them."""
        self.parameters = [_parameters_of(fit) for fit in fits]
        mean = self.take_prior()
        self.parameters = [replace(parameters, shape=mean) for parameters in self.parameters]

    def look(self) -> None:
        """Estimate the light of each photo and the albedo of all."""
        self.shading.look(self.views, self.parameters, self._evidence_weights(), head=self.head)

    def solve(self, iterations: int, damping: float = INITIAL_DAMPING) -> None:
        """Solve jointly, then judge anew how much each photo is to say."""
        views = []
        for number, weight in enumerate(self._evidence_weights()):
            terms = list(self.terms[number])
            if self.shading.appearances and self.options.use_photometric:
                terms.append(self.shading.term(self.head, number))
            views.append(ViewEvidence(self.parameters[number], tuple(terms), weight))
        solution = solve_jointly(views, self.prior, iterations, damping)
        self.parameters = list(solution.parameters)
        self.say = _say(solution.disagreement)

    def take_offsets(self) -> None:
        """Put what all photos still say of the neutral into the head."""
        shape = self.parameters[0].shape
        modes = offset_modes(self.plain_head, shape)
        head = head_with_modes(self.plain_head, modes)
        with_modes = torch.cat([shape, shape.new_zeros(modes.shape[2])])
        views = [
            ViewEvidence(replace(parameters, shape=with_modes), tuple(_view_terms(view, head, self.options)), weight)
            for view, parameters, weight in zip(self.views, self.parameters, self._evidence_weights(), strict=True)
        ]
        self.offsets = modes @ agreed_coefficients(views, self.prior)
        self.head = personal_head(self.plain_head, self.offsets)
        self.terms = [_view_terms(view, self.head, self.options) for view in self.views]

    def result(self) -> JointFit:
        fits = tuple(
            found_head(self.head, parameters, _landmarks(view), appearance)
            for view, parameters, appearance in zip(self.views, self.parameters, self.shading.appearances, strict=True)
        )
        return JointFit(
            shape=fits[0].shape,
            albedo=fits[0].albedo,
            offsets_m=self.offsets,
            fits=fits,
            error_percent=tuple(fit.landmark_error_percent for fit in fits),
            say=tuple((self.say * self.trust).tolist()),
        )

    def take_prior(self) -> torch.Tensor:
        """Expect an identity near what the encoder reads in the photos, or near the mean head; (S,) that one."""
        read = [view.start.shape for view in self.views if view.start is not None]
        mean = _median(read) if read else torch.zeros(self.head.num_shape)
        motion = torch.tensor([corner_motion_m(self.head, parameters.expression) for parameters in self.parameters])
        # what most photos say: one grave face among smiles does not make the smiles speak of the mouth at rest
        self.prior = _identity_prior(self.head, mean, float(motion.quantile(0.5)))
        return mean

    def _evidence_weights(self) -> list[float]:
        say = self.say * self.trust
        return (say / (1 + ALIKE_ERRORS * (say.sum() - 1).clamp(min=0))).tolist()


def _landmarks(view: View) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(view.face.landmarks_px, np.float32))


def _parameters_of(fit: CoarseFit) -> FitParameters:
    """The unknowns of a fit with a scaled orthographic camera."""
    view = torch.tensor([math.log(fit.camera.scale_px_per_m), *fit.camera.centre_px])
    return FitParameters(fit.shape, fit.expression, fit.pose, view, None, fit.camera.image_size_px)


def _median(shapes: Sequence[torch.Tensor]) -> torch.Tensor:
    """(S,) of each component; the mean of the two middle ones where their number is even."""
    return torch.stack(list(shapes)).quantile(0.5, dim=0)


def _say(disagreement: torch.Tensor) -> torch.Tensor:
    """(N,) 0-1 of each view, from what it would gain by an identity of its own."""
    usual = disagreement.quantile(0.5).clamp(min=1e-12)
    return ((1 + (disagreement / (DOUBTFUL_GAIN * usual)) ** 2) ** -2).float()


def _identity_prior(head: HeadModel, mean: torch.Tensor, mouth_motion_m: float) -> IdentityPrior:
    """Shape near a mean (S,); the mouth at rest, where photos show it moved so far; the head's size."""
    known = torch.cat([NeutralMouthTerm(head, mouth_motion_m).by_shape, HeadSizeTerm(head).by_shape])
    rows = torch.cat([torch.eye(head.num_shape) / SHAPE_SIGMA, known])
    return IdentityPrior(rows, torch.cat([mean / SHAPE_SIGMA, known.new_zeros(len(known))]))


def _view_terms(view: View, head: HeadModel, options: JointFitOptions) -> list[Term]:
    """What a photo says, and what is known of its own unknowns; nothing is known of the shape."""
    own_prior = PriorTerm(head, shape_sigma=math.inf)
    return [own_prior, *evidence_terms(head, _landmarks(view), options.use_silhouette)]


def _rigid_fit(view: View, head: HeadModel, start: FitParameters | None, options: JointFitOptions) -> FitParameters:
    height, width = view.pixels.shape[:2]
    start = start or rigid_start(head, _landmarks(view), None, (width, height))
    return minimise(start, _view_terms(view, head, options), rigid_only(head), RIGID_ITERATIONS)

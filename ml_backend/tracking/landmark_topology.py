"""The 478 landmarks of the tracker by name: which number lies where on the face.

Left and right are the person's. "Right" features lie on the left of an unmirrored photo and have the lower numbers.
Numbers 0-467 are the face mesh, 468-477 the irises. Source: the published topology of MediaPipe's face mesh; every
group was checked by eye on drawn photos.
"""

from __future__ import annotations

import numpy as np

NUM_LANDMARKS = 478
NUM_MESH_LANDMARKS = 468

# Eyelid margins, closed curves: lower lid from the outer corner to the inner one, then the upper lid, outer to inner.
RIGHT_EYE_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
RIGHT_EYE_UPPER = (246, 161, 160, 159, 158, 157, 173)
LEFT_EYE_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
LEFT_EYE_UPPER = (466, 388, 387, 386, 385, 384, 398)
RIGHT_EYE = RIGHT_EYE_LOWER + RIGHT_EYE_UPPER[::-1]
LEFT_EYE = LEFT_EYE_LOWER + LEFT_EYE_UPPER[::-1]
EYES = RIGHT_EYE + LEFT_EYE

# Centre, then four points of the rim.
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)
IRISES = RIGHT_IRIS + LEFT_IRIS

# Brows, closed curves: upper edge from the temple to the nose, then the lower edge back.
RIGHT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
LEFT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)

# Lips in four rings from the skin inwards; each is the lower arc from the person's right corner to the left one, then
# the upper arc without the corners, from right to left.
LIPS_OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIPS_OUTER_UPPER = (185, 40, 39, 37, 0, 267, 269, 270, 409)
LIPS_MIDDLE_OUTER_LOWER = (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306)
LIPS_MIDDLE_OUTER_UPPER = (184, 74, 73, 72, 11, 302, 303, 304, 408)
LIPS_MIDDLE_INNER_LOWER = (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292)
LIPS_MIDDLE_INNER_UPPER = (183, 42, 41, 38, 12, 268, 271, 272, 407)
LIPS_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
LIPS_INNER_UPPER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LIPS_OUTER = LIPS_OUTER_LOWER + LIPS_OUTER_UPPER[::-1]
LIPS_INNER = LIPS_INNER_LOWER + LIPS_INNER_UPPER[::-1]
LIPS = (
    LIPS_OUTER
    + LIPS_MIDDLE_OUTER_LOWER + LIPS_MIDDLE_OUTER_UPPER
    + LIPS_MIDDLE_INNER_LOWER + LIPS_MIDDLE_INNER_UPPER
    + LIPS_INNER
)  # fmt: skip

# The outline of the mesh, a closed curve: from the middle of the forehead over the left ear to the chin and back.
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

# The lower part of the oval, from the right ear over the chin to the left one: what a turn of the head changes.
CONTOUR_EAR_TO_EAR = FACE_OVAL[FACE_OVAL.index(356) : FACE_OVAL.index(127) + 1][::-1]

# Single points that others ask for by name.
NOSE_TIP = 4
RIGHT_EYE_OUTER, RIGHT_EYE_INNER = 33, 133
LEFT_EYE_OUTER, LEFT_EYE_INNER = 263, 362
MOUTH_RIGHT, MOUTH_LEFT = 61, 291
UPPER_LIP_MIDDLE, LOWER_LIP_MIDDLE = 13, 14
CHIN, FOREHEAD_TOP = 152, 10
RIGHT_EAR, LEFT_EAR = 234, 454

# What the network's own branches for lips and eyes refine, in the order of their outputs.
REFINED_LIPS = (
    LIPS_OUTER_LOWER + LIPS_OUTER_UPPER + LIPS_INNER_LOWER + LIPS_INNER_UPPER
    + LIPS_MIDDLE_OUTER_LOWER + LIPS_MIDDLE_OUTER_UPPER + LIPS_MIDDLE_INNER_LOWER + LIPS_MIDDLE_INNER_UPPER
)  # fmt: skip
# Lid margins, then rings around the eye (lower arc, upper arc) outwards to the brow.
REFINED_RIGHT_EYE = RIGHT_EYE_LOWER + RIGHT_EYE_UPPER + (
    130, 25, 110, 24, 23, 22, 26, 112, 243, 247, 30, 29, 27, 28, 56, 190,
    226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223, 222, 221, 189,
    35, 124, 46, 53, 52, 65,
    143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63, 105, 66, 107, 55, 193,
)  # fmt: skip
REFINED_LEFT_EYE = LEFT_EYE_LOWER + LEFT_EYE_UPPER + (
    359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414,
    446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443, 442, 441, 413,
    265, 353, 276, 283, 282, 295,
    372, 340, 346, 347, 348, 349, 350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417,
)  # fmt: skip

# the first iBUG landmarks are the contour from ear to ear
NUM_CONTOUR = 17
# iBUG indices of the outer eye corners
OUTER_EYE_CORNERS = (36, 45)

# iBUG's 68 points: contour 17 (right to left), brows 5 + 5, nose bridge 4, nostrils 5, eyes 6 + 6, lips 12 + 8.
# The nearest point of the mesh was chosen on photos; brows, nose, eyes and lips were then compared with published
# embeddings of both topologies on one head model (median distance 2.5 mm), the contour's spacing as well.
IBUG_68_FROM_478 = np.array(
    [
        127, 93, 132, 58, 136, 150, 149, 148, 152, 377, 378, 379, 365, 288, 361, 323, 356,
        70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
        168, 6, 195, 4, 75, 97, 2, 326, 305,
        33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
        61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,
        78, 82, 13, 312, 308, 317, 14, 87,
    ],
    dtype=np.int64,
)  # fmt: skip

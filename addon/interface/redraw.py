"""Asks Blender to draw our panels anew, and nothing else."""

from __future__ import annotations

import bpy

# where our texts stand: the sidebar of 3D views, and the preferences
_REGIONS = {"VIEW_3D": "UI", "PREFERENCES": "WINDOW"}


def redraw_panels() -> None:
    """Mark the sidebars of all 3D views, and the preferences, for drawing."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            region_type = _REGIONS.get(area.type)
            if region_type is None:
                continue
            for region in area.regions:
                if region.type == region_type:
                    region.tag_redraw()

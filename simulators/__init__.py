"""Simulators: the reference (the living definition of the IR) and one per chip."""

"""Mappers: passes that take an ir.Network to a chip's Program."""

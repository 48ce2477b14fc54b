"""Layers on their way in: what an upload has, and how it is finished."""

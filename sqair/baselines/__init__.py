"""Models to compare with that have no objects: see docs/baselines.md."""

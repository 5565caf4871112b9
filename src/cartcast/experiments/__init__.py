"""Experiments: design, assignment, analysis, and the choice of whom to treat."""

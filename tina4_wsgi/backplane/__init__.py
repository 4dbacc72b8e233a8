"""Carries frames, questions and answers between processes."""

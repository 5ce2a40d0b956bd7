"""Retention: what is kept, what is deleted, and why; planned, approved, carried out and checked."""

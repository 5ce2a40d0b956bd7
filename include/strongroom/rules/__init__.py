"""The declared rules against the live catalogue: drafting, checking, drift, and the links between tables."""

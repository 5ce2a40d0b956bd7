"""Archives: what leaves a table, and what comes back."""

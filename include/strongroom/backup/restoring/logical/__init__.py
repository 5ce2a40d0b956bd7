"""Bringing logical backups back: a whole database, or some of its tables under another schema."""

"""Policies, for the administrator: what one says, and what it would decide."""

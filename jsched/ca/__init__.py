"""A set of certificates: one directory with two CAs, all that they have issued, and what a server reads of it."""

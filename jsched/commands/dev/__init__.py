"""The development server: one for a directory, made, shown, stopped and removed by the Makefile.

Nothing here may import more than Python's own library and jsched's values: `make stop` and
`make clean` run it where .venv is gone.
"""

"""What jsched's speed is, each figure beside a reference measured in the same run: `python -m bench`."""

"""`python -m bort_convert` is `bort-convert`."""

from bort_convert.cli import main

if __name__ == "__main__":
    main()

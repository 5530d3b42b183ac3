"""`python -m colorlib` is `colorlib`; torchrun needs it: `torchrun -m colorlib train …`."""

from colorlib.cli import main

if __name__ == "__main__":
    main()

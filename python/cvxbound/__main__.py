"""``python -m cvxbound``: the command line, and where the library for C lies."""

import sys

from ._embedding import FLAGS, folder


def main(argv: list[str]) -> int:
    """Answer one of `FLAGS`, or run a command."""
    if len(argv) == 1 and argv[0] in FLAGS:
        try:
            print(folder(argv[0]))
        except FileNotFoundError as error:
            print(f"cvxbound: {error}", file=sys.stderr)
            return 1
        return 0
    from . import cli

    return cli.main(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

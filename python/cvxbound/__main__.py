"""``python -m cvxbound``: the command line, without the script on the path."""

import sys

from .cli import main

sys.exit(main())

"""python -m hwsdk.cli."""

import sys

from hwsdk.cli import main

sys.exit(main())

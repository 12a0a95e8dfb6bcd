"""python -m hwsdk."""

import sys

from hwsdk.cli import main

sys.exit(main())

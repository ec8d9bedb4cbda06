"""`python -m hiepdong_verify`."""

import sys

from .verify import main

sys.exit(main())

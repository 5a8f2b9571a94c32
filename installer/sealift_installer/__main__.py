"""Start the installer: `python3 -I -B sealift-installer.pyz COMMAND`."""

# Kept to what any Python 3 can parse, so that an old one gets the message.
import sys

if sys.version_info < (3, 8):  # noqa: UP036
    sys.exit("sealift-installer needs Python 3.8 or later; this is " + sys.version)

from sealift_installer.cli import main

sys.exit(main())

"""`python -m sealift_bundler` is `sealift`."""

from sealift_bundler.cli import main

main()

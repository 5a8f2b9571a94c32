#!/bin/sh
# Hash every file of the weights, and compare with the list in the signed release.
set -eu
cd /models
echo "hashing $(wc -l </signed/weights-chat.sha256) files"
sha256sum -c -s /signed/weights-chat.sha256
echo "the weights are those that were signed"

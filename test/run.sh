#!/bin/bash
# Everything that must pass before a change goes in: installs what tests compare with, builds,
# checks style, runs all tests. Arguments are compiled test files to run instead of all.
# The last line is `N passed, N failed`; the exit code is 0 only if all is well.
set -u
cd "$(dirname "$0")/.."

fail() {
  echo "run.sh: $1" >&2
  echo '0 passed, 1 failed'
  exit 1
}

bash test/tools/install.sh || fail 'cannot install what the tests need'
rm -rf dist
npm run --silent build || fail 'the build failed'
npx --no-install biome check --error-on-warnings . || fail 'biome has complaints'

node dist/test/tools/run-tests.js "$@"

#!/usr/bin/env bash
# Builds examples/shop.db from examples/shop.sql with the sqlite3 program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
trap "rm -f shop.db.new" EXIT
sqlite3 -bail shop.db.new <shop.sql
[ "$(sqlite3 shop.db.new 'PRAGMA integrity_check')" = ok ]
[ -z "$(sqlite3 shop.db.new 'PRAGMA foreign_key_check')" ]
mv shop.db.new shop.db

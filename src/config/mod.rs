//! Configuration files to validated `domain` values: spanned TOML → field tables → `Policy`.

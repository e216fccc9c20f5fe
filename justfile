# The menu: each recipe is one line, what needs code is in xtask or a script.

_menu:
    @just --list

# Everything that a change must pass; writes nothing.
verify: format-check lint test doc tidy

# Repair what a tool can repair.
fix:
    cargo fmt --all && cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged

format-check:
    cargo fmt --all --check

lint:
    cargo clippy --workspace --all-targets -- -D warnings

test:
    cargo test --workspace

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

tidy:
    cargo xtask tidy

# Licences and advisories of the dependencies (needs cargo-deny).
deny:
    cargo deny check

# A development node with temporary data.
dev:
    cargo run --release -- dev

# One simulated run, told step by step; the same seed gives the same run.
sim SEED:
    cargo run --release --package sim -- replay {{SEED}}

# Simulated runs for some minutes, until one breaks a rule.
soak MINUTES="60":
    cargo run --release --package sim -- run --minutes {{MINUTES}} --from $(date +%s)

# Everything that can happen in small situations: deaths, links, interleavings.
exhaust:
    cargo build --profile sim --package sim && for what in crash "links --pairs" model; do target/sim/sim exhaust $what || exit 1; done

# Plant each bug and see which seed finds it; writes the table in docs/testing.md.
bugs:
    cargo run --profile sim --package sim --features planted-bugs -- bugs --write docs/testing.md

# What a request costs in instructions, beside what it should cost (needs valgrind).
instructions:
    cargo xtask instructions

# Rewrite the expected parts of golden scripts; then read the difference like code.
golden:
    GOLDEN=1 cargo test --workspace

# Load a running node with writes.
bench:
    cargo run --release -- bench put

# Three development nodes on this machine.
cluster:
    cargo run --release -- dev --nodes 3

# What runs on every submission: all of the above and the real binary.
ci:
    .ci/run

# The two commands of README: `make run` and `make test`.

.PHONY: run test check bench setup clean

run: setup
	cargo run -- boot

# Everything that can be checked: format, lints, documentation, tests, boots.
test: setup check
	cargo build --workspace --locked
	cargo test --workspace --locked

KERNEL_CRATES = -p bareflow-kernel -p bareflow-abi -p bareflow-loader -p bareflow-protocol -p bareflow-suite -p bareflow-server -p bareflow-disk

check:
	cargo fmt --all --check
	cargo fmt --manifest-path gallery/Cargo.toml --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	scripts/kernel-check $(KERNEL_CRATES)
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

bench: setup
	cargo build --release --locked -p bareflow
	cargo run --release --locked -p bareflow-bench

setup:
	@scripts/setup

clean:
	cargo clean

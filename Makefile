# The two commands of README: `make run` and `make test`.

.PHONY: run example test check package attacks soak page conformance bench performance setup setup-tests clean

run: setup
	cargo run -- boot

# Builds an example kernel with its modules, and boots it (docs/embedding.md).
example: setup
	cargo run -- build sum primes examples/thermostat
	cargo run -p contained-kernel --target x86_64-unknown-none

# Everything that can be checked: format, lints, documentation, tests, boots.
test: setup-tests check
	cargo build --workspace --locked
	cargo test --workspace --locked
	@said=$$(cargo test -p bareflow-loader --no-default-features --locked --lib features_tests 2>&1) || { echo "$$said"; exit 1; }; \
	echo "$$said"; echo "$$said" | grep -q ' [1-9][0-9]* passed; 0 failed'

KERNEL_CRATES = -p bareflow-kernel -p bareflow-abi -p bareflow-loader -p bareflow-protocol -p bareflow-suite -p bareflow-server -p bareflow-disk -p bareflow-runtime -p bareflow-containment -p bareflow-pvh -p bareflow-devices -p bareflow-device -p bareflow-nic -p bareflow-tcp -p bareflow-channel -p bareflow-engine -p bareflow-events -p bareflow-random -p bareflow-store -p bareflow-report -p bareflow-supervision -p bareflow-cipher -p kernel-start

check:
	for lock in $$(git ls-files | grep 'Cargo.lock$$'); do \
	    cargo update --workspace --locked --quiet --manifest-path $${lock%lock}toml || exit; done
	cargo fmt --all --check
	cargo fmt --manifest-path examples/gallery/Cargo.toml --all --check
	cargo fmt --manifest-path engines/Cargo.toml --all --check
	cargo fmt --manifest-path drivers/Cargo.toml --all --check
	cargo clippy --manifest-path engines/Cargo.toml --workspace --all-targets --locked -- -D warnings
	cargo test --manifest-path engines/Cargo.toml --workspace --locked
	cargo clippy --manifest-path drivers/Cargo.toml --workspace --all-targets --locked -- -D warnings
	cargo test --manifest-path drivers/Cargo.toml --workspace --locked
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p bareflow-loader --no-default-features --locked -- -D warnings
	scripts/kernel-check $(KERNEL_CRATES)
	scripts/kernel-check -p bareflow-kernel --no-default-features
	BAREFLOW_ARCHIVE=/dev/null scripts/kernel-check -p least-kernel
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

# Packs what is published, and builds each package from what was packed. Cargo takes a package for the same as long as its
# version is, so nothing is kept that was unpacked or built before.
package:
	rm -rf target/packages $${CARGO_HOME:-$$HOME/.cargo}/registry/src/-*/bareflow-*
	cargo package --locked --target-dir target/packages -p bareflow-abi -p bareflow-devices -p bareflow-device -p bareflow-nic -p bareflow-engine -p bareflow-events -p bareflow-regions -p bareflow-report -p bareflow-supervision -p bareflow-loader -p bareflow-macros -p bareflow-packer -p bareflow-runtime

# Everything that clients and modules try on a kernel that `serve` keeps up: about a minute.
attacks: setup
	cargo build --locked -p bareflow
	@folder=$$(mktemp -d); target/debug/bareflow serve --socket $$folder/s >$$folder/log & \
	serve=$$!; while ! [ -S $$folder/s ] && kill -0 $$serve; do sleep 0.1; done; \
	tests/attacks/run $$folder/s; status=$$?; \
	target/debug/bareflow shutdown --socket $$folder/s; rm -r $$folder; exit $$status

# The network for a long time, some ten minutes: over a bad wire, and with the driver faulting and replaced (docs/network.md).
SEED = 1
soak: setup
	SEED=$(SEED) cargo test --locked --test network -- --ignored --nocapture --test-threads=1

# The page of the module httpd in a real browser: checks that it follows what happens, and leaves pictures of it in target.
page:
	@scripts/setup browser
	cargo build --locked -p bareflow
	target/debug/bareflow build --drivers
	target/debug/bareflow build tests/modules/feed tests/modules/watch tests/modules/panics
	scripts/page-in-browser

# The engines in a kernel that `serve` keeps up: the tests of WebAssembly's specification, and MODULES random modules beside
# wasmtime (docs/portable.md).
MODULES = 1000
conformance: setup
	cargo build --locked -p bareflow
	target/debug/bareflow build --engines
	cargo build --release --locked --manifest-path engines/Cargo.toml -p conformance --features peer
	@folder=$$(mktemp -d); target/debug/bareflow serve --socket $$folder/s --memory 1G --budget heap=64M,data=128M >$$folder/log & \
	serve=$$!; while ! [ -S $$folder/s ] && kill -0 $$serve; do sleep 0.1; done; \
	engines/target/release/conformance spec --kernel $$folder/s && \
	engines/target/release/conformance smith --kernel $$folder/s --modules $(MODULES); status=$$?; \
	target/debug/bareflow shutdown --socket $$folder/s; rm -r $$folder; exit $$status

# Figures beside those of what a user could pick instead, whose crates are built for this alone:
# tables and plots in target/bench.
bench: setup
	cargo build --release --locked -p bareflow
	mkdir -p target/bench
	cargo run --release --locked -p bareflow-bench > target/bench/own.md
	cat target/bench/own.md
	cargo run --release --locked --manifest-path bench/peers/Cargo.toml --target-dir target/peers -- target/bench target/bench/own.md $(PAGE)

# The same, for the processor's section in docs/performance.md: on a machine that has nothing else to do.
performance:
	$(MAKE) bench PAGE=docs/performance.md
	cp -r target/bench/performance docs/

setup:
	@scripts/setup

# With what the tests alone need.
setup-tests:
	@scripts/setup tests

clean:
	cargo clean

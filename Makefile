# Rust, gcc and make are all it takes; cargo fetches the pinned toolchain and the rest.

.PHONY: demo test test-all lint deny fmt clean

# Built by the tests.
BIN := target/debug/geopush
CARGO_DENY_VERSION := 0.20.2

demo: ## The whole system in one process, with simulated phones and stand-ins for FCM and APNs
	cargo run --release --locked -- demo $(ARGS)

test: ## Everything that needs no more than Rust, gcc and make
	cargo test --workspace --locked --no-fail-fast

test-all: test ## And what needs promtool and Python: alerts, the providers' clients, an outside judge, the tour
	deploy/prometheus/check.sh
	tests/official-clients/run.sh $(BIN)
	tests/outside-judge/run.sh $(BIN)
	tests/contracts/run.sh $(BIN)
	tests/tour.sh $(BIN)

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

deny: target/tools/bin/cargo-deny
	target/tools/bin/cargo-deny --locked check bans licenses sources

target/tools/bin/cargo-deny:
	cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --root target/tools

fmt:
	cargo fmt --all

clean:
	cargo clean

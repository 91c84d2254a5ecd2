# Rust, gcc, g++, make and perl are all it takes; cargo fetches the pinned toolchain and the rest.

.PHONY: demo test test-long test-all lint deny fmt clean

# Built by the tests.
BIN := target/debug/geopush
SERVERS := target/debug/geopush-servers
# What needs servers, by the names of its tests; of the whole workspace, so that nothing is built twice.
ON_SERVERS := cargo test --workspace --locked --no-fail-fast --test kafka --test fleet_log --test fleet_store \
	--test fleet_journey --test faults --test broken_broker --test servers --test harness --test bench \
	--test push_servers
CARGO_DENY_VERSION := 0.20.2

demo: ## The whole system in one process, with simulated phones and stand-ins for FCM and APNs
	cargo run --release --locked -- demo $(ARGS)

test: ## Everything that needs no more than Rust, gcc, g++, make and perl
	cargo test --workspace --locked --no-fail-fast

test-long: ## The geofence engine against its reference over ten million fixes; a quarter of an hour
	GEOFENCE_FIXES=10000000 cargo test --release --locked -p geopush-geofence --test against_reference -- --nocapture

test-all: test ## And what needs promtool, Python, kcat, Java 17 and Maven: alerts, real servers, outside clients and judges
	deploy/prometheus/check.sh
	tests/official-clients/run.sh $(BIN)
	tests/outside-judge/run.sh $(BIN)
	tests/contracts/run.sh $(BIN)
	tests/outside-geometry/run.sh
	tests/tour.sh $(BIN)
	@echo "== on Kafka and Cassandra; the first time they are downloaded"
	$(ON_SERVERS) --no-run
	FLEET_BINARY=$(abspath $(BIN)) $(SERVERS) with \
		sh -c 'tests/outside-fleet/run.sh $(BIN) && $(ON_SERVERS) -- --test-threads=2'

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	tests/faults/bugs.sh --check

deny: target/tools/bin/cargo-deny
	target/tools/bin/cargo-deny --locked check bans licenses sources

target/tools/bin/cargo-deny:
	cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --root target/tools

fmt:
	cargo fmt --all

clean:
	cargo clean

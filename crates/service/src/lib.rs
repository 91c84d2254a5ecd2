//! What any role needs to run: configuration, telemetry, health, shutdown.

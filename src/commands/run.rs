//! `geopush run`.

use geopush::System;
use geopush_service::shutdown::Shutdown;
use geopush_service::telemetry;

use super::{Ended, Given};

pub async fn run(given: Given) -> Ended {
    let (settings, _) = given.settings()?;
    let metrics = telemetry::init(settings.log.format, &settings.log.filter)?;
    let shutdown = Shutdown::on_signals()?;
    let system = System::start_waiting(settings, metrics, shutdown).await?;
    Ok(system.finish().await.exit_code())
}

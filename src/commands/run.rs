//! `geopush run`.

use geopush::{Storage, System};
use geopush_service::shutdown::Shutdown;
use geopush_service::telemetry;

use super::{Ended, Given};

pub async fn run(given: Given) -> Ended {
    let (settings, _) = given.settings()?;
    let metrics = telemetry::init(settings.log.format, &settings.log.filter)?;
    let shutdown = Shutdown::on_signals()?;
    let storage = Storage::open(&settings).await?;
    let system = System::start(settings, storage, metrics, shutdown).await?;
    Ok(system.finish().await.exit_code())
}

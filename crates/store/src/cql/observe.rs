//! What the driver counts, as metrics.

use std::sync::Weak;
use std::time::Duration;

use super::connect::Cluster;

const EVERY: Duration = Duration::from_secs(5);

/// Says now and then what the driver has counted, for as long as there is a session.
pub(super) async fn watch(cluster: Weak<Cluster>) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let Some(cluster) = cluster.upgrade() else { return };
        let driver = cluster.session.get_metrics();
        #[expect(clippy::cast_precision_loss, reason = "connections are few")]
        metrics::gauge!("geopush_store_cql_connections").set(driver.get_total_connections() as f64);
        metrics::counter!("geopush_store_cql_retries_total").absolute(driver.get_retries_num());
        metrics::counter!("geopush_store_cql_request_timeouts_total").absolute(driver.get_request_timeouts());
        metrics::counter!("geopush_store_cql_connection_timeouts_total")
            .absolute(driver.get_connection_timeouts());
    }
}

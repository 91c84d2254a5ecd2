//! What can be chosen.

use geopush_service::config::Reader;

/// What can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpandConfig {
    /// `dispatcher.expand_page`: devices a commit.
    pub page: usize,
    /// `dispatcher.expand_window`: pushes of sends and runs that are asked for and have not ended, of all tenants that
    /// contend, beyond which their next pages wait.
    pub window: u64,
}

impl ExpandConfig {
    /// Reads `dispatcher.expand_page` and `dispatcher.expand_window`.
    pub fn read(reader: &mut Reader) -> Self {
        let page = reader.key("dispatcher.expand_page", "Devices of a send that are expanded in one commit");
        let page = page.within(1..=5_000).or(Self::default().page);
        let window = reader.key(
            "dispatcher.expand_window",
            "Pushes of sends under way, of all tenants that contend, beyond which other devices wait",
        );
        let window = window.within(1_000..=10_000_000).or(Self::default().window);
        Self { page, window }
    }
}

impl Default for ExpandConfig {
    fn default() -> Self {
        Self { page: 500, window: 16_384 }
    }
}

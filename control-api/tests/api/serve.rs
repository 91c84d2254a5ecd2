//! The server as a process runs it.

use std::time::Duration;

use geopush_control_api::serve;
use geopush_log::Topic;
use geopush_model::{Campaign, CampaignId, CampaignStatus, Message, Trigger, UnixMillis};
use geopush_registry::campaign_row;
use geopush_service::health::Health;
use geopush_service::shutdown::Shutdown;
use geopush_store::Timestamp;
use geopush_store::tables::IntentRow;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::house::{NOW, house};

#[tokio::test]
async fn a_server_publishes_what_died_half_way_answers_and_ends_when_asked() {
    let house = house().await;
    // The crash: the campaign's row and its intent are there, the record is not.
    let (tenant, id) = (house.tenant.tenant, CampaignId(Uuid::from_u128(5)));
    let trigger = Trigger::Event { name: "paid".into(), max_age_s: None };
    let draft = Campaign::draft(tenant, id, "shop", trigger, Message::default(), UnixMillis(NOW));
    let campaign = Campaign { status: CampaignStatus::Active, ..draft };
    assert!(house.store.put_if_absent(campaign_row(&campaign)).await.unwrap());
    let intent = IntentRow {
        shard: 0,
        kind: "campaign".into(),
        entity: format!("{}\n{}", Uuid::from_u128(6), campaign.id),
        tenant: campaign.tenant.0,
        created_at: Timestamp(NOW - 30_001),
    };
    house.store.put(intent).await.unwrap();

    let shutdown = Shutdown::new();
    let health = Health::new(shutdown.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (config, dependencies) = (house.config.clone(), house.dependencies.clone());
    let serving = tokio::spawn(serve(config, dependencies, listener, health.clone(), shutdown.clone()));

    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET /v1/openapi.json HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(health.report().is_ready());
    let published = async {
        while house.records(Topic::Campaigns).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), published).await.unwrap();

    shutdown.request();
    tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap().unwrap();
}

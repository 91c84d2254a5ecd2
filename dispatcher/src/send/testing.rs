//! What this folder's tests share.

use geopush_model::{
    CauseId, DeviceId, Message, Origin, Provider, Push, PushId, SendId, Source, TenantId, UnixMillis,
};
use uuid::Uuid;

/// A push to a token.
pub fn push(token: &str) -> Push {
    Push {
        id: PushId(Uuid::from_u128(0x1234)),
        tenant: TenantId(Uuid::from_u128(1)),
        device: DeviceId::new("d1").unwrap(),
        origin: Origin {
            source: Source::Send(SendId(Uuid::from_u128(2))),
            cause: CauseId(Uuid::from_u128(2)),
        },
        app: "shop".into(),
        provider: Provider::Fcm,
        token: token.into(),
        token_at: UnixMillis(0),
        message: Message { title: "Hello".into(), body: "World".into(), ..Message::default() }.into(),
        created_at: UnixMillis(0),
        expires_at: UnixMillis(3_600_000),
        received_at: None,
        variant: None,
    }
}

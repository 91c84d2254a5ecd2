//! The generated types are the specification.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::DeviceId;
use crate::wire::v1;

/// What the generated types make of the bytes.
fn specified(bytes: &[u8]) -> Result<Ping, WireError> {
    let ping: v1::Ping = wire::parse(bytes)?;
    let kind = match wire::present(ping.what, "what")? {
        v1::ping::What::Fixes(fixes) => {
            PingKind::Fixes(fixes.fixes.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
        }
        v1::ping::What::Forget(_) => PingKind::Forget,
    };
    let tenant = TenantId(wire::uuid(&ping.tenant, "tenant")?);
    let device: DeviceId = wire::device(&ping.device)?;
    Ok(Ping { tenant, device, received_at: UnixMillis(ping.received_at_ms), kind })
}

fn a_fix() -> impl Strategy<Value = v1::Fix> {
    let place = (prop_oneof![9 => -180.0..180.0, 1 => any::<f64>()], -90.0..90.0);
    let said =
        (option::of(any::<f64>()), option::of(-1.0..1e3), option::of(0.0..360.0), option::of(".{0,8}"));
    (place, any::<i64>(), said).prop_map(|((lon, lat), time_ms, said)| {
        let (accuracy_m, speed_mps, heading_deg, id) = said;
        v1::Fix { lon, lat, time_ms, accuracy_m, speed_mps, heading_deg, id }
    })
}

fn a_ping() -> impl Strategy<Value = v1::Ping> {
    let what = option::weighted(
        0.9,
        prop_oneof![
            4 => vec(a_fix(), 0..4).prop_map(|fixes| v1::ping::What::Fixes(v1::Fixes { fixes })),
            1 => Just(v1::ping::What::Forget(v1::Forget {})),
        ],
    );
    let tenant = prop_oneof![9 => vec(any::<u8>(), 16), 1 => vec(any::<u8>(), 0..20)];
    (tenant, ".{0,12}", any::<i64>(), what).prop_map(|(tenant, device, received_at_ms, what)| v1::Ping {
        tenant: tenant.into(),
        device,
        received_at_ms,
        what,
    })
}

/// What a broken writer, or one of another version, may send.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces =
        vec(prop_oneof![a_ping().prop_map(|ping| ping.encode_to_vec()), vec(any::<u8>(), 0..6)], 1..4);
    let edits = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (pieces, edits).prop_map(|(pieces, edits)| {
        let mut bytes = pieces.concat();
        for (index, byte) in edits {
            if !bytes.is_empty() {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
        }
        bytes
    })
}

/// Equal, where no number is one.
fn same(read: &Result<Ping, WireError>, specified: &Result<Ping, WireError>) -> bool {
    match (read, specified) {
        (Ok(a), Ok(b)) => format!("{a:?}") == format!("{b:?}"),
        (Err(_), Err(_)) => true,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ping_reads_as_the_generated_types_read_it(written in a_ping()) {
        let bytes = written.encode_to_vec();
        prop_assert!(same(&ping(&bytes), &specified(&bytes)), "{:?} {:?}", ping(&bytes), specified(&bytes));
    }

    #[test]
    fn so_do_any_other_bytes(bytes in some_bytes()) {
        prop_assert!(same(&ping(&bytes), &specified(&bytes)), "{:?} {:?}", ping(&bytes), specified(&bytes));
    }
}

//! What is decided, and why not.

use geopush_dispatcher::plan::decide::{Decision, REQUESTS_REMEMBERED, Verdict};
use geopush_dispatcher::plan::index::Campaigns;
use geopush_model::{
    Campaign, CampaignId, CampaignStatus, CauseId, ExitReason, Outcome, PlanState, Provider, PushId, Reason,
    TenantId, Transition, TransitionKind, TriggerKind, UnixMillis, ZoneChoice, ZoneId,
};
use geopush_registry::{AppProviders, Device, Platform};
use serde_json::json;
use uuid::Uuid;

use crate::house::{NOW, TENANT, ZONE, campaign, id, transition, zone_trigger};
use crate::scene::{BOTH, Scene, cause, device, reasons, send_cause};

const ENTER: TransitionKind = TransitionKind::Enter;

/// Decides now, with everything in order but what the test says.
fn decide(
    state: &mut PlanState,
    transition: &Transition,
    campaigns: &[Campaign],
    device: Option<&Device>,
    providers: Option<AppProviders>,
) -> Verdict {
    let (campaigns, device) = (campaigns.to_vec(), device.cloned());
    Scene { campaigns, device, providers, ..Scene::new() }.decide(state, &cause(transition))
}

fn choice(zone: ZoneId, tag: &str) -> ZoneChoice {
    ZoneChoice { zone_ids: vec![zone], zone_tags: vec![tag.into()] }
}

#[test]
fn a_push_says_everything_that_the_sender_needs() {
    let mut state = PlanState::default();
    let enter = transition("d1", 1, ENTER, -10);
    let Verdict::Decided(decisions) = decide(&mut state, &enter, &[campaign(1)], Some(&device()), BOTH)
    else {
        panic!("it was seen")
    };
    let [Decision::Push(push)] = &decisions[..] else { panic!("{decisions:?}") };
    assert_eq!(push.id, PushId::of(TENANT, Uuid::from_u128(1), &id("d1"), CauseId(enter.id.0)));
    assert_eq!((push.origin.source.id(), push.origin.cause), (Uuid::from_u128(1), CauseId(enter.id.0)));
    assert_eq!((push.provider, push.token.as_str(), push.token_at.0), (Provider::Fcm, "secret", NOW - 5));
    assert_eq!((push.created_at.0, push.expires_at.0), (NOW, NOW + 60_000));
    assert_eq!((push.received_at, push.message.title.as_str()), (enter.received_at, "Hi"));
    assert_eq!((state.incarnation, state.seq), (enter.incarnation, 1));
}

#[test]
fn the_first_reason_that_applies_is_the_one_that_is_told() {
    let mut campaign = campaign(1);
    campaign.cooldown_s = 100;
    campaign.audience = Some(json!({"tag": "vip"}));
    let enter = transition("d1", 2, ENTER, -901);
    let mut state = PlanState::default();
    state.cooldowns.insert(campaign.id, enter.at);

    let mut device = device();
    device.push_consent = false;
    device.push_token = None;
    let told = |campaign: &Campaign, device: Option<&Device>, providers| {
        let mut state = state.clone();
        let verdict = decide(&mut state, &enter, std::slice::from_ref(campaign), device, providers);
        assert_eq!(state.seq, 2, "whatever was decided is seen");
        reasons(verdict)
    };
    assert_eq!(told(&campaign, None, None), [Some(Reason::Stale)]);
    zone_trigger(&mut campaign).max_age_s = None;
    assert_eq!(told(&campaign, None, None), [Some(Reason::NoDevice)]);
    assert_eq!(told(&campaign, Some(&device), None), [Some(Reason::Audience)]);
    device.tags.push("vip".to_owned());
    assert_eq!(told(&campaign, Some(&device), None), [Some(Reason::NoConsent)]);
    device.push_consent = true;
    assert_eq!(told(&campaign, Some(&device), None), [Some(Reason::NoToken)]);
    device.push_token = Some("secret".to_owned());
    device.platform = None;
    assert_eq!(told(&campaign, Some(&device), None), [Some(Reason::NoToken)]);
    device.platform = Some(Platform::Web);
    assert_eq!(told(&campaign, Some(&device), None), [Some(Reason::NoApp)]);
    assert_eq!(told(&campaign, Some(&device), BOTH), [Some(Reason::Cooldown)]);
    campaign.cooldown_s = 0;
    assert_eq!(told(&campaign, Some(&device), BOTH), [None]);
}

#[test]
fn an_age_of_exactly_the_limit_is_not_stale() {
    let told = |s| {
        reasons(decide(
            &mut PlanState::default(),
            &transition("d1", 1, ENTER, s),
            &[campaign(1)],
            Some(&device()),
            BOTH,
        ))
    };
    assert_eq!(told(-900), [None]);
    assert_eq!(told(-901), [Some(Reason::Stale)]);
    assert_eq!(told(300), [None], "a phone's clock may be ahead");
}

#[test]
fn each_platform_has_its_provider() {
    let apns = AppProviders { fcm: false, apns: true };
    let fcm = AppProviders { fcm: true, apns: false };
    let none = AppProviders { fcm: false, apns: false };
    for (platform, app, expected) in [
        (Platform::Android, apns, None),
        (Platform::Android, fcm, Some(Provider::Fcm)),
        (Platform::Web, fcm, Some(Provider::Fcm)),
        (Platform::Web, apns, None),
        (Platform::Ios, apns, Some(Provider::Apns)),
        (Platform::Ios, AppProviders { fcm: true, apns: true }, Some(Provider::Apns)),
        (Platform::Ios, fcm, Some(Provider::Fcm)),
        (Platform::Ios, none, None),
    ] {
        let device = Device { platform: Some(platform), ..device() };
        let mut state = PlanState::default();
        let verdict =
            decide(&mut state, &transition("d1", 1, ENTER, 0), &[campaign(1)], Some(&device), Some(app));
        let Verdict::Decided(decisions) = verdict else { panic!("it was seen") };
        match (&decisions[..], expected) {
            ([Decision::Push(push)], Some(provider)) => assert_eq!(push.provider, provider),
            ([Decision::Suppressed(delivery)], None) => {
                assert_eq!((delivery.outcome, delivery.reason), (Outcome::Suppressed, Some(Reason::NoApp)));
            }
            _ => panic!("{platform:?} {app:?}: {decisions:?}"),
        }
    }
}

#[test]
fn a_device_of_another_app_is_not_reached_by_this_one() {
    let told = |app: Option<&str>| {
        let device = Device { app: app.map(str::to_owned), ..device() };
        reasons(decide(
            &mut PlanState::default(),
            &transition("d1", 1, ENTER, 0),
            &[campaign(1)],
            Some(&device),
            BOTH,
        ))
    };
    assert_eq!(told(Some("other")), [Some(Reason::NoApp)]);
    assert_eq!(told(None), [None]);
}

#[test]
fn a_trigger_chooses_by_kind_zone_tag_and_status() {
    let with = |change: &dyn Fn(&mut Campaign)| {
        let mut campaign = campaign(1);
        change(&mut campaign);
        let mut index = Campaigns::default();
        index.put(campaign);
        let enter = transition("d1", 1, ENTER, 0);
        !index.triggered_by(&enter, &["food".to_owned(), "open".to_owned()]).is_empty()
    };
    let other = ZoneId(Uuid::from_u128(71));
    assert!(with(&|_| {}));
    assert!(!with(&|c| zone_trigger(c).on = TriggerKind::Exit));
    assert!(!with(&|c| zone_trigger(c).on = TriggerKind::Dwell));
    assert!(with(&|c| zone_trigger(c).zones.zone_ids = vec![other, ZONE]));
    assert!(!with(&|c| zone_trigger(c).zones.zone_ids = vec![other]));
    assert!(with(&|c| zone_trigger(c).zones.zone_tags = vec!["open".into()]));
    assert!(!with(&|c| zone_trigger(c).zones.zone_tags = vec!["closed".into()]));
    assert!(with(&|c| zone_trigger(c).zones = choice(other, "food")));
    assert!(with(&|c| zone_trigger(c).zones = choice(ZONE, "closed")));
    assert!(!with(&|c| c.status = CampaignStatus::Draft));
    assert!(!with(&|c| c.status = CampaignStatus::Paused));
    assert!(!with(&|c| c.deleted = true));
    assert!(!with(&|c| c.tenant = TenantId(Uuid::from_u128(8))));
}

#[test]
fn an_initial_enter_triggers_only_who_asked_for_it() {
    let mut asked = campaign(1);
    zone_trigger(&mut asked).on_initial = true;
    let mut index = Campaigns::default();
    index.put(asked.clone());
    index.put(campaign(2));
    let mut enter = transition("d1", 1, ENTER, 0);
    assert_eq!(index.triggered_by(&enter, &[]).len(), 2);
    enter.initial = true;
    let triggered: Vec<_> =
        index.triggered_by(&enter, &[]).iter().map(|planned| planned.campaign.id).collect();
    assert_eq!(triggered, [asked.id]);
}

#[test]
fn an_older_version_of_a_campaign_changes_nothing() {
    let mut index = Campaigns::default();
    let mut newer = campaign(1);
    newer.version = 3;
    zone_trigger(&mut newer).zones.zone_ids = vec![ZoneId(Uuid::from_u128(71))];
    index.put(newer.clone());
    index.put(campaign(1));
    let enter = transition("d1", 1, ENTER, 0);
    assert!(index.triggered_by(&enter, &[]).is_empty());
    newer.version = 4;
    zone_trigger(&mut newer).zones.zone_ids.clear();
    index.put(newer.clone());
    assert_eq!(index.triggered_by(&enter, &[]).len(), 1);
    newer.version = 5;
    newer.deleted = true;
    index.put(newer.clone());
    assert!(index.triggered_by(&enter, &[]).is_empty() && index.get(newer.id).is_none());
}

#[test]
fn an_audience_that_cannot_be_read_is_nobody() {
    let mut campaign = campaign(1);
    campaign.audience = Some(json!({"moon": "full"}));
    let verdict =
        decide(&mut PlanState::default(), &transition("d1", 1, ENTER, 0), &[campaign], Some(&device()), BOTH);
    assert_eq!(reasons(verdict), [Some(Reason::Audience)]);
}

#[test]
fn a_removed_device_gets_nothing_even_while_its_row_is_there() {
    let mut campaign = campaign(1);
    zone_trigger(&mut campaign).on = TriggerKind::Exit;
    let told = |reason| {
        let exit = transition("d1", 1, TransitionKind::Exit(reason), 0);
        reasons(decide(
            &mut PlanState::default(),
            &exit,
            std::slice::from_ref(&campaign),
            Some(&device()),
            BOTH,
        ))
    };
    assert_eq!(told(ExitReason::DeviceRemoved), [Some(Reason::NoDevice)]);
    assert_eq!(told(ExitReason::Left), [None]);
}

#[test]
fn only_a_push_begins_a_cooldown_and_fix_time_ends_it() {
    let mut campaign = campaign(1);
    campaign.cooldown_s = 60;
    let mut state = PlanState::default();
    let mut told = |seq, s, device: &Device| {
        reasons(decide(
            &mut state,
            &transition("d1", seq, ENTER, s),
            std::slice::from_ref(&campaign),
            Some(device),
            BOTH,
        ))
    };
    let mute = Device { push_consent: false, ..device() };
    assert_eq!(told(1, -800, &mute), [Some(Reason::NoConsent)]);
    assert_eq!(told(2, -799, &device()), [None]);
    assert_eq!(told(3, -740, &device()), [Some(Reason::Cooldown)]);
    assert_eq!(told(4, -739, &device()), [None]);
}

#[test]
fn what_was_decided_on_is_seen_until_the_device_begins_anew() {
    let mut state = PlanState::default();
    let campaigns = [campaign(1)];
    let mut verdict = |t: &Transition| decide(&mut state, t, &campaigns, Some(&device()), BOTH);
    let mut enter = transition("d1", 5, ENTER, 0);
    assert_eq!(reasons(verdict(&enter)), [None]);
    assert_eq!(verdict(&enter), Verdict::Seen);
    enter.seq = 4;
    assert_eq!(verdict(&enter), Verdict::Seen);
    enter.seq = 6;
    assert_eq!(reasons(verdict(&enter)), [None]);
    (enter.seq, enter.incarnation) = (1, UnixMillis(NOW + 1));
    assert_eq!(reasons(verdict(&enter)), [None]);
    assert_eq!(verdict(&enter), Verdict::Seen);
    (enter.seq, enter.incarnation) = (7, UnixMillis(NOW));
    assert_eq!(verdict(&enter), Verdict::Seen, "a late copy from before it was forgotten");
    enter.incarnation = UnixMillis(-5);
    assert_eq!(reasons(decide(&mut PlanState::default(), &enter, &campaigns, Some(&device()), BOTH)), [None]);
}

#[test]
fn a_send_is_decided_once_without_trigger_audience_or_cooldown() {
    let decide = |state: &mut PlanState, n, device: Option<&Device>, providers| {
        Scene { device: device.cloned(), providers, ..Scene::new() }.decide(state, &send_cause(n))
    };
    let mut state = PlanState::default();
    assert_eq!(reasons(decide(&mut state, 1, None, BOTH)), [Some(Reason::NoDevice)]);
    let mute = Device { push_consent: false, push_token: None, ..device() };
    assert_eq!(reasons(decide(&mut state, 2, Some(&mute), None)), [Some(Reason::NoConsent)]);
    let deaf = Device { push_token: None, ..device() };
    assert_eq!(reasons(decide(&mut state, 3, Some(&deaf), None)), [Some(Reason::NoToken)]);
    assert_eq!(reasons(decide(&mut state, 4, Some(&device()), None)), [Some(Reason::NoApp)]);
    let push = crate::scene::push(decide(&mut state, 5, Some(&device()), BOTH));
    assert_eq!(push.id, PushId::of(TENANT, Uuid::from_u128(5), &id("d1"), CauseId(Uuid::from_u128(5))));
    assert_eq!(push.received_at, None);
    for n in 1..=5 {
        assert_eq!(decide(&mut state, n, Some(&device()), BOTH), Verdict::Seen);
    }
    for n in 6..=300 {
        assert_ne!(decide(&mut state, n, Some(&device()), BOTH), Verdict::Seen);
    }
    assert_eq!(state.requests.len(), REQUESTS_REMEMBERED);
    assert_eq!(decide(&mut state, 201, Some(&device()), BOTH), Verdict::Seen);
}

#[test]
fn cooldowns_of_campaigns_that_are_gone_do_not_pile_up() {
    let mut state = PlanState::default();
    for n in 1..=200 {
        let mut one = campaign(n);
        one.cooldown_s = 60;
        let enter = transition("d1", u64::try_from(n).unwrap(), ENTER, 0);
        assert_eq!(reasons(decide(&mut state, &enter, &[one], Some(&device()), BOTH)), [None]);
    }
    assert!(state.cooldowns.len() <= 33, "{}", state.cooldowns.len());
    assert!(state.cooldowns.contains_key(&CampaignId(Uuid::from_u128(200))));
}

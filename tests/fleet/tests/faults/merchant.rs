//! A merchant who changes zones and sends messages while the phones walk, and insists on answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use geopush_model::{CampaignId, DeviceId, SendId, TenantId, ZoneId};
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, IteratorRandom as _};
use serde_json::{Value, json};

use crate::history::{Campaign, Moment, On, Send, Totals, Version};
use crate::http::{Client, until};
use crate::scene;

/// Between two things that the merchant does.
const PAUSE_MS: (u64, u64) = (300, 1_500);
/// Exits are told about once in so long.
const COOLDOWN_S: i64 = 1_200;

/// What a merchant has asked for.
pub struct Merchant<'a> {
    api: &'a Client,
    tenant: TenantId,
    began: Instant,
    random: StdRng,
    pub zones: BTreeMap<ZoneId, Vec<Version>>,
    pub campaigns: Vec<Campaign>,
    pub sends: Vec<Send>,
}

impl<'a> Merchant<'a> {
    /// Opens the shop while everything is well: app, zones and campaigns.
    pub fn open(
        api: &'a Client,
        tenant: TenantId,
        app: &Value,
        zones: usize,
        began: Instant,
        mut random: StdRng,
    ) -> Self {
        api.insist(201, "PUT", "/v1/apps/shop", Some(app));
        let zones = scene::zones(zones, &mut random);
        let mut merchant = Self {
            api,
            tenant,
            began,
            random,
            zones: BTreeMap::new(),
            campaigns: Vec::new(),
            sends: Vec::new(),
        };
        for zone in zones {
            let told = api.insist(201, "POST", "/v1/zones", Some(&zone));
            merchant.learn(&told, true);
        }
        merchant.campaign("enter", On::Enter, 0);
        merchant.campaign("exit", On::Exit, COOLDOWN_S);
        merchant
    }

    fn campaign(&mut self, name: &str, on: On, cooldown_s: i64) {
        let campaign = json!({
            "name": name, "app": "shop", "cooldown_s": cooldown_s,
            "trigger": {"type": "zone", "on": name, "zone_tags": ["all"], "max_age_s": null, "on_initial": true},
            "message": {"title": "Hello", "body": format!("on {name}")},
        });
        let made = self.api.insist(201, "POST", "/v1/campaigns", Some(&campaign));
        let id = made["id"].as_str().expect("an id").to_owned();
        self.api.insist(200, "POST", &format!("/v1/campaigns/{id}/activate"), None);
        self.campaigns.push(Campaign { id: CampaignId(id.parse().expect("a UUID")), on, cooldown_s });
    }

    /// Changes zones and sends messages until told to stop.
    pub fn go(mut self, phones: &BTreeSet<DeviceId>, stop: &AtomicBool) -> Self {
        while !stop.load(Ordering::Relaxed) {
            if self.random.random_bool(0.75) {
                self.change_a_zone();
            } else {
                self.send(phones);
            }
            self.look_at_sends();
            let (least, most) = PAUSE_MS;
            std::thread::sleep(Duration::from_millis(self.random.random_range(least..=most)));
        }
        self
    }

    fn now(&self) -> Moment {
        self.began.elapsed().as_micros() as u64
    }

    /// Remembers a version; `answered`: the change that made it was.
    fn learn(&mut self, told: &Value, answered: bool) {
        let now = self.now();
        let zone = scene::zone(self.tenant, told);
        let versions = self.zones.entry(zone.id).or_default();
        match versions.iter_mut().find(|known| known.zone.version == zone.version) {
            Some(known) if answered => known.answered = known.answered.or(Some(now)),
            Some(_) => {}
            None => {
                versions.push(Version { zone, answered: answered.then_some(now) });
                versions.sort_by_key(|version| version.zone.version);
            }
        }
    }

    /// One change, tried until it is answered. A try whose answer was lost may have been done, or be under way.
    fn change_a_zone(&mut self) {
        let changeable = self
            .zones
            .iter()
            .filter(|(_, versions)| versions[0].zone.external_id.as_deref() != Some(scene::END_ZONE));
        let id = *changeable.map(|(id, _)| id).choose(&mut self.random).expect("a zone");
        let path = format!("/v1/zones/{id}");
        let (mut told, mut etag) = self.read(&path);
        let next = scene::changed(&told, &mut self.random);
        let api = self.api;
        let answer = until(&format!("a change of {path}"), || {
            let tag = etag.clone();
            match api.call("PUT", &path, &[("if-match", &tag)], Some(&next)) {
                Ok(answer) if answer.status == 200 => Some(answer.body),
                Ok(answer) if answer.status != 412 && answer.status != 429 && answer.status < 500 => {
                    panic!("PUT {path}: {} {}", answer.status, answer.body);
                }
                Ok(_) | Err(_) => {
                    (told, etag) = self.read(&path);
                    self.learn(&told, false);
                    None
                }
            }
        });
        self.learn(&answer, true);
    }

    fn read(&self, path: &str) -> (Value, String) {
        until(&format!("GET {path}"), || {
            let answer = self.api.call("GET", path, &[], None).ok().filter(|answer| answer.status == 200)?;
            Some((answer.body, answer.etag.expect("a zone has an ETag")))
        })
    }

    /// To some of the phones, under a key: however often it is tried, it is one send.
    fn send(&mut self, phones: &BTreeSet<DeviceId>) {
        let count = self.random.random_range(1..=phones.len());
        let to: BTreeSet<DeviceId> =
            phones.iter().cloned().sample(&mut self.random, count).into_iter().collect();
        let names: Vec<&str> = to.iter().map(DeviceId::as_str).collect();
        let body =
            json!({"app": "shop", "device_ids": names, "message": {"title": "Hello", "body": "to you"}});
        let key = format!("send-{}", self.sends.len());
        let answer = until("a send is taken", || {
            match self.api.call("POST", "/v1/sends", &[("idempotency-key", &key)], Some(&body)) {
                Ok(answer) if answer.status == 202 => Some(answer.body),
                // 409: the try before may still be at it.
                Ok(answer) if answer.status != 409 && answer.status != 429 && answer.status < 500 => {
                    panic!("POST /v1/sends: {} {}", answer.status, answer.body);
                }
                Ok(_) | Err(_) => None,
            }
        });
        let id = SendId(answer["id"].as_str().expect("an id").parse().expect("a UUID"));
        self.sends.push(Send { id, to, told: Vec::new() });
    }

    /// Looks at some of the sends; whether none that was looked at is pending.
    fn look_at_sends(&mut self) {
        let some: Vec<usize> = (0..self.sends.len()).collect();
        let some: Vec<usize> = some.sample(&mut self.random, 3).copied().collect();
        for index in some {
            look(self.api, &mut self.sends[index]);
        }
    }
}

/// Asks how far a send is; the answer if there was one.
pub fn look(api: &Client, send: &mut Send) -> Option<Totals> {
    let answer = api.call("GET", &format!("/v1/sends/{}", send.id), &[], None).ok()?;
    if answer.status == 429 || answer.status >= 500 {
        return None;
    }
    assert_eq!(answer.status, 200, "a send that was taken is there: {}", answer.body);
    let count = |name: &str| answer.body[name].as_i64().expect("a count");
    let told = Totals {
        targeted: count("targeted"),
        pending: count("pending"),
        accepted: count("accepted"),
        failed: count("failed"),
        suppressed: count("suppressed"),
        expired: count("expired"),
    };
    if send.told.last() != Some(&told) {
        send.told.push(told);
    }
    Some(told)
}

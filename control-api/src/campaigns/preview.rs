//! `/v1/campaigns/{id}/preview`: what a device would be shown, and what would keep it from being shown now.
//!
//! Only what is known without the device's past is looked at; that is for the plan stage, which owns it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use geopush_campaign::{
    Audience, AudienceDevice, MessageTemplate, NoVisits, is_held_out, is_within, is_within_hours, time_zone,
    variant_of,
};
use geopush_model::{
    Campaign, DeviceId, Message, Reason, TenantSettings, Trigger, TriggerKind, UnixMillis, Zone, ZoneId,
};
use geopush_registry::{AppProviders, Device, Platform, zone_of};
use geopush_service::http::Invalid;
use geopush_service::time::format_rfc3339_ms;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::current;
use super::message::MessageAnswer;
use crate::auth::Tenant;
use crate::error::ApiError;
use crate::events::read_properties;
use crate::json::Members;
use crate::state::{Api, Shared};
use crate::zones;

/// The route.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(preview))
}

/// For whom to preview, and what would have happened.
#[derive(ToSchema)]
#[schema(as = NewPreview, example = json!({"device_id": "d1", "properties": {"order": "A-17"}}))]
#[allow(dead_code, reason = "it describes a body that is read member by member")]
struct PreviewBody {
    /// The device.
    device_id: String,
    /// Of campaigns on zones: where it would be; templates are told of this zone.
    #[schema(required = false)]
    zone_id: Option<Uuid>,
    /// Of campaigns on events: the event's properties.
    #[schema(required = false)]
    properties: Map<String, Value>,
}

/// What a device would be shown, and what would keep it from being shown now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preview)]
struct PreviewAnswer {
    /// Filled in, in the device's language; `null` if a template can't be filled in.
    #[schema(value_type = Option<MessageAnswer>, required)]
    message: Option<Message>,
    /// Which template can't be filled in.
    #[schema(required)]
    template_error: Option<TemplateErrorAnswer>,
    /// The name of the variant that the device always gets, if the campaign has any.
    #[schema(required)]
    variant: Option<String>,
    /// Whether the device is in the audience; `null` if that depends on what it did before, which is not looked up.
    #[schema(required)]
    in_audience: Option<bool>,
    /// Why it would be suppressed or, in quiet hours, held if this happened now, of `no_token`, `no_consent`, `no_app`,
    /// `hours`, `audience`, `holdout`, `quiet_hours` and `template`. Cooldown, caps and quota are not looked at.
    reasons: Vec<&'static str>,
}

/// A template that can't be filled in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TemplateError)]
struct TemplateErrorAnswer {
    /// JSON pointer into the campaign.
    pointer: String,
    /// Why not.
    detail: String,
}

/// Shows what a campaign would say to a device now. Nothing is sent.
#[utoipa::path(post, path = "/v1/campaigns/{id}/preview", tag = "campaigns", request_body = PreviewBody,
    params(("id" = Uuid, Path, description = "The campaign's id")),
    responses((status = 200, description = "What it would be", body = PreviewAnswer)))]
async fn preview(
    State(api): Shared,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<PreviewAnswer>, ApiError> {
    let campaign = current(api.store(), tenant, &id).await?;
    let input = PreviewInput::read(api.body(request).await?).map_err(ApiError::invalid)?;
    let unknown = |name: &str| {
        let detail = "there is none with this id; check it";
        ApiError::invalid(vec![Invalid::new(format!("/{name}"), "not_found", detail)])
    };
    let device = api.deps.devices.get(tenant, &input.device).await?;
    let device = device.ok_or_else(|| unknown("device_id"))?;
    let zone = match input.zone {
        None => None,
        Some(id) => {
            let row = zones::row(api.store(), tenant, id).await?.filter(|row| !row.deleted);
            Some(zone_of(row.ok_or_else(|| unknown("zone_id"))?)?)
        }
    };
    api.deps.directory.barrier().await?;
    let scene = Scene {
        settings: &api.deps.directory.settings(tenant).unwrap_or_default(),
        providers: api.deps.directory.app_providers(tenant, &campaign.app),
        zone: zone.as_ref(),
        properties: input.properties,
        now: api.now(),
    };
    Ok(Json(scene.preview(&campaign, &device)))
}

struct PreviewInput {
    device: DeviceId,
    zone: Option<ZoneId>,
    properties: Map<String, Value>,
}

impl PreviewInput {
    fn read(body: Value) -> Result<Self, Vec<Invalid>> {
        let mut members = Members::of(body, "")?;
        let device = members.require("device_id", Members::device);
        let zone = members.text("zone_id", 64);
        let zone = zone.and_then(|id| {
            id.parse().map_err(|_| members.fail("zone_id", "invalid_value", "a zone's id is a UUID")).ok()
        });
        let properties = read_properties(&mut members);
        members.finish(&[])?;
        match device {
            Some(device) => Ok(Self { device, zone, properties }),
            None => unreachable!("a member that is required and missing was noted, and finish refuses then"),
        }
    }
}

/// What is looked at besides campaign and device.
struct Scene<'a> {
    settings: &'a TenantSettings,
    providers: Option<AppProviders>,
    zone: Option<&'a Zone>,
    properties: Map<String, Value>,
    now: UnixMillis,
}

impl Scene<'_> {
    fn preview(&self, campaign: &Campaign, device: &Device) -> PreviewAnswer {
        let (at, variant, message) = match variant_of(campaign, &device.device) {
            Some((i, variant)) => {
                (format!("/variants/{i}/message"), Some(variant.name.clone()), &variant.message)
            }
            None => ("/message".to_owned(), None, &campaign.message),
        };
        let rendered = MessageTemplate::parse(message)
            .map_err(|mut errors| errors.swap_remove(0))
            .and_then(|template| template.render(device.locale.as_deref(), || self.told(campaign, device)));
        let in_audience = self.in_audience(campaign, device);
        let looked_at = [
            (Reason::Hours, !self.is_within_hours(campaign, device)),
            (Reason::Audience, in_audience == Some(false)),
            (Reason::NoConsent, !device.push_consent),
            (Reason::NoToken, device.push_token.is_none() || device.platform.is_none()),
            (Reason::NoApp, !self.is_reached(campaign, device)),
            (Reason::Holdout, is_held_out(campaign, &device.device)),
            (Reason::QuietHours, self.is_quiet(campaign, device)),
            (Reason::Template, rendered.is_err()),
        ];
        let reasons = looked_at.into_iter().filter(|(_, applies)| *applies);
        let (message, template_error) = match rendered {
            Ok(message) => (Some(message), None),
            Err(e) => {
                let pointer = format!("{at}{}", e.pointer);
                (None, Some(TemplateErrorAnswer { pointer, detail: e.detail }))
            }
        };
        let reasons = reasons.map(|(reason, _)| reason.as_str()).collect();
        PreviewAnswer { message, template_error, variant, in_audience, reasons }
    }

    fn in_audience(&self, campaign: &Campaign, device: &Device) -> Option<bool> {
        let Some(audience) = &campaign.audience else { return Some(true) };
        // One that was stored and can't be read any more is for nobody.
        let Ok(audience) = Audience::from_json(audience) else { return Some(false) };
        let asks = audience.asks();
        let asked = AudienceDevice {
            attributes: &device.attributes,
            tags: &device.tags,
            platform: device.platform.map(Platform::as_str),
            locale: device.locale.as_deref(),
            app: device.app.as_deref(),
        };
        let knows = asks.looks_back_s.is_none() && !asks.opened;
        knows.then(|| audience.matches(&asked, self.now, &NoVisits))
    }

    fn is_within_hours(&self, campaign: &Campaign, device: &Device) -> bool {
        campaign.starts_at.is_none_or(|at| at <= self.now)
            && campaign.ends_at.is_none_or(|at| self.now < at)
            && campaign
                .hours
                .as_ref()
                .is_none_or(|hours| is_within_hours(hours, self.now, &self.zone_of(device)))
    }

    fn is_quiet(&self, campaign: &Campaign, device: &Device) -> bool {
        let quiet = self.settings.quiet_hours.filter(|_| !campaign.ignores_quiet_hours);
        quiet.is_some_and(|quiet| is_within(quiet.window, self.now, &self.zone_of(device)))
    }

    fn is_reached(&self, campaign: &Campaign, device: &Device) -> bool {
        let has = self.providers.is_some_and(|has| match device.platform {
            Some(Platform::Ios) => has.apns || has.fcm,
            _ => has.fcm,
        });
        has && device.app.as_ref().is_none_or(|app| *app == campaign.app)
    }

    /// The device's clock, or else the tenant's.
    fn zone_of(&self, device: &Device) -> TimeZone {
        let named = |name: &Option<String>| time_zone(name.as_deref()?);
        named(&device.timezone).or_else(|| named(&self.settings.timezone)).unwrap_or(TimeZone::UTC)
    }

    /// What templates are told, as the plan stage tells them.
    fn told(&self, campaign: &Campaign, device: &Device) -> Value {
        let mut told = json!({"device": {
            "id": device.device.as_str(),
            "attributes": device.attributes,
            "tags": device.tags,
            "locale": device.locale,
            "platform": device.platform.map(Platform::as_str),
            "app": device.app,
        }});
        match (&campaign.trigger, self.zone) {
            (Trigger::Zone(trigger), Some(zone)) => {
                told["zone"] = json!({
                    "id": zone.id.to_string(),
                    "external_id": zone.external_id,
                    "name": zone.name,
                    "metadata": zone.metadata,
                    "tags": zone.tags,
                });
                told["transition"] = json!({
                    "kind": trigger.on.as_str(),
                    "at": format_rfc3339_ms(self.now.0),
                    "dwell_s": zone.dwell_s.filter(|_| trigger.on == TriggerKind::Dwell),
                });
            }
            (Trigger::Event { name, .. }, _) => {
                told["event"] = json!({"name": name, "properties": self.properties});
            }
            _ => {}
        }
        told
    }
}

//! The body of `projects.messages.send` (<https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages>).

use std::collections::BTreeMap;
use std::sync::Arc;

use geopush_model::{AndroidPriority, Message};
use serde::{Serialize, Serializer};

use super::form::{Blank, Form, Page, Text};
use crate::send::aps::{self, Aps, given};
use crate::send::provider::{MAX_PAYLOAD, Unsendable};
use crate::send::{LINK, PUSH_ID};

#[derive(Serialize)]
struct Request<'a> {
    message: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    token: Text<'a>,
    /// What every platform shows; none where a platform is to show nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<Notification<'a>>,
    data: Data<'a>,
    android: Android<'a>,
    webpush: Webpush<'a>,
    apns: Apns<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcm_options: Option<Label<'a>>,
}

/// What is for the app alone: the merchant's own, and under it what is ours.
struct Data<'a> {
    own: &'a BTreeMap<String, String>,
    ours: [Option<(&'static str, Text<'a>)>; 2],
}

impl<'a> Data<'a> {
    fn iter(&self) -> impl Iterator<Item = (&str, Text<'a>)> {
        let is_ours = |key: &str| self.ours.iter().flatten().any(|(ours, _)| *ours == key);
        let own = self.own.iter().map(|(key, value)| (key.as_str(), Text::Fixed(value)));
        own.filter(move |(key, _)| !is_ours(key)).chain(self.ours.iter().flatten().copied())
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[derive(Clone, Copy, Serialize)]
struct Notification<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
}

#[derive(Serialize)]
struct Android<'a> {
    priority: &'static str,
    ttl: Text<'a>,
    /// None but the merchant's: a device has room for four keys, and ours would all differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    collapse_key: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    direct_boot_ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<AndroidNotification<'a>>,
}

/// A notification replaces the one with the same tag, so a push that was sent twice is shown once.
#[derive(Serialize)]
struct AndroidNotification<'a> {
    #[serde(flatten)]
    own: Option<Notification<'a>>,
    tag: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sound: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    color: Option<&'a str>,
}

/// Of the members of a browser's notification (`Notification` of the Notifications API).
#[derive(Serialize)]
struct WebNotification<'a> {
    #[serde(flatten)]
    own: Option<Notification<'a>>,
    tag: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<&'a str>,
}

#[derive(Serialize)]
struct Webpush<'a> {
    #[serde(serialize_with = "as_map")]
    headers: [Option<(&'static str, Text<'a>)>; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<WebNotification<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcm_options: Option<WebLink<'a>>,
}

#[derive(Serialize)]
struct WebLink<'a> {
    link: &'a str,
}

#[derive(Serialize)]
struct Apns<'a> {
    #[serde(serialize_with = "as_map")]
    headers: [Option<(&'static str, Text<'a>)>; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<ApnsPayload<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fcm_options: Option<ApnsImage<'a>>,
}

#[derive(Serialize)]
struct ApnsPayload<'a> {
    aps: Aps<'a>,
}

#[derive(Serialize)]
struct ApnsImage<'a> {
    image: &'a str,
}

#[derive(Serialize)]
struct Label<'a> {
    analytics_label: &'a str,
}

fn as_map<S: Serializer, const N: usize>(
    headers: &[Option<(&'static str, Text<'_>)>; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(headers.iter().flatten().copied())
}

impl<'a> Notification<'a> {
    /// None if there is nothing to show.
    fn of(message: &'a Message) -> Option<Self> {
        let (title, body) = (given(&message.title), given(&message.body));
        (title.is_some() || body.is_some()).then_some(Self { title, body, image: message.image.as_deref() })
    }

    fn weight(&self) -> usize {
        weight([("title", self.title), ("body", self.body), ("image", self.image)])
    }
}

impl AndroidNotification<'_> {
    fn weight(&self) -> usize {
        let own = self.own.as_ref().map_or(0, Notification::weight);
        own + tag_weight(self.tag)
            + weight([
                ("channel_id", self.channel_id),
                ("sound", self.sound),
                ("icon", self.icon),
                ("color", self.color),
            ])
    }
}

impl WebNotification<'_> {
    fn weight(&self) -> usize {
        let own = self.own.as_ref().map_or(0, Notification::weight);
        own + tag_weight(self.tag) + weight([("icon", self.icon)])
    }
}

/// Keys and values, as FCM counts them.
fn weight<const N: usize>(members: [(&str, Option<&str>); N]) -> usize {
    members.iter().filter_map(|(key, value)| Some(key.len() + (*value)?.len())).sum()
}

fn tag_weight(tag: Text<'_>) -> usize {
    "tag".len() + tag.len()
}

/// The body that sends pushes of this message, to be filled in for each.
///
/// # Errors
/// [`Unsendable::TooLarge`]: data and what a platform shows count, keys and values.
pub fn form(message: &Arc<Message>) -> Result<Form, Unsendable> {
    let page = Page::default();
    let blank = |blank| Text::Blank(blank, &page);
    let id = blank(Blank::Id);
    let ours = [message.link.as_deref().map(|link| (LINK, Text::Fixed(link))), Some((PUSH_ID, id))];
    let data = Data { own: &message.data, ours };

    // A common notification would be shown by Apple's phones, too: beside a background push each platform has its own.
    let shown = Notification::of(message);
    let (common, own) = if aps::is_background(message) { (None, shown) } else { (shown, None) };
    let android = &message.android;
    let on_android = shown.map(|_| AndroidNotification {
        own,
        tag: id,
        channel_id: android.channel_id.as_deref(),
        sound: android.sound.as_deref(),
        icon: android.icon.as_deref(),
        color: android.color.as_deref(),
    });
    let on_the_web = shown.map(|_| WebNotification { own, tag: id, icon: message.webpush.icon.as_deref() });
    let heaviest = [
        common.as_ref().map_or(0, Notification::weight),
        on_android.as_ref().map_or(0, AndroidNotification::weight),
        on_the_web.as_ref().map_or(0, WebNotification::weight),
    ];
    let payload: usize = data.iter().map(|(key, value)| key.len() + value.len()).sum();
    if payload + heaviest.into_iter().max().unwrap_or(0) > MAX_PAYLOAD {
        return Err(Unsendable::TooLarge);
    }
    let request = Request {
        message: Body {
            token: blank(Blank::Token),
            notification: common,
            data,
            android: Android {
                priority: match android.priority {
                    AndroidPriority::High => "high",
                    AndroidPriority::Normal => "normal",
                },
                ttl: blank(Blank::TtlDuration),
                collapse_key: android.collapse_key.as_deref(),
                direct_boot_ok: android.direct_boot_ok,
                notification: on_android,
            },
            webpush: Webpush {
                headers: [
                    Some(("TTL", blank(Blank::Ttl))),
                    message.webpush.urgency.map(|urgency| ("Urgency", Text::Fixed(urgency.as_str()))),
                ],
                notification: on_the_web,
                fcm_options: web_link(message).map(|link| WebLink { link }),
            },
            apns: Apns {
                headers: [
                    Some(("apns-priority", Text::Fixed(aps::priority(message)))),
                    Some(("apns-collapse-id", aps::collapse_id(message).map_or(id, Text::Fixed))),
                    Some(("apns-expiration", blank(Blank::Expiration))),
                    Some(("apns-push-type", Text::Fixed(aps::push_type(message)))),
                ],
                payload: Aps::beside_notification(message).map(|aps| ApnsPayload { aps }),
                fcm_options: common.and_then(|shown| shown.image).map(|image| ApnsImage { image }),
            },
            fcm_options: message.analytics_label.as_deref().map(|analytics_label| Label { analytics_label }),
        },
    };
    serde_json::to_writer(&page, &request).expect("text and maps of text always serialise");
    Ok(Form::new(message, page))
}

/// "For all URL values, HTTPS is required": an app's own address is no use to a browser.
fn web_link(message: &Message) -> Option<&str> {
    message.link.as_deref().filter(|link| link.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use geopush_model::{Push, UnixMillis};
    use serde_json::{Value, json};

    use super::*;
    use crate::send::testing::push;

    fn sent(push: &Push, now: i64) -> Value {
        serde_json::from_slice(&form(&push.message).unwrap().fill(push, UnixMillis(now))).unwrap()
    }

    #[test]
    fn a_push_becomes_the_message_that_fcm_documents() {
        let mut push = push("device-token");
        Arc::make_mut(&mut push.message).data.insert("shop".into(), "7".into());
        push.created_at = UnixMillis(1_000);
        push.expires_at = UnixMillis(61_500);
        let id = push.id.to_string();
        let expected = json!({ "message": {
            "token": "device-token",
            "notification": { "title": "Hello", "body": "World" },
            "data": { "shop": "7", "geopush_push_id": id },
            "android": { "priority": "high", "ttl": "61s", "notification": { "tag": id } },
            "webpush": { "headers": { "TTL": "61" }, "notification": { "tag": id } },
            "apns": {
                "headers": { "apns-priority": "10", "apns-collapse-id": id, "apns-expiration": "61", "apns-push-type": "alert" },
            },
        }});
        assert_eq!(sent(&push, 1_000), expected);
    }

    #[test]
    fn every_option_has_its_place() {
        let mut push = push("t");
        push.message = serde_json::from_value(json!({
            "title": "Hello", "body": "World", "image": "https://cdn.example/a.png", "link": "https://shop.example/7",
            "analytics_label": "spring",
            "android": { "priority": "normal", "collapse_key": "offers", "channel_id": "Offers", "direct_boot_ok": true,
                "sound": "coin", "icon": "ic_bag", "color": "#112233" },
            "apns": { "badge": 3, "sound": "coin.caf", "thread_id": "offers", "category": "OFFER", "subtitle": "Today",
                "interruption_level": "passive", "priority": 5, "collapse_id": "offers" },
            "webpush": { "urgency": "very-low", "icon": "https://cdn.example/i.png" },
        }))
        .unwrap();
        push.expires_at = UnixMillis(60_000);
        let id = push.id.to_string();
        let expected = json!({ "message": {
            "token": "t",
            "notification": { "title": "Hello", "body": "World", "image": "https://cdn.example/a.png" },
            "data": { "geopush_link": "https://shop.example/7", "geopush_push_id": id },
            "android": {
                "priority": "normal", "ttl": "60s", "collapse_key": "offers", "direct_boot_ok": true,
                "notification":
                    { "tag": id, "channel_id": "Offers", "sound": "coin", "icon": "ic_bag", "color": "#112233" },
            },
            "webpush": {
                "headers": { "TTL": "60", "Urgency": "very-low" },
                "notification": { "tag": id, "icon": "https://cdn.example/i.png" },
                "fcm_options": { "link": "https://shop.example/7" },
            },
            "apns": {
                "headers": {
                    "apns-priority": "5", "apns-collapse-id": "offers", "apns-expiration": "60",
                    "apns-push-type": "alert",
                },
                "payload": { "aps": {
                    "alert": { "title": "Hello", "subtitle": "Today", "body": "World" }, "badge": 3,
                    "sound": "coin.caf", "thread-id": "offers", "category": "OFFER",
                    "interruption-level": "passive", "mutable-content": 1,
                } },
                "fcm_options": { "image": "https://cdn.example/a.png" },
            },
            "fcm_options": { "analytics_label": "spring" },
        }});
        assert_eq!(sent(&push, 0), expected);
    }

    #[test]
    fn a_background_push_shows_nothing_on_apples_phones_alone() {
        let mut push = push("t");
        Arc::make_mut(&mut push.message).apns.push_type = geopush_model::ApnsPushType::Background;
        let message = sent(&push, 0)["message"].take();
        assert_eq!(message["notification"], Value::Null);
        assert_eq!(message["android"]["notification"]["title"], "Hello");
        assert_eq!(message["webpush"]["notification"]["body"], "World");
        assert_eq!(message["apns"]["payload"], json!({ "aps": { "content-available": 1 } }));
        assert_eq!(message["apns"]["headers"]["apns-priority"], "5");
        assert_eq!(message["apns"]["headers"]["apns-push-type"], "background");
        *Arc::make_mut(&mut push.message) = Message { apns: push.message.apns.clone(), ..Message::default() };
        let silent = sent(&push, 0)["message"].take();
        assert_eq!(
            (&silent["android"]["notification"], &silent["webpush"]["notification"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn an_address_that_only_an_app_can_open_is_not_for_browsers() {
        let mut push = push("t");
        Arc::make_mut(&mut push.message).link = Some("shop://7".into());
        let message = sent(&push, 0)["message"].take();
        assert_eq!(
            (&message["webpush"]["fcm_options"], &message["data"]["geopush_link"]),
            (&Value::Null, &json!("shop://7"))
        );
    }

    #[test]
    fn a_ttl_is_at_most_four_weeks() {
        let mut push = push("t");
        push.expires_at = UnixMillis(i64::MAX);
        assert_eq!(sent(&push, 0)["message"]["android"]["ttl"], "2419200s");
    }

    #[test]
    fn a_payload_of_4096_bytes_is_sent_and_one_more_is_not() {
        let mut push = push("t");
        let fixed = "titlebodyHello".len() + PUSH_ID.len() + 36;
        Arc::make_mut(&mut push.message).body = "x".repeat(MAX_PAYLOAD - fixed);
        assert!(form(&push.message).is_ok());
        Arc::make_mut(&mut push.message).body.push('x');
        assert_eq!(form(&push.message).err(), Some(Unsendable::TooLarge));
    }
}

//! Templates: what they say, what fails them, and what they can't do to others.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use geopush_campaign::{MessageTemplate, check_templates, verbatim};
use geopush_model::{ApnsOptions, ApnsPushType, Message, Text};
use proptest::prelude::*;
use serde_json::{Value, json};

fn titled(title: &str) -> Message {
    Message { title: title.to_owned(), body: "b".to_owned(), ..Message::default() }
}

fn context() -> Value {
    json!({
        "device": {
            "id": "d1", "attributes": {"name": "Zoë", "n": 3, "none": null}, "tags": ["vip", "x"],
            "locale": null, "platform": "ios",
        },
        "zone": {"id": "z", "external_id": "shop-1", "tags": []},
        "transition": {"kind": "enter", "at": "2026-01-01T00:00:00.000Z", "dwell_s": null},
    })
}

/// The title of a message, filled in for a device.
fn filled(title: &str) -> Result<String, String> {
    let template = MessageTemplate::parse(&titled(title)).map_err(|errors| errors[0].to_string())?;
    template.render(None, context).map(|message| message.title).map_err(|error| error.to_string())
}

#[test]
fn templates_say_what_they_are_told() {
    for (template, said) in [
        ("plain", "plain"),
        ("100 % {of} }} it", "100 % {of} }} it"),
        ("Hi {{ device.attributes.name }}!", "Hi Zoë!"),
        ("Hi {{ device.attributes.nick | default(\"you\") }}", "Hi you"),
        ("{{ device.attributes.none | default('null is missing') }}", "null is missing"),
        ("{{ device.attributes.nick | default(device.attributes.name) | upper }}", "ZOË"),
        ("{{ zone.external_id }} {{ transition.kind }}", "shop-1 enter"),
        ("{% if 'vip' in device.tags %}VIP{% else %}guest{% endif %}", "VIP"),
        ("{% if device.attributes.n > 2 %}many{% endif %}\n", "many\n"),
        ("{% for tag in device.tags %}{{ tag }};{% endfor %}", "vip;x;"),
        ("{{ device.tags | join(', ') }}", "vip, x"),
        ("{{ device.attributes.n + 1 }}", "4"),
        ("{{ '<&>' }}", "<&>"),
        ("{# a note #}a", "a"),
        ("{% if device.attributes.nick is not defined %}new{% endif %}", "new"),
        ("{{ 'a | nofilter * {% set %}' }}", "a | nofilter * {% set %}"),
    ] {
        assert_eq!(filled(template).as_deref(), Ok(said), "{template}");
    }
}

#[test]
fn what_is_missing_fails_only_when_it_is_filled_in() {
    for template in [
        "{{ device.attributes.nick }}",
        "{{ device.attributes.nick | upper }}",
        "{{ device.attributes.none }}",
        "{{ device.locale }}",
        "{{ event.name }}",
        "{{ 'a' ~ device.attributes.nick }}",
    ] {
        assert_eq!(check_templates(&titled(template)), [], "{template}");
        assert!(filled(template).unwrap_err().starts_with("/title: "), "{template}");
    }
}

#[test]
fn a_template_that_can_never_be_filled_in_is_told_with_its_place() {
    let message = Message {
        title: "{{ ".into(),
        body: "{% set x = 1 %}".into(),
        data: [("a/b".to_owned(), "{{ x | shout }}".to_owned())].into(),
        translations: [("es".to_owned(), Text { title: "{% if %}".into(), body: "ok".into() })].into(),
        image: Some("{{ x * 2 }}".into()),
        link: Some("{{ x is odd }}".into()),
        apns: ApnsOptions {
            subtitle: Some("{% for a in b %}{{ a ~ a }}{% endfor %}".into()),
            ..Default::default()
        },
        ..Message::default()
    };
    let errors = check_templates(&message);
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    let all =
        ["/title", "/body", "/translations/es/title", "/data/a~1b", "/image", "/link", "/apns/subtitle"];
    assert_eq!(pointers, all, "{errors:?}");
}

#[test]
fn no_template_takes_what_belongs_to_others() {
    for bomb in [
        "{{ 'x' * 100000000 }}",
        "{% set x = 'xx' %}{% set x = x ~ x %}{{ x }}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
        "{% include 'other' %}",
        "{{ range(100000) }}",
    ] {
        assert!(filled(bomb).is_err(), "{bomb}");
    }
    let nested =
        "{% for a in l %}{% for b in l %}{% for c in l %}{{ c }}{% endfor %}{% endfor %}{% endfor %}";
    let template = MessageTemplate::parse(&titled(nested)).unwrap();
    let many = || json!({"l": vec!["long enough to be seen"; 200]});
    let error = template.render(None, many).unwrap_err();
    assert!(error.detail.contains("takes too long") || error.detail.contains("says more"), "{error}");
    let grown = format!("{{{{ 'x'{} }}}}", " | replace('x', 'xxxxxxxxxxxxxxxxxxxx')".repeat(60));
    assert!(filled(&grown).unwrap_err().contains("more than"));
    let joined = format!("{{{{ 'xxxxxxxxxx'{} }}}}", " | join('xxxxxxxxxxxxxxxxxxxx')".repeat(60));
    assert!(filled(&joined).is_err());
}

#[test]
fn every_text_of_a_message_is_filled_in() {
    let name = "{{ device.attributes.name }}".to_owned();
    let message = Message {
        title: name.clone(),
        body: name.clone(),
        data: [("k".to_owned(), name.clone()), ("{{ k }}".to_owned(), "v".to_owned())].into(),
        image: Some(name.clone()),
        link: Some(name.clone()),
        apns: ApnsOptions { subtitle: Some(name), ..Default::default() },
        ..Message::default()
    };
    let message = MessageTemplate::parse(&message).unwrap().render(None, context).unwrap();
    let zoe = || "Zoë".to_owned();
    assert_eq!(
        (message.title, message.body, message.image, message.link),
        (zoe(), zoe(), Some(zoe()), Some(zoe()))
    );
    assert_eq!(message.apns.subtitle, Some(zoe()));
    assert_eq!(message.data, [("k".to_owned(), zoe()), ("{{ k }}".to_owned(), "v".to_owned())].into());
}

#[test]
fn a_device_is_spoken_to_in_its_language_or_the_nearest() {
    let text = |title: &str| Text { title: title.to_owned(), body: "{{ device.id }}".to_owned() };
    let translations = [("es", "es"), ("es-MX", "es-MX"), ("zh-Hant", "zh-Hant"), ("pt_BR", "pt-BR")];
    let message = Message {
        translations: translations.map(|(tag, title)| (tag.to_owned(), text(title))).into(),
        ..titled("default")
    };
    let template = MessageTemplate::parse(&message).unwrap();
    for (locale, title) in [
        (None, "default"),
        (Some("en"), "default"),
        (Some("es"), "es"),
        (Some("es-ES"), "es"),
        (Some("es_mx"), "es-MX"),
        (Some("ES-mx-x-private"), "es-MX"),
        (Some("zh-Hant-TW"), "zh-Hant"),
        (Some("zh"), "default"),
        (Some("pt-BR"), "pt-BR"),
        (Some("pt"), "default"),
        (Some(""), "default"),
        (Some("-"), "default"),
    ] {
        let said = template.render(locale, context).unwrap();
        assert_eq!(said.title, title, "{locale:?}");
        assert!(said.translations.is_empty());
    }
}

#[test]
fn a_message_that_says_nothing_fails() {
    let mut message = titled("{% if false %}a{% endif %}");
    message.body = String::new();
    assert!(MessageTemplate::parse(&message).unwrap().render(None, context).is_err());
    message.apns.push_type = ApnsPushType::Background;
    assert!(MessageTemplate::parse(&message).unwrap().render(None, context).is_ok());
}

#[test]
fn it_is_known_what_a_message_mentions() {
    let template = MessageTemplate::parse(&titled("{{ zone.metadata.city }} {{ device.id }}")).unwrap();
    assert!(template.mentions("zone.metadata") && !template.mentions("zone.meta"));
    assert!(!MessageTemplate::parse(&titled("zone.name")).unwrap().mentions("zone.name"));
}

proptest! {
    #[test]
    fn what_is_verbatim_is_said_as_it_is(text in "[{}%# a'\"\\\\\n-]{0,40}") {
        let message = Message { title: text, ..titled("") };
        let again = MessageTemplate::parse(&verbatim(&message)).unwrap().render(None, || json!({})).unwrap();
        prop_assert_eq!(again, message);
    }

    #[test]
    fn no_text_makes_the_engine_panic(text in "(\\{\\{|\\}\\}|\\{%|%\\}|\\{#|#\\}|[a-z\"'|.~é ]| if | for a in | endif | is | default){0,20}") {
        let _ = filled(&text);
    }
}

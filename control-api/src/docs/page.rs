//! One self-contained page, rendered from the OpenAPI document.

use std::fmt::Write as _;

use serde_json::Value;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
code,pre{font:13px/1.4 ui-monospace,monospace;background:#f4f4f2;border-radius:4px}code{padding:.1em .3em}\
pre{padding:.8rem;overflow:auto}table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;\
padding:.25rem .6rem .25rem 0;border-bottom:1px solid #e4e4e0}h3{margin-top:2.2rem}b.m{display:inline-block;\
min-width:4rem;text-transform:uppercase;color:#0a6}@media(prefers-color-scheme:dark){body{background:#161616;\
color:#ddd}code,pre{background:#262626}td,th{border-color:#333}}";

/// The page.
pub(super) fn render(document: &Value) -> String {
    let mut page = String::new();
    let title = text(&document["info"]["title"]);
    let _ = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title} API</title><style>{STYLE}</style><h1>{title} API {}</h1><p>{}</p>\
         <p>For programs: <a href=/v1/openapi.json>openapi.json</a></p>",
        text(&document["info"]["version"]),
        text(&document["info"]["description"]),
    );
    for tag in members_of(&document["tags"]) {
        let _ = write!(page, "<h2 id=\"{0}\">{0}</h2>", text(&tag["name"]));
        for (path, item) in entries_of(&document["paths"]) {
            for (method, operation) in entries_of(item) {
                if operation["tags"][0] == tag["name"] {
                    write_operation(&mut page, path, method, operation);
                }
            }
        }
    }
    page.push_str("<h2 id=schemas>schemas</h2>");
    for (name, schema) in entries_of(&document["components"]["schemas"]) {
        write_schema(&mut page, name, schema);
    }
    page.push_str("</html>\n");
    page
}

fn write_operation(page: &mut String, path: &str, method: &str, operation: &Value) {
    let words = [&operation["summary"], &operation["description"]].map(text).join(" ");
    let _ = write!(page, "<h3><b class=m>{method}</b> <code>{}</code></h3><p>{words}</p>", escape(path));
    let parameters = members_of(&operation["parameters"]);
    if !parameters.is_empty() {
        page.push_str("<table>");
        for parameter in parameters {
            let needed = if parameter["required"] == true { "required" } else { "" };
            let _ = write!(
                page,
                "<tr><td><code>{}</code><td>{}<td>{needed}<td>{}",
                text(&parameter["name"]),
                text(&parameter["in"]),
                text(&parameter["description"]),
            );
        }
        page.push_str("</table>");
    }
    for (_, content) in entries_of(&operation["requestBody"]["content"]).into_iter().take(1) {
        let _ = write!(page, "<p>Body: {}</p>", schema_name(&content["schema"]));
    }
    page.push_str("<table>");
    for (status, answer) in entries_of(&operation["responses"]) {
        if answer.get("$ref").is_some() {
            continue;
        }
        let body = entries_of(&answer["content"]).into_iter().next();
        let body = body.map(|(_, content)| schema_name(&content["schema"])).unwrap_or_default();
        let _ = write!(page, "<tr><td>{status}<td>{}<td>{body}", text(&answer["description"]));
    }
    let refused: Vec<&str> = entries_of(&operation["responses"])
        .into_iter()
        .filter(|(_, answer)| answer.get("$ref").is_some())
        .map(|(status, _)| status)
        .collect();
    let _ = write!(page, "<tr><td>{}<td>a problem<td>", refused.join(" "));
    page.push_str("</table>");
}

fn write_schema(page: &mut String, name: &str, schema: &Value) {
    let _ = write!(page, "<h3 id=\"{0}\">{0}</h3><p>{1}</p>", escape(name), text(&schema["description"]));
    if schema.get("oneOf").is_some() {
        let _ = write!(page, "<p>{}</p>", schema_name(schema));
    }
    let required = members_of(&schema["required"]);
    page.push_str("<table>");
    for (member, property) in entries_of(&schema["properties"]) {
        let mut notes = vec![schema_name(property)];
        if property["readOnly"] == true {
            notes.push("read only".to_owned());
        } else if required.iter().any(|name| *name == member) {
            notes.push("required".to_owned());
        }
        let _ = write!(
            page,
            "<tr><td><code>{}</code><td>{}<td>{}",
            escape(member),
            notes.join(", "),
            text(&property["description"]),
        );
    }
    page.push_str("</table>");
    if let Some(example) = schema.get("example") {
        let example = serde_json::to_string_pretty(example).unwrap_or_default();
        let _ = write!(page, "<pre>{}</pre>", escape(&example));
    }
}

/// A schema's name with a link to it, or its type.
fn schema_name(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#{0}\">{0}</a>", escape(name));
    }
    if let Some(items) = schema.get("items") {
        return format!("array of {}", schema_name(items));
    }
    let several = members_of(&schema["oneOf"]);
    if !several.is_empty() {
        return several.into_iter().map(schema_name).collect::<Vec<_>>().join(" or ");
    }
    if schema.get("title").is_some() {
        return text(&schema["title"]);
    }
    match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        one => text(one),
    }
}

/// A text, what stands between its backticks as code.
fn text(value: &Value) -> String {
    let escaped = escape(value.as_str().unwrap_or_default());
    let parts = escaped.split('`').enumerate();
    parts.map(|(i, part)| if i % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

fn members_of(value: &Value) -> Vec<&Value> {
    value.as_array().map(|values| values.iter().collect()).unwrap_or_default()
}

fn entries_of(value: &Value) -> Vec<(&str, &Value)> {
    value.as_object().map(|object| object.iter().map(|(k, v)| (k.as_str(), v)).collect()).unwrap_or_default()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

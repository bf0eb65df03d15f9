//! The receivers' documented limits as a check of a payload. Sources: Slack, "Block Kit reference"
//! (header, section, context, text object) and "Sending messages using incoming webhooks";
//! Standard Webhooks specification, "Payload structure".

use serde_json::{Value, json};

/// Everything that Slack would refuse or show wrongly; empty: fine.
pub fn slack(payload: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    only_keys("message", payload, &["text", "blocks", "unfurl_links", "unfurl_media"], &mut faults);
    length("message text", &payload["text"], 4000, &mut faults);
    match payload["text"].as_str() {
        Some(text) => reserved("message text", text, &mut faults),
        None => faults.push("message without text: nothing for a notification or a screen reader".into()),
    }
    let blocks = payload["blocks"].as_array().cloned().unwrap_or_default();
    if blocks.is_empty() || blocks.len() > 50 {
        faults.push(format!("{} blocks, 1 to 50 are allowed", blocks.len()));
    }
    for (i, block) in blocks.iter().enumerate() {
        let at = format!("block {i}");
        match block["type"].as_str() {
            Some("header") => {
                only_keys(&at, block, &["type", "text"], &mut faults);
                text_object(&at, &block["text"], 150, &["plain_text"], &mut faults);
            }
            Some("section") => {
                only_keys(&at, block, &["type", "text", "fields"], &mut faults);
                if block.get("text").is_none() && block.get("fields").is_none() {
                    faults.push(format!("{at}: a section needs text or fields"));
                }
                if let Some(text) = block.get("text") {
                    text_object(&at, text, 3000, &["mrkdwn", "plain_text"], &mut faults);
                }
                if let Some(fields) = block.get("fields") {
                    each(&at, fields, 2000, &mut faults);
                }
            }
            Some("context") => {
                only_keys(&at, block, &["type", "elements"], &mut faults);
                each(&at, &block["elements"], 3000, &mut faults);
            }
            other => faults.push(format!("{at}: unexpected type {other:?}")),
        }
    }
    faults
}

fn each(at: &str, list: &Value, max: usize, faults: &mut Vec<String>) {
    let items = list.as_array().cloned().unwrap_or_default();
    if items.is_empty() || items.len() > 10 {
        faults.push(format!("{at}: {} items, 1 to 10 are allowed", items.len()));
    }
    for item in &items {
        text_object(at, item, max, &["mrkdwn", "plain_text"], faults);
    }
}

fn text_object(at: &str, object: &Value, max: usize, kinds: &[&str], faults: &mut Vec<String>) {
    only_keys(at, object, &["type", "text", "emoji", "verbatim"], faults);
    let kind = object["type"].as_str().unwrap_or("");
    if !kinds.contains(&kind) {
        faults.push(format!("{at}: text of type `{kind}`"));
    }
    if object.get("emoji").is_some() && kind != "plain_text" || object.get("verbatim").is_some() && kind != "mrkdwn" {
        faults.push(format!("{at}: `emoji` is for plain_text, `verbatim` for mrkdwn"));
    }
    length(at, &object["text"], max, faults);
    if kind == "mrkdwn" {
        reserved(at, object["text"].as_str().unwrap_or(""), faults);
        if object["verbatim"] != true {
            faults.push(format!("{at}: without `verbatim` Slack makes mentions and links of evidence"));
        }
    }
}

/// `<` and `>` only start and end Slack's own markup, which we never use; `&` only starts an escape.
fn reserved(at: &str, text: &str, faults: &mut Vec<String>) {
    let unescaped = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
    if unescaped.contains(['&', '<', '>']) {
        faults.push(format!("{at}: unescaped &, < or >: {text}"));
    }
}

fn length(at: &str, text: &Value, max: usize, faults: &mut Vec<String>) {
    let text = text.as_str().unwrap_or("");
    let units = text.encode_utf16().count();
    if text.trim().is_empty() || units > max {
        faults.push(format!("{at}: {units} characters, 1 to {max} are allowed"));
    }
}

fn only_keys(at: &str, object: &Value, known: &[&str], faults: &mut Vec<String>) {
    for key in object.as_object().into_iter().flat_map(|o| o.keys()) {
        if !known.contains(&key.as_str()) {
            faults.push(format!("{at}: unknown key `{key}`"));
        }
    }
}

/// Everything in which a payload departs from the Standard Webhooks specification.
pub fn webhook(payload: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    only_keys("payload", payload, &["version", "type", "timestamp", "data"], &mut faults);
    if payload["version"] != 1 {
        faults.push("version is not 1".into());
    }
    let kind = payload["type"].as_str().unwrap_or("");
    let full_stop_delimited = kind.split('.').count() == 2
        && kind.split('.').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    if !full_stop_delimited {
        faults.push(format!("type `{kind}` is not lower case words joined by full stops"));
    }
    if chrono::DateTime::parse_from_rfc3339(payload["timestamp"].as_str().unwrap_or("")).is_err() {
        faults.push(format!("timestamp {} is not RFC 3339", payload["timestamp"]));
    }
    if !payload["data"].is_object() {
        faults.push("data is no object".into());
    }
    let size = payload.to_string().len();
    if size > 20_000 {
        faults.push(format!("{size} bytes, at most 20 kB are advised"));
    }
    faults
}

#[test]
fn the_check_itself_finds_each_kind_of_fault() {
    let good = || {
        json!({ "text": "a", "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": "a", "emoji": true } },
            { "type": "section", "text": { "type": "mrkdwn", "text": "a", "verbatim": true } },
            { "type": "context", "elements": [{ "type": "mrkdwn", "text": "a", "verbatim": true }] },
        ]})
    };
    assert_eq!(slack(&good()), Vec::<String>::new());
    let mrkdwn = json!({ "type": "mrkdwn", "text": "a", "verbatim": true });
    for (pointer, value) in [
        ("/text", json!("")),
        ("/text", json!("a <b>")),
        ("/blocks", json!([])),
        ("/blocks", json!(vec![good()["blocks"][1].clone(); 51])),
        ("/blocks/0/text/text", json!("x".repeat(151))),
        ("/blocks/0/text/type", json!("mrkdwn")),
        ("/blocks/1/text/text", json!("x".repeat(3001))),
        ("/blocks/1/text/text", json!("  ")),
        ("/blocks/1/text/text", json!("<!channel>")),
        ("/blocks/1/text/text", json!("a && b")),
        ("/blocks/1/text/verbatim", json!(false)),
        ("/blocks/1/type", json!("dividers")),
        ("/blocks/1", json!({ "type": "section" })),
        ("/blocks/1", json!({ "type": "section", "fields": vec![mrkdwn.clone(); 11] })),
        ("/blocks/2/elements", json!(vec![mrkdwn; 11])),
        ("/blocks/2/elements", json!([])),
    ] {
        let mut bad = good();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(!slack(&bad).is_empty(), "{pointer}: {bad}");
    }
    let good =
        || json!({ "version": 1, "type": "failoverd.moved", "timestamp": "2026-01-31T09:00:05.000Z", "data": {} });
    assert_eq!(webhook(&good()), Vec::<String>::new());
    for (key, value) in [
        ("version", json!(2)),
        ("type", json!("Moved")),
        ("timestamp", json!(5)),
        ("data", json!([])),
        ("data", json!({ "x": "y".repeat(20_000) })),
        ("more", json!(1)),
    ] {
        let mut bad = good();
        bad[key] = value;
        assert!(!webhook(&bad).is_empty(), "{key}");
    }
}

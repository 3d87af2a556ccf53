//! What is sent: the body that a draft says, with what the flags say over it. Pure but for the id.

use comfyui::api::PromptRequest;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::ending::ClientError;
use super::draft::Draft;
use crate::config::{SubmitFlags, WishFlags};
use crate::id::JobId;

/// Every request has an id, so that one whose answer was lost can be sent again.
pub(super) fn of(draft: &Draft, flags: &SubmitFlags, client_id: &str) -> Result<PromptRequest, ClientError> {
    let mut body = draft.body();
    complete(&mut body, flags, client_id);
    // By way of text: the prompt of a request is kept as such.
    serde_json::from_str(&Value::Object(body).to_string())
        .map_err(|reason| ClientError::Body { document: draft.name.clone(), reason })
}

fn complete(body: &mut Map<String, Value>, flags: &SubmitFlags, client_id: &str) {
    // Who had submitted the document then need not hear of it now, unless nobody else does.
    if flags.follow || flags.client_id.is_some() {
        body.insert("client_id".to_owned(), json!(client_id));
    }
    let given = body.get("prompt_id").and_then(Value::as_str).and_then(JobId::canonical);
    if given.is_none() {
        body.insert("prompt_id".to_owned(), json!(Uuid::new_v4().to_string()));
    }
    if flags.front || flags.number.is_some() {
        body.shift_remove("front");
        body.shift_remove("number");
    }
    if flags.front {
        body.insert("front".to_owned(), json!(true));
    }
    if let Some(number) = flags.number {
        body.insert("number".to_owned(), json!(number));
    }
    ask(body, &flags.wishes);
}

/// What cannot be asked for is left to the collector to refuse, which knows what can.
fn ask(body: &mut Map<String, Value>, wishes: &WishFlags) {
    let WishFlags { priority, deadline, backend, tags, max_attempts, webhook } = wishes;
    let tags = (!tags.is_empty()).then_some(tags);
    let fields = json!({
        "priority": priority, "deadline": deadline, "backend": backend, "tags": tags, "max_attempts": max_attempts,
        "webhook": webhook,
    });
    for (field, value) in fields.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        if let Some(ours) =
            within(body, "extra_data").and_then(|extra_data| within(extra_data, "orchestrator"))
        {
            ours.insert(field.clone(), value.clone());
        }
    }
}

/// The object under a key, in place of whatever else stands there.
fn within<'a>(object: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = object.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = json!({});
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::config::{ClientCommand, Command, Flags};

    fn completed(arguments: &[&str], body: Value) -> Value {
        let line = [&["it", "submit", "f"], arguments].concat();
        let Some(Command::Client(ClientCommand::Submit(flags))) = Flags::parse_from(line).command else {
            panic!("no submission")
        };
        let Value::Object(mut body) = body else { panic!("{body}") };
        complete(&mut body, &flags, "ours");
        Value::Object(body)
    }

    #[test]
    fn flags_go_over_what_the_file_says_and_a_good_id_stays() {
        let id = "0a0a0a0a-1111-4222-8333-444444444444";
        let body = json!({"prompt": {}, "client_id": "theirs", "prompt_id": id, "front": true});
        assert_eq!(completed(&[], body.clone()), body);
        assert_eq!(
            completed(&["--number", "-2.5", "--follow"], body.clone()),
            json!({"prompt": {}, "client_id": "ours", "prompt_id": id, "number": -2.5})
        );
        let front = completed(&["--front", "--client-id", "x"], json!({"prompt": {}, "number": 1}));
        assert_eq!(
            (&front["front"], front.get("number"), &front["client_id"]),
            (&json!(true), None, &json!("ours"))
        );
    }

    #[test]
    fn an_id_that_is_none_is_replaced() {
        for body in [json!({}), json!({"prompt_id": "mine"}), json!({"prompt_id": null})] {
            let completed = completed(&[], body);
            assert!(JobId::canonical(completed["prompt_id"].as_str().unwrap()).is_some(), "{completed}");
        }
    }
    #[test]
    fn wishes_stand_in_extra_data_over_those_of_the_file_and_beside_what_else_is_there() {
        let of_file = json!({"orchestrator": {"priority": 9, "backend": "a"}, "mine": 1});
        let body = json!({"prompt_id": "x", "extra_data": of_file});
        let arguments =
            ["--priority", "2", "--deadline", "30m", "--tag", "a,b", "--tag", "c", "--max-attempts", "1"];
        let wanted = json!({"priority": 2.0, "backend": "a", "deadline": "30m", "tags": ["a", "b", "c"], "max_attempts": 1});
        assert_eq!(completed(&arguments, body)["extra_data"], json!({"orchestrator": wanted, "mine": 1}));
        let asked = completed(&["--backend", "b"], json!({"extra_data": null}));
        assert_eq!(asked["extra_data"], json!({"orchestrator": {"backend": "b"}}));
        assert_eq!(completed(&[], json!({})).get("extra_data"), None);
    }
}

//! A job before it is submitted: what a file holds, and the prompt that comes of it.

use std::path::Path;

use comfyui::Prompt;
use comfyui::convert::Interface;
use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::super::candidate::{self, Candidate};
use super::super::classes::Classes;
use super::super::conversion::prompt_of;
use super::super::document::Document;
use super::super::ending::ClientError;
use super::super::inspect;
use crate::surroundings;

pub(super) struct Draft {
    /// The file, for messages.
    pub(super) name: String,
    content: Content,
}

enum Content {
    Workflow(Value),
    /// A body of `POST /prompt`; of other documents, one that holds the prompt alone.
    Body(Map<String, Value>),
}

impl Draft {
    pub(super) fn read(path: &Path) -> Result<Self, ClientError> {
        let document = Document::read(path)?;
        let content = match candidate::of(&document)? {
            Candidate::Workflow(workflow) => Content::Workflow(workflow),
            Candidate::Prompt(prompt) => Content::of_prompt(prompt),
            Candidate::Body(Value::Object(body)) => Content::Body(body),
            Candidate::Body(other) => Content::of_prompt(other),
        };
        Ok(Self { name: document.name, content })
    }

    pub(super) fn is_workflow(&self) -> bool {
        matches!(self.content, Content::Workflow(_))
    }

    /// With the prompt that a workflow makes, which goes along, so that saved pictures hold it too.
    pub(super) fn converted(self, classes: &Classes) -> Result<Self, ClientError> {
        let Content::Workflow(workflow) = self.content else { return Ok(self) };
        if classes.info.0.is_empty() {
            let why = "no backend has told yet what it offers, which converting a workflow takes";
            return Err(ClientError::Refused(format!("{}: {why}; `backends` says how they are", self.name)));
        }
        let options = surroundings::options(Interface::default(), None);
        let prompt = prompt_of(&workflow, &self.name, classes, &options)?;
        let extra = json!({ "extra_pnginfo": { "workflow": workflow } });
        let body = Map::from_iter([("prompt".to_owned(), json!(prompt)), ("extra_data".to_owned(), extra)]);
        Ok(Self { name: self.name, content: Content::Body(body) })
    }

    /// The body of `POST /prompt` as far as the file says it.
    pub(super) fn body(&self) -> Map<String, Value> {
        match &self.content {
            Content::Body(body) => body.clone(),
            Content::Workflow(_) => Map::new(),
        }
    }

    /// Its prompt node by node, to be changed.
    pub(super) fn prompt(&self) -> Result<Prompt, ClientError> {
        let prompt = self.value().unwrap_or(&Value::Null);
        Ok(inspect::read(prompt, &self.name)?)
    }

    /// What the workflow beside a changed prompt says is no longer so.
    pub(super) fn change(&mut self, prompt: &Prompt) {
        let Content::Body(body) = &mut self.content else { return };
        body.insert("prompt".to_owned(), json!(prompt));
        let info = body.get_mut("extra_data").and_then(|extra| extra.get_mut("extra_pnginfo"));
        if let Some(info) = info.and_then(Value::as_object_mut) {
            info.shift_remove("workflow");
        }
    }

    /// Replaces one constant by another wherever it stands in the prompt.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let Content::Body(body) = &mut self.content else { return };
        let nodes = body.get_mut("prompt").and_then(Value::as_object_mut).into_iter().flatten();
        let inputs = nodes.filter_map(|(_, node)| node.get_mut("inputs")?.as_object_mut()).flatten();
        for (_, value) in inputs.filter(|(_, value)| value.as_str() == Some(from)) {
            *value = Value::from(to);
        }
    }

    /// Node id → what to call it: its title, else its class.
    pub(super) fn labels(&self) -> IndexMap<String, String> {
        let nodes = self.value().and_then(Value::as_object).into_iter().flatten();
        let label = |node: &Value| {
            let title = node.get("_meta").and_then(|meta| meta.get("title"));
            title.or_else(|| node.get("class_type")).and_then(Value::as_str).map(str::to_owned)
        };
        nodes.filter_map(|(id, node)| Some((id.clone(), label(node)?))).collect()
    }

    fn value(&self) -> Option<&Value> {
        match &self.content {
            Content::Body(body) => body.get("prompt"),
            Content::Workflow(_) => None,
        }
    }
}

impl Content {
    fn of_prompt(prompt: Value) -> Self {
        Self::Body(Map::from_iter([("prompt".to_owned(), prompt)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(body: Value) -> Draft {
        let Value::Object(body) = body else { panic!("{body}") };
        Draft { name: "it".to_owned(), content: Content::Body(body) }
    }

    #[test]
    fn a_changed_prompt_goes_without_the_workflow_that_it_no_longer_is() {
        let mut draft = draft(json!({
            "prompt": {"1": {"class_type": "A", "inputs": {"n": 1}}},
            "extra_data": {"extra_pnginfo": {"workflow": {"nodes": []}, "mine": 1}, "tags": ["x"]},
        }));
        let mut prompt = draft.prompt().unwrap();
        prompt.0["1"].inputs.insert("n".to_owned(), json!(2));
        draft.change(&prompt);
        assert_eq!(
            Value::Object(draft.body()),
            json!({"prompt": {"1": {"class_type": "A", "inputs": {"n": 2}}},
                   "extra_data": {"extra_pnginfo": {"mine": 1}, "tags": ["x"]}})
        );
    }

    #[test]
    fn a_name_is_replaced_where_it_stands_alone() {
        let mut draft = draft(json!({"prompt": {
            "1": {"class_type": "L", "inputs": {"image": "a.png", "text": "a.png is a cat", "link": ["a.png", 0]}},
        }}));
        draft.rename("a.png", "a (1).png");
        let inputs = &draft.body()["prompt"]["1"]["inputs"];
        assert_eq!(inputs, &json!({"image": "a (1).png", "text": "a.png is a cat", "link": ["a.png", 0]}));
    }

    #[test]
    fn a_node_is_called_by_its_title_or_class() {
        let draft = draft(json!({"prompt": {
            "1": {"class_type": "A", "_meta": {"title": "Größe"}}, "2": {"class_type": "B"}, "3": 7,
        }}));
        let labels: Vec<_> = draft.labels().into_iter().collect();
        assert_eq!(labels, [("1".into(), "Größe".into()), ("2".to_owned(), "B".to_owned())]);
    }
}

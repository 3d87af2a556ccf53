//! All nodes behind an output, depth first, each once.
//!
//! Keeps its own stack instead of calling itself, so that a prompt cannot exhaust the thread's.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::declared::{Declared, declared};
use super::input::{Finding, Subject, look_at};
use super::python::Thrown;
use super::{Conversion, Grounds, class_of, documents};

/// ComfyUI's validation calls itself from node to node, and Python allows 1000 calls within each other. As measured with
/// Python 3.11, this many of them are left for nodes between the request and the last one that is looked at.
const MOST_NODES_DEEP: usize = 983;
/// Where that is exceeded, those many nodes deep is the one that is blamed: to write down the error takes calls as well.
const BLAMED_NODE: usize = 980;

/// So many errors are written down, each with all that an input accepts, which can be a list of thousands of files.
const MOST_ERRORS: usize = 1000;

/// What was found out about a node.
#[derive(Debug)]
pub(super) struct Judgement {
    /// Whether it and all nodes before it may run.
    pub(super) is_valid: bool,
    /// Its own errors; none if only a node before it is wrong.
    pub(super) errors: Vec<Value>,
}

/// The state of one validation.
pub(super) struct Walk<'a> {
    nodes: &'a Map<String, Value>,
    grounds: Grounds<'a>,
    /// In the order in which they were finished; each once.
    pub(super) judged: IndexMap<&'a str, Judgement>,
    pub(super) conversions: Vec<Conversion>,
    stack: Vec<Visit<'a>>,
    /// The looks that ended too deep: a shorter way to those nodes goes on with them, and does not start anew.
    broken_off: HashMap<&'a str, Visit<'a>>,
    /// The ids on the stack: a link to one of them closes a cycle.
    begun: HashSet<&'a str>,
    errors: usize,
}

/// A node whose inputs are being looked at.
struct Visit<'a> {
    id: &'a str,
    subject: Subject<'a>,
    inputs: std::vec::IntoIter<Declared<'a>>,
    /// The input whose link was being followed when the look was broken off.
    again: Option<Declared<'a>>,
    /// The input whose link is being followed, and the link.
    following: Option<(Declared<'a>, &'a Value)>,
    found: Judgement,
}

impl<'a> Walk<'a> {
    pub(super) fn new(nodes: &'a Map<String, Value>, grounds: Grounds<'a>) -> Self {
        Self {
            nodes,
            grounds,
            judged: IndexMap::new(),
            conversions: Vec::new(),
            stack: Vec::new(),
            broken_off: HashMap::new(),
            begun: HashSet::new(),
            errors: 0,
        }
    }

    /// Looks at a node and at all that it depends on. After too many errors it stays without a judgement.
    pub(super) fn judge(&mut self, id: &'a str) {
        self.follow(id);
        while let Some(visit) = self.stack.last_mut() {
            match visit.again.take().or_else(|| visit.inputs.next()) {
                Some(input) => self.step(input),
                None => self.finish(),
            }
        }
    }

    fn step(&mut self, input: Declared<'a>) {
        let Some(visit) = self.stack.last_mut() else { return };
        match look_at(&input, visit.subject, self.nodes, self.grounds) {
            Ok(Finding::Fine) => {}
            Ok(Finding::Wrong(error)) => visit.found.errors.push(error),
            Ok(Finding::Value { converted, wrong }) => {
                visit.found.errors.extend(wrong);
                let node = visit.id.to_owned();
                let of = |value| Conversion { node, input: input.name.into_owned(), value };
                self.conversions.extend(converted.map(of));
            }
            Ok(Finding::Linked(id, link)) => {
                visit.following = Some((input, link));
                self.follow(id);
            }
            Err(thrown) => self.abort(&thrown),
        }
    }

    /// A node of a cycle depends on itself and is not valid, which ComfyUI finds out by running out of calls: what it
    /// writes down about that it writes over on the way back.
    fn follow(&mut self, id: &'a str) {
        if let Some(known) = self.judged.get(id) {
            let is_valid = known.is_valid;
            self.answer(is_valid);
        } else if self.begun.contains(id) || self.errors >= MOST_ERRORS {
            self.answer(false);
        } else if self.stack.len() >= MOST_NODES_DEEP {
            self.give_up();
        } else if let Err(thrown) = self.begin(id) {
            self.fail(id, &thrown);
        }
    }

    fn begin(&mut self, id: &'a str) -> Result<(), Thrown> {
        let visit = match self.broken_off.remove(id) {
            Some(visit) => visit,
            None => self.first_look(id)?,
        };
        self.begun.insert(id);
        self.stack.push(visit);
        Ok(())
    }

    fn first_look(&self, id: &'a str) -> Result<Visit<'a>, Thrown> {
        let node = self.nodes.get(id).ok_or_else(|| Thrown::key_error(&Value::from(id)))?;
        let inputs = node.get("inputs").ok_or_else(|| Thrown::key_error(&Value::from("inputs")))?;
        let (name, class) =
            class_of(node, self.grounds.info).ok_or_else(|| Thrown::key_error(&Value::from("class_type")))?;
        Ok(Visit {
            id,
            subject: Subject { class: name, inputs },
            inputs: declared(class, inputs)?.into_iter(),
            again: None,
            following: None,
            found: Judgement { is_valid: true, errors: Vec::new() },
        })
    }

    fn finish(&mut self) {
        let Some(visit) = self.stack.pop() else { return };
        let Judgement { is_valid, mut errors } = visit.found;
        let complaints = self.grounds.validators.complaints(visit.subject.class, visit.subject.inputs);
        errors.extend(complaints.iter().map(documents::custom));
        let is_valid = is_valid && errors.is_empty();
        self.begun.remove(visit.id);
        self.errors += errors.len();
        self.judged.insert(visit.id, Judgement { is_valid, errors });
        self.answer(is_valid);
    }

    /// Tells the node that waits for another whether that one is valid.
    fn answer(&mut self, is_valid: bool) {
        if let Some(visit) = self.stack.last_mut() {
            visit.found.is_valid &= is_valid;
        }
    }

    /// Ends the look at a node to which Python threw something; its other errors are lost.
    fn abort(&mut self, thrown: &Thrown) {
        if let Some(visit) = self.stack.pop() {
            self.begun.remove(visit.id);
            self.fail(visit.id, thrown);
        }
    }

    fn fail(&mut self, id: &'a str, thrown: &Thrown) {
        let following = self.stack.last().and_then(|visit| visit.following.as_ref());
        let reason = match following {
            Some((input, link)) => documents::thrown_within(thrown, input, link),
            None => documents::thrown_at(thrown),
        };
        self.errors += 1;
        self.judged.insert(id, Judgement { is_valid: false, errors: vec![reason] });
        self.answer(false);
    }

    fn give_up(&mut self) {
        while self.stack.len() > BLAMED_NODE
            && let Some(mut visit) = self.stack.pop()
        {
            self.begun.remove(visit.id);
            let again = visit.following.take().map(|(input, _)| input);
            self.broken_off.insert(visit.id, Visit { again, ..visit });
        }
        self.abort(&Thrown::recursion_error());
    }
}

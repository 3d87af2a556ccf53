//! How the odd spots of workflows are read: ids as numbers or strings, links as arrays or objects, null for nothing.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{GroupLink, Link, Node, WidgetValues};

/// Nothing and null are the same.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Links; documents have null where one was removed.
pub(super) fn links<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Link>, D::Error> {
    let links: Vec<Option<Link>> = null_as_default(deserializer)?;
    Ok(links.into_iter().flatten().collect())
}

/// Nodes of a group, which have no ids: they are known by their places.
pub(super) fn members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Node>, D::Error> {
    let members: Vec<Map<String, Value>> = null_as_default(deserializer)?;
    let numbered = members.into_iter().enumerate().map(|(place, mut member)| {
        member.insert("id".to_owned(), place.into());
        Node::deserialize(Value::Object(member))
            .map_err(|error| D::Error::custom(format_args!("node {place} of the group: {error}")))
    });
    numbered.collect()
}

/// A node's id as text: `7` and `"7"` are the same node.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Id::deserialize(deserializer)?.0)
}

struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::String(text) => Ok(Self(text)),
            other => Err(D::Error::invalid_type(unexpected(&other), &"a node's id, a number or a string")),
        }
    }
}

/// A whole number, where anything else is as good as nothing.
pub(super) fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(value.as_i64().or_else(|| value.as_str()?.parse().ok()))
}

/// The id of a link, a number.
pub(super) fn link_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Number(number) if number.is_i64() => Ok(number.as_i64()),
        other => Err(D::Error::invalid_type(unexpected(&other), &"a link's id, a number, or null")),
    }
}

/// The type of a slot. Lists of options, which old workflows have here, match nothing but themselves.
pub(super) fn slot_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        Value::Null => String::new(),
        Value::Number(number) if number.as_i64() == Some(0) => String::new(),
        other => other.to_string(),
    })
}

struct SlotIndex(i64);

impl<'de> Deserialize<'de> for SlotIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let index = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        index.map(Self).ok_or_else(|| D::Error::invalid_type(unexpected(&value), &"a slot, counted from 0"))
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Other("null"),
        Value::Bool(value) => Unexpected::Bool(*value),
        Value::Number(_) => Unexpected::Other("a fraction"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

impl<'de> Deserialize<'de> for WidgetValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Array(values) => Ok(Self::Listed(values)),
            Value::Object(values) => Ok(Self::Named(values)),
            other => Err(D::Error::invalid_type(unexpected(&other), &"a list or an object of values")),
        }
    }
}

#[derive(Deserialize)]
struct LinkObject {
    id: i64,
    #[serde(deserialize_with = "id")]
    origin_id: String,
    origin_slot: SlotIndex,
    #[serde(deserialize_with = "id")]
    target_id: String,
    target_slot: SlotIndex,
    #[serde(rename = "type", default, deserialize_with = "slot_type")]
    kind: String,
}

struct SlotType(String);

impl<'de> Deserialize<'de> for SlotType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        slot_type(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LinkVisitor)
    }
}

struct LinkVisitor;

impl<'de> Visitor<'de> for LinkVisitor {
    type Value = Link;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a link: [id, origin, slot, target, slot, type], or an object with origin_id and target_id",
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Link, A::Error> {
        let link = Link {
            id: part(&mut parts, 0)?,
            origin: part::<Id, _>(&mut parts, 1)?.0,
            origin_slot: part::<SlotIndex, _>(&mut parts, 2)?.0,
            target: part::<Id, _>(&mut parts, 3)?.0,
            target_slot: part::<SlotIndex, _>(&mut parts, 4)?.0,
            kind: parts.next_element::<SlotType>()?.map(|kind| kind.0).unwrap_or_default(),
        };
        while parts.next_element::<Value>()?.is_some() {}
        Ok(link)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Link, A::Error> {
        let link = LinkObject::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Link {
            id: link.id,
            origin: link.origin_id,
            origin_slot: link.origin_slot.0,
            target: link.target_id,
            target_slot: link.target_slot.0,
            kind: link.kind,
        })
    }
}

fn part<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(parts: &mut A, index: usize) -> Result<T, A::Error> {
    parts.next_element()?.ok_or_else(|| A::Error::invalid_length(index, &"a link of six parts"))
}

impl<'de> Deserialize<'de> for GroupLink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parts = Vec::<Value>::deserialize(deserializer)?;
        let place = |index: usize| parts.get(index).and_then(Value::as_u64).and_then(|n| n.try_into().ok());
        let target = place(2).zip(place(3)).ok_or_else(|| {
            D::Error::custom(
                "a link inside of a group is [node, slot, node, slot, id, type], by the nodes' places",
            )
        })?;
        let kind = parts.get(5).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Self { origin: place(0).zip(place(1)), target, kind })
    }
}

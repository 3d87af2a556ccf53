//! Several servers' `object_info` as one: what a client of the whole fleet may choose.

use std::collections::HashSet;

use serde_json::Value;

use super::{InputSpec, NodeClass, ObjectInfo};

impl ObjectInfo {
    /// The classes of all, in the order in which they first appear.
    ///
    /// Of a class that several servers have, the first one's document counts; its combo lists gain the options that
    /// only others have (a model file that one server holds), without duplicates and behind its own.
    pub fn union<'a>(all: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut union = Self::default();
        for info in all {
            for (name, class) in &info.0 {
                match union.0.get_mut(name) {
                    Some(known) => merge_options(known, class),
                    None => {
                        union.0.insert(name.clone(), class.clone());
                    }
                }
            }
        }
        union
    }
}

fn merge_options(known: &mut NodeClass, other: &NodeClass) {
    for (name, spec) in known.input.required.iter_mut().chain(&mut known.input.optional) {
        let more = other.input.get(name).and_then(InputSpec::combo);
        if let (Some(options), Some(more)) = (spec.combo_mut(), more) {
            append_new(options, more);
        }
    }
}

/// Combo lists run to thousands of files, so options are compared by hash, written as JSON since values have none.
fn append_new(options: &mut Vec<Value>, more: &[Value]) {
    if options == more {
        return;
    }
    let mut seen: HashSet<String> = options.iter().map(Value::to_string).collect();
    options.extend(more.iter().filter(|option| seen.insert(option.to_string())).cloned());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info(document: Value) -> ObjectInfo {
        serde_json::from_value(document).unwrap()
    }

    fn loader(options: &Value, display_name: &str) -> Value {
        json!({"input": {"required": {"name": options}}, "output_node": false, "display_name": display_name})
    }

    #[test]
    fn classes_of_all_appear_in_the_order_in_which_they_are_first_seen() {
        let class = json!({"input": {}, "output_node": false});
        let (one, two) = (info(json!({"B": class, "A": class})), info(json!({"C": class, "A": class})));
        let union = ObjectInfo::union([&one, &two]);
        assert_eq!(union.0.keys().collect::<Vec<_>>(), ["B", "A", "C"]);
    }

    #[test]
    fn a_combo_gains_the_options_of_others_behind_its_own_and_keeps_its_form() {
        let one = info(json!({"L": loader(&json!([["b", "a"], {"tooltip": "t"}]), "first")}));
        let two = info(json!({"L": loader(&json!(["COMBO", {"options": ["a", "c"]}]), "second")}));
        assert_eq!(
            ObjectInfo::union([&one, &two]),
            info(json!({"L": loader(&json!([["b", "a", "c"], {"tooltip": "t"}]), "first")}))
        );
        assert_eq!(
            ObjectInfo::union([&two, &one]),
            info(json!({"L": loader(&json!(["COMBO", {"options": ["a", "c", "b"]}]), "second")}))
        );
    }

    #[test]
    fn options_that_only_look_alike_are_two_options() {
        let one = info(json!({"L": loader(&json!([["1", 1]]), "x")}));
        let two = info(json!({"L": loader(&json!([[1, "1", true, "true"]]), "x")}));
        assert_eq!(
            ObjectInfo::union([&one, &two]).0["L"].input.required["name"].combo(),
            Some([json!("1"), json!(1), json!(true), json!("true")].as_slice())
        );
    }

    #[test]
    fn the_union_of_nothing_is_empty_and_of_one_is_itself() {
        assert_eq!(ObjectInfo::union([]), ObjectInfo::default());
        let one = info(json!({"L": loader(&json!([["a", "a"]]), "x")}));
        assert_eq!(ObjectInfo::union([&one]), one);
    }
}

use serde_json::json;

use super::*;

fn fault(document: &Value) -> String {
    Workflow::from_value(document).unwrap_err().to_string()
}

#[test]
fn both_forms_of_a_link_are_the_same_link() {
    let object = json!({"id": 7, "origin_id": 2, "origin_slot": 1, "target_id": "9", "target_slot": 0, "type": "IMAGE"});
    let links = json!({"nodes": [], "links": [[7, 2, 1, "9", "0", "IMAGE"], object, null]});
    let workflow = Workflow::from_value(&links).unwrap();
    assert_eq!(workflow.links.len(), 2);
    assert_eq!(workflow.links[0], workflow.links[1]);
    assert_eq!((workflow.links[0].origin.as_str(), workflow.links[0].target.as_str()), ("2", "9"));
}

#[test]
fn null_is_as_good_as_nothing() {
    let with_null = json!({"id": 1, "type": "X", "mode": null, "title": null, "inputs": null, "outputs": null,
                           "widgets_values": null, "properties": null});
    let workflow = json!({"nodes": [with_null], "links": null, "definitions": null, "extra": null});
    let workflow = Workflow::from_value(&workflow).unwrap();
    assert_eq!(workflow.nodes[0].mode, Mode::Active);
    assert_eq!(workflow.nodes[0].widgets_values, WidgetValues::Listed(vec![]));
}

#[test]
fn words_of_python_are_read_as_null() {
    let workflow =
        Workflow::from_slice(br#"{"nodes": [{"id": 1, "type": "X", "widgets_values": [NaN, -Infinity]}]}"#)
            .unwrap();
    assert_eq!(workflow.nodes[0].widgets_values, WidgetValues::Listed(vec![Value::Null, Value::Null]));
}

#[test]
fn a_fault_is_told_with_the_path_to_it() {
    for (document, expected) in [
        (json!([]), "not a workflow, at .: "),
        (json!({"last_node_id": 3}), "not a workflow, at .: missing field `nodes`"),
        (json!({"nodes": [{"id": 1}]}), "not a workflow, at nodes[0]: missing field `type`"),
        (json!({"nodes": [{"id": {}, "type": "X"}]}), "not a workflow, at nodes[0].id: invalid type: map"),
        (
            json!({"nodes": [{"id": 1, "type": "X", "inputs": [{"link": "7"}]}]}),
            "not a workflow, at nodes[0].inputs[0].link: ",
        ),
        (json!({"nodes": [], "links": [[1, 2, 0]]}), "not a workflow, at links[0]: invalid length 3"),
        (
            json!({"nodes": [], "links": [{"id": 1, "origin_id": 1, "origin_slot": "x"}]}),
            "not a workflow, at links[0].origin_slot: ",
        ),
        (
            json!({"nodes": [], "definitions": {"subgraphs": [{"id": "s", "nodes": [{"id": 1, "type": 5}]}]}}),
            "not a workflow, at definitions.subgraphs[0].nodes[0].type: ",
        ),
    ] {
        assert!(fault(&document).starts_with(expected), "{}", fault(&document));
    }
    let cut = Workflow::from_slice(br#"{"nodes": ["#).unwrap_err();
    assert!(cut.what.contains("EOF"), "{cut}");
}

#[test]
fn subgraphs_inside_of_subgraphs_are_found() {
    let inner = json!({"id": "inner", "nodes": []});
    let outer = json!({"id": "outer", "nodes": [], "definitions": {"subgraphs": [inner]}});
    let workflow = json!({"nodes": [], "definitions": {"subgraphs": [outer, {"id": "other", "nodes": []}]}});
    let workflow = Workflow::from_value(&workflow).unwrap();
    let ids: Vec<&str> = workflow.subgraphs().map(|subgraph| subgraph.id.as_str()).collect();
    assert_eq!(ids, ["outer", "inner", "other"]);
}

#[test]
fn a_document_that_nests_too_deep_is_refused() {
    let deep = format!("{}{}", r#"{"nodes": [], "extra": "#, "[".repeat(100_000));
    assert!(Workflow::from_slice(deep.as_bytes()).is_err());
}

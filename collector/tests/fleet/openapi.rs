//! The own API's description of itself, held against what is served.

use reqwest::Method;
use serde_json::Value;
use sim::Generation;

use super::stage::Stage;

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

#[tokio::test]
async fn what_is_described_answers_and_what_is_not_described_does_not() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let document = stage.client.get("/orchestrator/v1/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."), "{document}");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 5, "{document}");
    for (path, described) in paths {
        for method in METHODS {
            let is_described = described.get(method.as_str().to_lowercase()).is_some();
            let route = path.replace("{id}", "nobody");
            // Only the head of the answer: a stream has no end.
            let answer = stage.client.request(method.clone(), &route).body("{}").send().await.unwrap();
            let status = answer.status().as_u16();
            assert_eq!(status != 405, is_described, "{method} {path}: {status}");
            if status == 404 {
                let refused: Value = answer.json().await.unwrap();
                let message = refused["error"]["message"].as_str().unwrap();
                assert!(
                    message.contains("nobody") && !message.contains("no route"),
                    "{method} {path}: {message}"
                );
            }
        }
    }
}

//! A collector that asks for tokens.

use collector::access::{Fresh, Role};
use sim::Generation;

use super::client::Client;
use super::prompts::{expected, picture};
use super::shell::{file, files_in, run};
use super::stage::{Stage, comfy, takes_jobs};

#[tokio::test]
async fn with_its_token_a_job_is_followed_and_saved_and_without_nothing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let anna = Fresh::make("anna", Role::Submit, &Default::default()).unwrap();
    let (entries, token) = (folder.path().join("tokens.toml"), folder.path().join("token"));
    std::fs::write(&entries, &anna.entry).unwrap();
    std::fs::write(&token, format!("{}\n", anna.token.as_str())).unwrap();
    let backends = vec![comfy(Generation::V0_8).await];
    let stage = Stage::before(backends, |config| config.access.token_file = Some(entries)).await;
    takes_jobs(&Client::showing(&stage.client.url, "anna", &anna.token), "a", true).await;
    let (out, path) = (folder.path().join("out"), file(folder.path(), "p.json", &picture(5)));
    let submit = ["submit", "--follow", "--out", out.to_str().unwrap(), "--set", "2.seed=6", &path];
    let shown = ["--token-file", token.to_str().unwrap()];
    run(&stage.client.url, &[&submit[..], &shown].concat()).await.succeeds();
    assert_eq!(image::open(out.join(&files_in(&out)[0])).unwrap().to_rgb8(), expected(6));
    for arguments in [&submit[..], &["submit", &path], &["jobs"]] {
        run(&stage.client.url, arguments).await.fails(4, &["asks for a token", "--token-file"]);
    }
    run(&stage.client.url, &[&["free"][..], &shown].concat())
        .await
        .fails(4, &["does not let this token do that"]);
}
